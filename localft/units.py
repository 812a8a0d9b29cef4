"""Times, sizes and speeds as the screen says them."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Wall time as 0:42, 12:03 or 3:07:00."""
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def about(seconds: float) -> str:
    """A time that is only known roughly: 4.6 s, 42 s, then as `duration`."""
    if seconds >= 59.5:
        return duration(seconds)
    return f"{seconds:.0f} s" if seconds >= 9.95 else f"{seconds:.1f} s"


def size(n_bytes: float) -> str:
    """Bytes in MiB below one GiB, in GiB from there on."""
    return f"{n_bytes / 2**30:.2f} GiB" if n_bytes >= 2**30 else f"{n_bytes / 2**20:.0f} MiB"


def file_size(n_bytes: int) -> str:
    """Bytes of a file that was written: 412 bytes, 87 KiB, 2.1 MiB."""
    if n_bytes < 2**10:
        return f"{n_bytes} bytes"
    return f"{n_bytes / 2**20:,.1f} MiB" if n_bytes >= 2**20 else f"{n_bytes / 2**10:.0f} KiB"


def rate(tok_per_sec: float) -> str:
    """Tokens per second with as many digits as mean something."""
    return f"{tok_per_sec:,.0f}" if tok_per_sec >= 100 else f"{tok_per_sec:.3g}"


def count(n: int, noun: str) -> str:
    """ "1 row", "2,000 rows"."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def count_and_verb(n: int, noun: str, one: str, more: str) -> str:
    """ "1 row is", "2,000 rows are"."""
    return f"{count(n, noun)} {one if n == 1 else more}"
