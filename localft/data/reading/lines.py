"""JSON Lines a few at a time, however long the file; and JSON arrays, which are read as a whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from localft.data.reading.data_file import BOM, OnProblem, decode_line, read_chunks, read_text, refuse, refuse_utf16
from localft.errors import DatasetError

BLOCK = 1 << 18  # bytes
MAX_LINE = 1 << 28  # bytes; a line of JSON that is longer is no row but a broken file


class Block(NamedTuple):
    """Whole lines of a file: the number of the first (1-based), the bytes that stand before it, and the lines."""

    line: int
    offset: int
    data: bytes


def blocks(path: Path, on_problem: OnProblem = refuse) -> Iterator[Block]:
    """A file as blocks of whole lines, without a byte order mark; each is about `BLOCK` bytes, or one line.

    Raises:
        DatasetError: see `read_chunks`; or it is UTF-16.
    """
    line, offset = 1, 0
    kept: list[bytes] = []  # the beginning of a line
    n_kept = 0
    for number, chunk in enumerate(read_chunks(path, BLOCK)):
        if number == 0:
            refuse_utf16(path, chunk)
            offset = len(BOM) if chunk.startswith(BOM) else 0
            chunk = chunk[offset:]
        end = chunk.rfind(b"\n") + 1
        if n_kept > MAX_LINE:
            kept = []
            if not end:
                n_kept += len(chunk)
                continue
            first = chunk.index(b"\n") + 1
            on_problem(line, _too_long(path, line, n_kept + first - 1))
            line, offset = line + 1, offset + n_kept + first
            chunk, end, n_kept = chunk[first:], end - first, 0
        if end:
            block = Block(line, offset, b"".join([*kept, chunk[:end]]))
            yield block
            line, offset = line + block.data.count(b"\n"), offset + len(block.data)
            kept, n_kept = [], 0
        kept.append(chunk[end:])
        n_kept += len(chunk) - end
    if n_kept > MAX_LINE:
        on_problem(line, _too_long(path, line, n_kept))
    elif n_kept:
        yield Block(line, offset, b"".join(kept))


def block_values(path: Path, block: Block, on_problem: OnProblem = refuse) -> Iterator[tuple[int, Any]]:
    """Each line's value with its number; blank lines do not count."""
    offset = block.offset
    for number, data in enumerate(block.data.split(b"\n"), block.line):
        if len(data) > MAX_LINE:
            on_problem(number, _too_long(path, number, len(data)))
        elif data and not data.isspace():
            try:
                value = json.loads(decode_line(path, number, offset, data))
            except DatasetError as error:
                on_problem(number, error)
            except (ValueError, RecursionError) as error:
                on_problem(number, not_json(path, number, error))
            else:
                yield number, value
        offset += len(data) + 1


def json_values(path: Path, on_problem: OnProblem = refuse) -> Iterator[tuple[int, Any]]:
    """Each value with the line that it starts on: of one array, or of one line each.

    Of an array what follows a mistake cannot be read; of lines the next one can.
    """
    if is_array(path):
        text = read_text(path, on_problem)
        if text.lstrip().startswith("["):  # else its first line is no text, which has been told
            yield from _array_values(path, text, on_problem)
        return
    for number, block in enumerate(blocks(path, on_problem)):
        if number == 0 and (error := spread_object(path, block)):
            on_problem(1, error)
            return
        yield from block_values(path, block, on_problem)


def is_array(path: Path) -> bool:
    """Whether a file holds one JSON array, which may stand on one line, and no lines.

    Raises:
        DatasetError: see `read_chunks`.
    """
    for number, chunk in enumerate(read_chunks(path, BLOCK)):
        text = (chunk.removeprefix(BOM) if number == 0 else chunk).lstrip()
        if text:
            return text[:1] == b"["
    return False


def spread_object(path: Path, first: Block) -> DatasetError | None:
    """What to say about a file that is one JSON object over several lines, and not one a line; else None."""
    try:
        json.loads(first.data.partition(b"\n")[0])
    except (ValueError, RecursionError) as error:
        if first.line != 1:
            return None
        try:
            whole = isinstance(json.loads(first.data), dict)
        except (ValueError, RecursionError):
            return None
        hint = "the file is one JSON object over several lines: put the rows on a line each, or in one array"
        return not_json(path, 1, error, hint) if whole else None
    return None


def _too_long(path: Path, number: int, length: int) -> DatasetError:
    message = f"line {number} of `{path}` is {length:,} bytes long, at most {MAX_LINE:,} are read"
    return DatasetError(message, "each row stands on a line of its own: split the file into lines")


_A_LINE_EACH = "each line of the file must be one JSON object on its own, or the whole file one JSON array"


def not_json(path: Path, number: int, error: Exception, hint: str = _A_LINE_EACH) -> DatasetError:
    """What to say about a line that is no JSON."""
    reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
    if isinstance(error, json.JSONDecodeError):
        reason = f"{error.msg} at column {error.colno}"
        if "double quotes" in error.msg:
            hint = "JSON has keys and texts in double quotes; Python writes such lines with `json.dumps(row)`"
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
            on_problem(where, not_json(path, where, error))
            return
        yield line, value
        while at < len(text) and text[at] in " \t\r\n":
            at += 1
        if text[at : at + 1] not in (",", "]") or (text[at] == "]" and text[at + 1 :].strip()):
            where = text.count("\n", 0, at) + 1
            message = f"line {where} of `{path}` breaks its JSON array: expected `,` or the closing `]`"
            on_problem(where, DatasetError(message, "mend it there, or save the rows as JSON lines"))
            return
        expect_value = text[at] == ","
        if not expect_value:
            break
        at += 1
