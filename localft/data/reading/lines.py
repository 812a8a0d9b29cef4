"""JSON Lines, and text by its lines: a few at a time, however long the file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from localft.data.reading.data_file import OnProblem, bom_length, decode_line, decode_lines, read_chunks, refuse
from localft.data.reading.json_array import array_values
from localft.data.reading.not_json import no_rows, not_json
from localft.errors import DatasetError

BLOCK = 1 << 18  # bytes
# bytes; a line of JSON that is longer is no row but a broken file, and may be 24 times as large in memory: `[],[],…`
MAX_LINE = 1 << 25


class Block(NamedTuple):
    """Whole lines of a file: the number of the first (1-based), the bytes that stand before it, and the lines."""

    line: int
    offset: int
    data: bytes


def blocks(path: Path, on_problem: OnProblem = refuse) -> Iterator[Block]:
    """A file as blocks of whole lines, without a byte order mark; each is about `BLOCK` bytes, or one line.

    Raises:
        DatasetError: see `read_chunks`.
    """
    line, offset = 1, 0
    kept: list[bytes] = []  # the beginning of a line
    n_kept = 0
    for number, chunk in enumerate(read_chunks(path, BLOCK)):
        if number == 0:
            offset = bom_length(chunk)
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
            data = b"".join([*kept, chunk[:end]])
            kept, n_kept = [], 0  # before the block is handed out: a long line is not held twice
            yield Block(line, offset, data)
            line, offset = line + data.count(b"\n"), offset + len(data)
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
                # files that were put together have a byte order mark where each began
                value = json.loads(decode_line(path, number, offset, data).lstrip("\ufeff"))
            except DatasetError as error:
                on_problem(number, error)
            except (ValueError, RecursionError) as error:
                on_problem(number, not_json(path, number, error))
            else:
                yield number, value
        offset += len(data) + 1


def _pieces(path: Path) -> Iterator[Block]:
    """A file as blocks of whole lines as far as lines are short; a long one is cut between characters.

    Raises:
        DatasetError: see `blocks`.
    """
    line, offset, kept = 1, 0, b""
    for number, chunk in enumerate(read_chunks(path, BLOCK)):
        if number == 0:
            offset = bom_length(chunk)
            chunk = chunk[offset:]
        data = kept + chunk
        end = data.rfind(b"\n") + 1
        if not end and len(data) > 4 * BLOCK:
            end = next((at for at in range(len(data) - 1, len(data) - 5, -1) if data[at] & 0xC0 != 0x80), len(data))
        if end:
            yield Block(line, offset, data[:end])
            line, offset = line + data.count(b"\n", 0, end), offset + end
        kept = data[end:]
    if kept:
        yield Block(line, offset, kept)


def text_lines(path: Path, on_problem: OnProblem = refuse) -> Iterator[str]:
    """A file's text, a few whole lines at a time; line ends as they stand. Lines that are no text, or too long, are
    told to `on_problem` and left empty.

    Raises:
        DatasetError: see `blocks`.
    """
    line = 1
    for block in blocks(path, on_problem):
        yield "\n" * (block.line - line)
        line = block.line + block.data.count(b"\n")
        yield _text(path, block, on_problem)


def _text(path: Path, block: Block, on_problem: OnProblem) -> str:
    return decode_lines(path, block.line, block.offset, block.data, on_problem)


def json_values(path: Path, on_problem: OnProblem = refuse) -> Iterator[tuple[int, Any]]:
    """Each value with the line that it starts on: of one array, or of one line each.

    Of an array what follows a mistake cannot be read; of lines the next one can.
    """
    if is_array(path):
        texts = (_text(path, piece, on_problem) for piece in _pieces(path))
        yield from array_values(path, texts, MAX_LINE, on_problem)
        return
    if error := no_rows(path):
        on_problem(1, error)
        return
    for block in blocks(path, on_problem):
        yield from block_values(path, block, on_problem)


def is_array(path: Path) -> bool:
    """Whether a file holds one JSON array, which may stand on one line, and no lines.

    A list that begins with a turn is a row: a conversation, with others on the lines below it.

    Raises:
        DatasetError: see `read_chunks`.
    """
    for number, chunk in enumerate(read_chunks(path, BLOCK)):
        text = chunk[bom_length(chunk) if number == 0 else 0 :].lstrip()
        if text:
            return text[:1] == b"[" and not _begins_with_turn(text)
    return False


def _begins_with_turn(text: bytes) -> bool:
    """Whether a list's first value is a turn that ends on the list's first line."""
    line = text[1:].partition(b"\n")[0].decode("utf-8", "replace").lstrip()
    if not line.startswith("{"):
        return False
    try:
        first, _ = json.JSONDecoder().raw_decode(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(first, dict) and ({"role", "content"} <= first.keys() or {"from", "value"} <= first.keys())


def _too_long(path: Path, number: int, length: int) -> DatasetError:
    message = f"line {number} of `{path}` is {length:,} bytes long, at most {MAX_LINE:,} are read"
    return DatasetError(message, "each row stands on a line of its own: split the file into lines")
