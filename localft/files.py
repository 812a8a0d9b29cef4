"""Files are written whole or not at all; what is read is a file, and no pipe or device."""

from __future__ import annotations

import errno
import io
import os
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`; fsync it and rename it over `target` if the block succeeds.

    Args:
        target: the file to write; its folder is made where it is missing.

    Raises:
        OSError: the folder cannot be made or written (disk full included). `target` is then unchanged.
    """
    with atomic_paths(target) as (temporary,):
        yield temporary


@contextmanager
def atomic_paths(*targets: Path) -> Iterator[tuple[Path, ...]]:
    """`atomic_path` for several files that belong together: all of them are written, or none."""
    temporaries: list[Path] = []
    try:
        for target in targets:
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
            os.close(handle)
            temporaries.append(Path(name))
        yield tuple(temporaries)
        umask = os.umask(0)
        os.umask(umask)
        for temporary in temporaries:
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.chmod(0o666 & ~umask)
        _replace(temporaries, targets)
    finally:
        for temporary in temporaries:
            with suppress(FileNotFoundError):
                temporary.unlink()


def _replace(temporaries: Sequence[Path], targets: Sequence[Path]) -> None:
    """Rename each over its target; where one fails, those before that are new go again."""
    new: list[Path] = []
    try:
        for temporary, target in zip(temporaries, targets, strict=True):
            new += [] if target.exists() else [target]
            temporary.replace(target)
    except OSError:
        for target in new:
            with suppress(FileNotFoundError):
                target.unlink()
        raise


def write_text(target: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def open_file(path: Path) -> BinaryIO:
    """Open a file for reading. A pipe is not waited for, a device not read: they may never end.

    Raises:
        OSError: as `open` does; or it is no regular file.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(handle).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(handle, "rb")
    os.close(handle)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise OSError(errno.EINVAL, "it is a pipe or a device, expected a file", str(path))


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, line ends as "\\n".

    Raises:
        OSError: see `open_file`.
        UnicodeDecodeError: it is not UTF-8.
    """
    with io.TextIOWrapper(open_file(path), encoding="utf-8") as file:
        return file.read()
