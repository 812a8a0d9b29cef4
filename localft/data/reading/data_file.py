"""Data files to bytes and text, and what is said about a file that is neither."""

from __future__ import annotations

import errno
import functools
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from localft.data.reading.compressed import SUFFIXES as COMPRESSED
from localft.data.reading.compressed import decompressed
from localft.errors import DatasetError
from localft.files import open_file

EXPECTED = (
    'a row has "messages", "prompt" and "completion", "input" and "output", "instruction" and "output", or "text"'
)
_FOREIGN = (
    *(".arrow", ".feather", ".xlsx", ".xls", ".ods", ".pdf", ".docx", ".zip", ".tar", ".tgz", ".bz2", ".xz", ".7z"),
    *(".gguf", ".safetensors"),
)
_TABLES = (".csv", ".tsv", ".parquet")
_CHUNK = 1 << 20
BOM = b"\xef\xbb\xbf"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w-]*")
OnProblem = Callable[[int, DatasetError], None]


def refuse(line: int, error: DatasetError) -> None:
    """What is done about a line that cannot be used, unless someone collects such lines."""
    raise error


def data_suffix(path: Path) -> str:
    """What a file holds, in lower case: its suffix, the one before .gz or .zst where it is compressed."""
    stem = path.stem if path.suffix.lower() in COMPRESSED else path.name
    return Path(stem).suffix.lower()


def is_table(path: Path) -> bool:
    """Whether rows have columns and not keys."""
    return data_suffix(path) in _TABLES


def place(path: str | Path, line: int) -> str:
    """ "line 3 of `x.jsonl`", "row 3 of `x.parquet`"."""
    return f"{_numbered(str(path))} {line} of `{path}`"


@functools.lru_cache(64)
def _numbered(path: str) -> str:
    return "row" if data_suffix(Path(path)) == ".parquet" else "line"


def no_such_file(path: Path | str) -> DatasetError:
    path = Path(path)
    if path.is_symlink():
        return DatasetError(f"`{path}` is a link that leads to no file", f"it leads to `{path.readlink()}`")
    hint = "check the path; relative paths start in the current folder"
    if _HUB_ID.fullmatch(str(path)):
        hint += f"; a data set of the Hugging Face hub is named `hf:{path}`"
    return DatasetError(f"no data file `{path}`", hint)


def read_chunks(path: Path, size: int) -> Iterator[bytes]:
    """A file as it stands, or decompressed, at most `size` bytes at a time.

    Raises:
        DatasetError: not there, not readable, damaged, or of a kind that is not read.
    """
    if data_suffix(path) in _FOREIGN or path.suffix.lower() in _FOREIGN:
        hint = f"export it as .jsonl ({EXPECTED}), .csv, .parquet or .txt"
        raise DatasetError(f"`{path}` is a {data_suffix(path)} file, which is not read", hint)
    try:
        with open_file(path) as file:
            if path.suffix.lower() in COMPRESSED:
                yield from decompressed(path, file, size)
                return
            while chunk := file.read(size):
                yield chunk
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP):
            raise no_such_file(path) from None
        if path.is_dir():
            hint = f"name a file in it; `localft data build {path} -o rows.jsonl` makes rows of code and pages"
            raise DatasetError(f"`{path}` is a folder, expected a file", hint) from None
        raise DatasetError(
            f"cannot read `{path}`: {error.strerror}", "check that it is a file that you may read"
        ) from None


def read_bytes(path: Path) -> bytes:
    """All of a file; see `read_chunks`."""
    return b"".join(read_chunks(path, _CHUNK))


def read_text(path: Path, on_problem: OnProblem = refuse) -> str:
    """A file's text, without a byte order mark; line ends as they stand. Lines that are no text are told to
    `on_problem` and left empty.

    Raises:
        DatasetError: see `read_bytes`; or it is UTF-16.
    """
    data = read_bytes(path)
    refuse_utf16(path, data)
    offset = len(BOM) if data.startswith(BOM) else 0
    return decode_lines(path, 1, offset, data[offset:], on_problem)


def decode_lines(path: Path, first: int, offset: int, data: bytes, on_problem: OnProblem) -> str:
    """The text of some lines of a file; those that are no text are told to `on_problem` and left empty.

    Args:
        first: number of the first line, 1-based; offset: where it begins in the file, in bytes.
    """
    with suppress(UnicodeDecodeError):
        if "\0" not in (text := data.decode("utf-8")):
            return text
    lines = []
    for number, line in enumerate(data.split(b"\n"), first):
        try:
            lines.append(decode_line(path, number, offset, line))
        except DatasetError as error:
            lines.append("")
            on_problem(number, error)
        offset += len(line) + 1
    return "\n".join(lines)


def refuse_utf16(path: Path, start: bytes) -> None:
    """Refuse a file that starts like UTF-16.

    Raises:
        DatasetError: it does.
    """
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise DatasetError(f"`{path}` is UTF-16, expected UTF-8", "save the file as UTF-8")


def decode_line(path: Path, number: int, offset: int, line: bytes) -> str:
    """The text of one line.

    Args:
        number: of the line.
        offset: bytes of the file that stand before it.

    Raises:
        DatasetError: it is not UTF-8, or holds a NUL character.
    """
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        at = error.start
        message = f"line {number} of `{path}` is not UTF-8: byte 0x{line[at]:02x} at offset {offset + at}"
        raise DatasetError(message, "save the file as UTF-8") from None
    if "\0" in text:
        message = f"line {number} of `{path}` holds a NUL character, expected text"
        raise DatasetError(message, "save the file as UTF-8")
    return text


def name_of(value: Any) -> str:
    """What a value is, in the words of an error."""
    if value is None:
        return "null"
    names = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", dict: "an object"}
    return "an empty list" if value == [] else names.get(type(value), type(value).__name__)
