"""Data files to text and to JSON values with their lines, and what is said about a file that is neither."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from localft.data.compressed import SUFFIXES as COMPRESSED
from localft.data.compressed import decompress
from localft.errors import DatasetError

EXPECTED = (
    'a row has "messages", "prompt" and "completion", "input" and "output", "instruction" and "output", or "text"'
)
_FOREIGN = (
    *(".arrow", ".feather", ".xlsx", ".xls", ".ods", ".pdf", ".docx", ".zip", ".tar", ".tgz", ".bz2", ".xz", ".7z"),
    *(".gguf", ".safetensors"),
)
_TABLES = (".csv", ".tsv", ".parquet")
MAX_LINE = 1 << 28  # characters; a line of JSON that is longer is no row but a broken file
_ENDLESS, _CHUNK = 1 << 29, 1 << 20  # bytes; a file with a line of so many is not read at all
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
    return f"{'row' if data_suffix(Path(path)) == '.parquet' else 'line'} {line} of `{path}`"


def no_such_file(path: Path | str) -> DatasetError:
    path = Path(path)
    if path.is_symlink():
        return DatasetError(f"`{path}` is a link that leads to no file", f"it leads to `{path.readlink()}`")
    hint = "check the path; relative paths start in the current folder"
    if _HUB_ID.fullmatch(str(path)):
        hint += f"; a data set of the Hugging Face hub is named `hf:{path}`"
    return DatasetError(f"no data file `{path}`", hint)


def read_bytes(path: Path) -> bytes:
    """A file as it stands, or decompressed.

    Raises:
        DatasetError: not there, not readable, damaged, or of a kind that is not read.
    """
    if data_suffix(path) in _FOREIGN or path.suffix.lower() in _FOREIGN:
        hint = f"export it as .jsonl ({EXPECTED}), .csv, .parquet or .txt"
        raise DatasetError(f"`{path}` is a {data_suffix(path)} file, which is not read", hint)
    try:
        data = path.read_bytes()
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP):
            raise no_such_file(path) from None
        raise DatasetError(
            f"cannot read `{path}`: {error.strerror}", "check that it is a file that you may read"
        ) from None
    return decompress(path, data) if path.suffix.lower() in COMPRESSED else data


def require_lines(path: Path) -> None:
    """Refuse a file of JSON lines before it is read whole, if one of them is too long to be a row.

    Raises:
        DatasetError: names the line and its length.
    """
    try:
        if path.suffix.lower() in COMPRESSED or path.stat().st_size <= _ENDLESS:
            return
        with path.open("rb") as file:
            number, length = 1, 0
            while chunk := file.read(_CHUNK):
                if number == 1 and not length and chunk.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"[":
                    return  # an array may stand on one line
                end = chunk.find(b"\n")
                length += len(chunk) if end < 0 else end
                if length > _ENDLESS:
                    break
                if end >= 0:
                    number, length = number + chunk.count(b"\n"), len(chunk) - chunk.rfind(b"\n") - 1
            else:
                return
    except OSError:
        return  # reading it will say why
    raise _too_long(path, number, f"more than {_ENDLESS:,} bytes")


def _too_long(path: Path, number: int, length: str) -> DatasetError:
    message = f"line {number} of `{path}` is {length} long, at most {MAX_LINE:,} are read"
    return DatasetError(message, "each row stands on a line of its own: split the file into lines")


def read_text(path: Path, on_problem: OnProblem = refuse) -> str:
    """A file's text, without a byte order mark; line ends as they stand. Lines that are no text are told to
    `on_problem` and left empty.

    Raises:
        DatasetError: see `read_bytes`; or it is UTF-16.
    """
    data = read_bytes(path)
    hint = "save the file as UTF-8"
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise DatasetError(f"`{path}` is UTF-16, expected UTF-8", hint)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = _decoded_lines(path, data, on_problem)
    if "\0" in text:
        lines = text.split("\n")
        for number, line in enumerate(lines, 1):
            if "\0" in line:
                lines[number - 1] = ""
                message = f"line {number} of `{path}` holds a NUL character, expected text"
                on_problem(number, DatasetError(message, hint))
        text = "\n".join(lines)
    return text


def _decoded_lines(path: Path, data: bytes, on_problem: OnProblem) -> str:
    """Line by line, those that are not UTF-8 left empty."""
    lines, offset = [], 0
    for number, line in enumerate(data.split(b"\n"), 1):
        skip = 3 if number == 1 and line.startswith(b"\xef\xbb\xbf") else 0
        try:
            lines.append(line[skip:].decode("utf-8"))
        except UnicodeDecodeError as error:
            lines.append("")
            at = skip + error.start
            message = f"line {number} of `{path}` is not UTF-8: byte 0x{line[at]:02x} at offset {offset + at}"
            on_problem(number, DatasetError(message, "save the file as UTF-8"))
        offset += len(line) + 1
    return "\n".join(lines)


def json_values(path: Path, text: str, on_problem: OnProblem = refuse) -> Iterator[tuple[int, Any]]:
    """Each value with the line that it starts on: of one array, or of one line each.

    Of an array what follows a mistake cannot be read; of lines the next one can.
    """
    if text.lstrip()[:1] == "[":
        yield from _array_values(path, text, on_problem)
        return
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > MAX_LINE:
            on_problem(number, _too_long(path, number, f"{len(line):,} characters"))
        elif line.strip():
            try:
                value = json.loads(line)
            except (ValueError, RecursionError) as error:
                whole = number == 1 and _is_object(text)
                on_problem(number, _not_json(path, number, whole, error))
                if whole:
                    return
                continue
            yield number, value


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _not_json(path: Path, number: int, whole: bool, error: Exception) -> DatasetError:
    hint = "each line of the file must be one JSON object on its own, or the whole file one JSON array"
    if whole:
        hint = "the file is one JSON object over several lines: put the rows on a line each, or in one array"
    reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
    if isinstance(error, json.JSONDecodeError):
        reason = f"{error.msg} at column {error.colno}"
    return DatasetError(f"line {number} of `{path}` is not JSON: {reason}", hint)


def _array_values(path: Path, text: str, on_problem: OnProblem) -> Iterator[tuple[int, Any]]:
    decoder = json.JSONDecoder()
    at, line, seen = text.index("[") + 1, 1, 0
    expect_value = False
    while True:
        while at < len(text) and text[at] in " \t\r\n":
            at += 1
        line, seen = line + text.count("\n", seen, at), at
        if text[at : at + 1] == "]" and not expect_value:
            break
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            where = error.lineno if isinstance(error, json.JSONDecodeError) else line
            on_problem(where, _not_json(path, where, False, error))
            return
        yield line, value
        while at < len(text) and text[at] in " \t\r\n":
            at += 1
        if text[at : at + 1] not in (",", "]") or (text[at] == "]" and text[at + 1 :].strip()):
            where = text.count("\n", 0, at) + 1
            message = f"line {where} of `{path}` breaks its JSON array: expected `,` or the closing `]`"
            on_problem(where, DatasetError(message))
            return
        expect_value = text[at] == ","
        if not expect_value:
            break
        at += 1


def name_of(value: Any) -> str:
    """What a value is, in the words of an error."""
    if value is None:
        return "null"
    names = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", dict: "an object"}
    return "an empty list" if value == [] else names.get(type(value), type(value).__name__)
