"""Tokens of large data files, kept in localft's home under what they were made of."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path

from localft import __version__
from localft.errors import DatasetError
from localft.files import abandoned, open_file, read_bytes, temporary_folder
from localft.home import localft_home
from localft.json_text import parse_json

FORMAT = 2
MAX_BYTES = 20 * 2**30
_CHUNK = 1 << 20
_SUMS = "sums.json"


def folder() -> Path:
    """Where tokens are kept; it may be deleted at any time when nothing runs."""
    return localft_home() / "tokens"


def key(*made_of: object) -> str:
    """A name for what was made of these JSON-serialisable values by this version of the code."""
    made_by = [FORMAT, __version__, metadata.version("llama-cpp-python")]
    return hashlib.sha256(json.dumps([made_by, made_of], sort_keys=True).encode()).hexdigest()[:32]


def kept(name: str, write: Callable[[Path], None]) -> Path:
    """The folder of that name, made by `write` where there is none, or where it is not as it was left.

    Others are deleted, those first that were not used for longest, while all together are larger than `MAX_BYTES`.

    Args:
        write: called with an empty folder to fill.

    Raises:
        DatasetError: localft's home cannot be written.
    """
    entry = folder() / name
    if entry.exists() and not _is_as_left(entry):
        shutil.rmtree(entry, ignore_errors=True)
    if not entry.is_dir():
        with _no_room(entry), _new(entry) as empty:
            write(empty)
        _trim(entry)
    with suppress(OSError):
        os.utime(entry)
    return entry


@contextmanager
def _no_room(entry: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = "free some room there, or set LOCALFT_HOME to a folder on a larger disk"
        raise DatasetError(f"cannot write tokens to `{entry.parent}`: {error.strerror}", hint) from None


@contextmanager
def _new(entry: Path) -> Iterator[Path]:
    with temporary_folder(entry) as empty:
        yield empty
        sums = {path.name: _sum(path) for path in empty.iterdir()}
        (empty / _SUMS).write_text(json.dumps(sums), encoding="utf-8")
        for path in empty.iterdir():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
        try:
            empty.rename(entry)
        except OSError:
            # another run was faster
            if not entry.is_dir():
                raise


def _is_as_left(entry: Path) -> bool:
    """Whether every file has the checksum that it had: a disk, or somebody, may have changed it since."""
    try:
        sums = parse_json(read_bytes(entry / _SUMS))
        return isinstance(sums, dict) and sums == {
            path.name: _sum(path) for path in entry.iterdir() if path.name != _SUMS
        }
    except (OSError, ValueError):
        return False


def _sum(path: Path) -> int:
    """CRC-32 of a file: an order faster to compute than its tokens."""
    total = 0
    with open_file(path) as file:
        while chunk := file.read(_CHUNK):
            total = zlib.crc32(chunk, total)
    return total


def _trim(newest: Path) -> None:
    """Delete what is too much, and what a run that was killed left behind."""
    for left in abandoned(newest.parent):
        shutil.rmtree(left, ignore_errors=True)
    entries = []
    for entry in newest.parent.iterdir():
        with suppress(OSError):
            if not entry.name.startswith("."):
                size = sum(path.stat().st_size for path in entry.iterdir())
                entries.append((entry.stat().st_mtime, size, entry))
    total = sum(size for _, size, _ in entries)
    for _, size, entry in sorted(entries):
        if total > MAX_BYTES and entry != newest:
            shutil.rmtree(entry, ignore_errors=True)
            total -= size
