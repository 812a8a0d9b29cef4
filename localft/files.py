"""Files are written whole or not at all; what is read is a file, and no pipe or device."""

from __future__ import annotations

import errno
import fcntl
import io
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path

_MARK, _END = ".localft", ".part"
BOM = b"\xef\xbb\xbf"


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`; fsync it and rename it over `target` if the block succeeds.

    What a killed process left of an earlier try is deleted. Processes that write the same target at the same time have
    a temporary path each.

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
    with ExitStack() as held:
        temporaries = [held.enter_context(_temporary(target, _make_file)) for target in targets]
        held.enter_context(_errors_named(targets, temporaries))
        yield tuple(temporaries)
        umask = os.umask(0)
        os.umask(umask)
        for temporary in temporaries:
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.chmod(0o666 & ~umask)
        _replace(temporaries, targets)


@contextmanager
def temporary_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder beside `target`, to be renamed or used up: what is left of it at the end is deleted.

    What a killed process left of an earlier try is deleted first.

    Raises:
        OSError: it cannot be made.
    """
    with _temporary(target, _make_folder) as folder:
        yield folder


def abandoned(folder: Path) -> Iterator[Path]:
    """Temporary files and folders anywhere under `folder` whose process is gone, each locked while it is looked at."""
    for place, folders, files in os.walk(folder):
        ours = [name for name in (*folders, *files) if _MARK in name and name.endswith(_END)]
        for path in (Path(place, name) for name in ours):
            try:
                handle = _lock(path)
            except OSError:
                continue
            try:
                yield path
            finally:
                os.close(handle)
        folders[:] = [name for name in folders if name not in ours]


@contextmanager
def _temporary(target: Path, make: Callable[[Path], None]) -> Iterator[Path]:
    target.parent.mkdir(parents=True, exist_ok=True)
    path, handle = _claim(target, make)
    try:
        yield path
    finally:
        with suppress(FileNotFoundError):
            if _is_open_as(handle, path):
                _delete(path)
        os.close(handle)


def _make_file(path: Path) -> None:
    path.touch(0o600, exist_ok=False)


def _make_folder(path: Path) -> None:
    path.mkdir(0o700)


def _claim(target: Path, make: Callable[[Path], None]) -> tuple[Path, int]:
    """A temporary path of `target`, made and locked; what is left behind under later names is deleted."""
    names = (target.with_name(f".{target.name}{_MARK}{n or ''}{_END}") for n in count())
    path = next(names)
    while (handle := _made(path, make)) is None:
        path = next(names)
    for later in names:
        if not os.path.lexists(later):
            break
        _delete_abandoned(later)
    return path, handle


def _made(path: Path, make: Callable[[Path], None]) -> int | None:
    """A handle of the new `path`, which locks it where the file system has locks; None where others have it."""
    if not _delete_abandoned(path):
        return None
    try:
        make(path)
    except FileExistsError:
        return None
    try:
        return _lock(path)
    except (FileNotFoundError, BlockingIOError):
        return None
    except OSError:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _lock(path: Path) -> int:
    """A handle that keeps `path` locked until it is closed, or its process ends.

    Raises:
        BlockingIOError: another process has it locked, or put another in its place.
        OSError: it cannot be opened, or the file system has no locks.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not _is_open_as(handle, path):
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN), str(path))
    except OSError:
        os.close(handle)
        raise
    return handle


def _is_open_as(handle: int, path: Path) -> bool:
    return os.path.samestat(os.fstat(handle), path.lstat())


def _delete_abandoned(path: Path) -> bool:
    """Delete a temporary path, unless a living process has it; whether nothing is there now."""
    with suppress(OSError):
        handle = _lock(path)
        _delete(path)
        os.close(handle)
    return not os.path.lexists(path)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def _errors_named(targets: Sequence[Path], temporaries: Sequence[Path]) -> Iterator[None]:
    """Have errors of the disk name the target, where they name a temporary path, or none at all."""
    try:
        yield
    except OSError as error:
        named = [str(temporary) for temporary in temporaries]
        if error.filename is None or error.filename in named:
            error.filename = str(targets[named.index(error.filename) if error.filename else 0])
        raise


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


def real_path(path: Path) -> Path:
    """The absolute path without links; links that lead in a circle stay."""
    return Path(os.path.realpath(path))


def open_file(path: Path) -> io.BufferedReader:
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


def read_bytes(path: Path) -> bytes:
    """All of a file.

    Raises:
        OSError: see `open_file`.
    """
    with open_file(path) as file:
        return file.read()


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, line ends as "\\n", without the byte order marks that some programs put first.

    Raises:
        OSError: see `open_file`.
        UnicodeDecodeError: it is not UTF-8.
    """
    with io.TextIOWrapper(open_file(path), encoding="utf-8") as file:
        return file.read().lstrip("\ufeff")
