"""Data files to bytes and text, and what is said about a file that is neither."""

from __future__ import annotations

import errno
import functools
import re
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localft.data.reading.compressed import decompressed
from localft.data.reading.data_format import data_format, data_packing, data_suffix
from localft.errors import DatasetError
from localft.files import BOM, open_file
from localft.kinds.file_kind import HEAD, FileKind, Kind, head_kind

EXPECTED = (
    'a row has "messages", "prompt" and "completion", "input" and "output", "instruction" and "output", or "text"'
)
_CHUNK = 1 << 20
NO_PIPE = "save it as a file; `localft data check`, `show`, `split` and `synth` take `-` for what is piped to them"
_PAGES = (".html", ".htm", ".xhtml", ".md")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w-]*")
OnProblem = Callable[[int, DatasetError], None]


def refuse(line: int, error: DatasetError) -> None:
    """What is done about a line that cannot be used, unless someone collects such lines."""
    raise error


def place(path: str | Path, line: int) -> str:
    """ "line 3 of `x.jsonl`", "row 3 of `x.parquet`"."""
    return f"{_numbered(str(path))} {line} of `{path}`"


@functools.lru_cache(64)
def _numbered(path: str) -> str:
    return "row" if data_format(Path(path)).rows == "parquet" else "line"


def no_such_file(path: Path | str) -> DatasetError:
    path = Path(path)
    if path.is_symlink():
        return DatasetError(f"`{path}` is a link that leads to no file", f"it leads to `{path.readlink()}`")
    hint = "check the path; relative paths start in the current folder"
    if _HUB_ID.fullmatch(str(path)):
        hint += f"; a data set of the Hugging Face hub is named `hf:{path}`"
    return DatasetError(f"no data file `{path}`", hint)


def read_chunks(path: Path, size: int) -> Generator[bytes, None, None]:
    """A file as it stands, or decompressed, at most `size` bytes at a time.

    Raises:
        DatasetError: not there, not readable, damaged, or of a kind that is not read.
    """
    try:
        with open_file(path) as file:
            packing = data_packing(path, _kind(path, file.read(HEAD)))
            file.seek(0)
            if not packing:
                yield from iter(lambda: file.read(size), b"")
                return
            for number, chunk in enumerate(decompressed(path, file, packing, size)):
                if number == 0:
                    _kind(path, chunk[:HEAD])
                yield chunk
    except OSError as error:
        raise _unreadable(path, error) from None


def _kind(path: Path, head: bytes) -> FileKind:
    """What a file, or what is packed in it, begins as.

    Raises:
        DatasetError: as none that is read.
    """
    kind = head_kind(head)
    page = kind.kind is Kind.WEB_PAGE and data_suffix(path) in _PAGES
    # damaged bytes are told of by their lines, and so are files without any
    if kind.what and kind.kind not in (Kind.EMPTY, Kind.UNKNOWN) and not page:
        raise DatasetError(f"`{path}` is {kind.what}", kind.hint)
    return kind


def _unreadable(path: Path, error: OSError) -> DatasetError:
    if error.errno in (errno.ENOENT, errno.ELOOP):
        return no_such_file(path)
    if path.is_dir():
        hint = f"name a file in it; `localft data build {path} -o rows.jsonl` makes rows of code and pages"
        return DatasetError(f"`{path}` is a folder, expected a file", hint)
    if path.is_fifo():
        return DatasetError(f"`{path}` is a pipe, and a run reads its data again", NO_PIPE)
    return DatasetError(f"cannot read `{path}`: {error.strerror}", "check that it is a file that you may read")


def read_bytes(path: Path) -> bytes:
    """All of a file; see `read_chunks`."""
    return b"".join(read_chunks(path, _CHUNK))


def read_text(path: Path, on_problem: OnProblem = refuse) -> str:
    """A file's text, without a byte order mark; line ends as they stand. Lines that are no text are told to
    `on_problem` and left empty.

    Raises:
        DatasetError: see `read_bytes`.
    """
    data = read_bytes(path)
    offset = bom_length(data)
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


def bom_length(start: bytes) -> int:
    """Bytes of the byte order marks that a file begins with; programs that read one as text write another before it."""
    return next(n for n in range(0, len(start) + len(BOM), len(BOM)) if not start.startswith(BOM, n))


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


@dataclass(frozen=True)
class UnreadValue:
    """A value for which Python has no type; it stands in a column that cannot be a text, and is of no use as one."""

    type: str


def name_of(value: Any) -> str:
    """What a value is, in the words of an error."""
    if value is None:
        return "null"
    if isinstance(value, UnreadValue):
        return f"a value of the type {value.type}"
    names = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", dict: "an object"}
    return "an empty list" if value == [] else names.get(type(value), type(value).__name__)
