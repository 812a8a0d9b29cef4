"""Bytes → other bytes: a few seeded changes that suit the kind of file, so that they get past its first check."""

from __future__ import annotations

import gzip
import json
import random
import struct
from collections.abc import Callable
from typing import Any

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, -5, 3.7, 1e-300, 1e300, 2**31, 2**32 - 1, 2**63, 2**64, 10**12, 10**400),
    *(float("inf"), float("-inf"), float("nan"), "", " ", "x", "\0", "a\0b", "-5", "1e999", "é" * 40, "a" * 100_000),
    *("\x1b]0;owned\x07", "\x1b[2J", "\x9b2J", "\u202etxt.exe", "\u2066a", "\ud800", "{{ 7 * 7 }}", "{% raw %}"),
    *("/etc/passwd", "../../outside", "file:///etc/passwd", "/dev/zero", "~root", "-rf", "$(touch owned)", "con\nfig"),
    *([], [1], [[]], [None] * 3, {}, {"a": 1}, {"": ""}, [[1, 2], {"a": [None]}], list(range(2000))),
)
TEXTS = (
    *(b"\0", b"\xff\xfe", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\r", b"\n\n\n", b"\x1b[2J", b"\x1b]0;o\x07"),
    *(b"(" * 600, b"[" * 3000, b'{"a":' * 2000, b"{{" * 50, b"{%", b"%}", b'"', b"'", b"`", b"\\", b"\\u0000"),
    *(b"NaN", b"Infinity", b"-1", b"1e999", b"9" * 5000, b"0x10", b"true", b"null", b"<<<<<<<", b"../", b"%s%n"),
    *(b"[a]\n" * 50, b"[[a]]\n", b"a.b.c = 1\n", b"# ", b"```", b"<script>", b"-----BEGIN RSA PRIVATE KEY-----\n"),
    *(b"=" * 99, b"\t", b"\xe2\x80\xae", b"\\ud800"),
)
NUMBERS = (
    *(0, 1, 2, 3, 4, 8, 12, 31, 127, 128, 255, 256, 65535, 2**24),
    *(2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63, 2**64 - 1),
)
LARGEST = 1 << 22
_ENDS = ("x", " ", "\0", "")

Random = random.Random


def mutated(raw: bytes, name: str, rng: Random) -> bytes:
    """`raw` with one to four changes. The same `rng` makes the same ones.

    Args:
        name: the file's name; its suffix says what the bytes are.
    """
    if name.endswith(".gz") and rng.random() < 0.8:
        try:
            return gzip.compress(mutated(gzip.decompress(raw), name[:-3], rng), 1, mtime=0)
        except (OSError, EOFError):
            pass
    if name.endswith(".safetensors") and rng.random() < 0.8:
        return _header_mutated(raw, rng)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        change = rng.choice(_CHANGES)
        if name.endswith((".json", ".jsonl", ".ndjson", ".journal")) and rng.random() < 0.7:
            change = _values
        raw = change(raw, rng)[:LARGEST]
    return raw


def _header_mutated(raw: bytes, rng: Random) -> bytes:
    """A safetensors file with another header, whose length is said right."""
    n = int.from_bytes(raw[:8], "little")
    header = mutated(raw[8 : 8 + n], "header.json", rng)
    return struct.pack("<Q", len(header)) + header + raw[8 + n :]


def _values(raw: bytes, rng: Random) -> bytes:
    """A value of a JSON text, or of a line of it, replaced, removed, doubled or nested."""
    lines = raw.split(b"\n")
    at = rng.randrange(len(lines))
    whole = rng.random() < 0.5
    try:
        value = json.loads(raw if whole else lines[at])
    except (ValueError, RecursionError):
        return _insert(raw, rng)
    text = json.dumps(_changed(value, rng), ensure_ascii=rng.random() < 0.7).encode(errors="surrogatepass")
    if whole:
        return text
    return b"\n".join([*lines[:at], text, *lines[at + 1 :]])


def _changed(value: Any, rng: Random, depth: int = 0) -> Any:
    """One place in `value` changed, the deeper ones as likely as the upper ones."""
    inner = isinstance(value, (dict, list)) and value and depth < 30
    if inner and rng.random() < 0.85:
        key = rng.choice(list(value) if isinstance(value, dict) else range(len(value)))
        copy: Any = dict(value) if isinstance(value, dict) else list(value)
        how = rng.random()
        if how < 0.1:
            del copy[key]
        elif how < 0.15 and isinstance(copy, dict):
            copy[f"{key}{rng.choice(_ENDS)}"] = copy.pop(key)
        elif how < 0.2 and isinstance(copy, list):
            copy[key:key] = [copy[key]] * rng.choice((1, 3, 1000))
        else:
            copy[key] = _changed(copy[key], rng, depth + 1)
        return copy
    if type(value) in (int, float) and rng.random() < 0.3:
        return rng.choice((-value, value + 1, value - 1, value * 2, str(value), [value], rng.choice(NUMBERS)))
    if isinstance(value, str) and rng.random() < 0.3:
        at = rng.randrange(len(value) + 1)
        return value[:at] + rng.choice(TEXTS).decode(errors="replace") + value[at:]
    return rng.choice(VALUES)


def _flip(raw: bytes, rng: Random) -> bytes:
    if not raw:
        return b"\0"
    at = _place(raw, rng)
    return raw[:at] + bytes([raw[at] ^ (1 << rng.randrange(8))]) + raw[at + 1 :]


def _number(raw: bytes, rng: Random) -> bytes:
    """A whole number of one to eight bytes written over."""
    n = rng.choice((1, 2, 4, 4, 8, 8))
    at = _place(raw, rng)
    number = rng.choice(NUMBERS) & ((1 << 8 * n) - 1)
    return raw[:at] + number.to_bytes(n, "little") + raw[at + n :]


def _insert(raw: bytes, rng: Random) -> bytes:
    at = _place(raw, rng)
    return raw[:at] + rng.choice(TEXTS) + raw[at + rng.choice((0, 0, 1, 8)) :]


def _remove(raw: bytes, rng: Random) -> bytes:
    at = _place(raw, rng)
    return raw[:at] + raw[at + rng.choice((1, 4, 8, 64, 1000)) :]


def _cut(raw: bytes, rng: Random) -> bytes:
    return raw[: rng.choice((0, 1, 4, len(raw) // 2, max(len(raw) - 1, 0), rng.randrange(len(raw) + 1)))]


def _repeat(raw: bytes, rng: Random) -> bytes:
    at = _place(raw, rng)
    part = raw[at : at + rng.choice((1, 8, 64, 1000))]
    return raw[:at] + part * rng.choice((2, 2, 10, 1000)) + raw[at:]


def _splice(raw: bytes, rng: Random) -> bytes:
    """A part of it at another place."""
    one, other, n = _place(raw, rng), _place(raw, rng), rng.choice((4, 8, 24, 200))
    return raw[:one] + raw[other : other + n] + raw[one + n :]


def _place(raw: bytes, rng: Random) -> int:
    """The first kilobytes, where headers are, as often as all the rest."""
    return rng.randrange(max(min(len(raw), rng.choice((64, 4096, len(raw)))), 1))


_CHANGES: tuple[Callable[[bytes, Random], bytes], ...] = (
    *(_flip, _flip, _number, _number, _number, _insert, _insert, _insert, _remove, _cut, _repeat, _splice),
)
