"""The tokens of one data file, in files of their own: how they are written, and read again."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, get_args

import numpy as np
from numpy.typing import NDArray

from localft.arrays import whole
from localft.data.reading.data_format import data_format
from localft.data.reading.lines import Block, blocks
from localft.data.rows.documents import content_key
from localft.data.rows.reader import read_block
from localft.data.rows.row import Columns, Row, RowKind
from localft.data.tokens.counts import Counts
from localft.data.tokens.tokenize import TokenizedRow, Unit
from localft.errors import DatasetError
from localft.files import open_file, read_text
from localft.json_text import parse_json

SUPERVISED = np.uint32(1 << 31)
_KINDS: tuple[RowKind, ...] = get_args(RowKind)
_ARRAYS: dict[str, Any] = {
    "starts": np.int64, "n_supervised": np.int32, "parts": np.int32, "lines": np.int64, "offsets": np.int64,
    "kinds": np.uint8, "keys": "V16", "docs": np.int32, "source_kinds": np.int32,
}  # fmt: skip


def with_mask(part: TokenizedRow) -> NDArray[np.uint32]:
    """The tokens of a row; the highest bit of each = supervised as a target."""
    tokens = part.tokens.astype(np.uint32)
    np.bitwise_or(tokens, SUPERVISED, out=tokens, where=part.loss_mask.astype(np.bool_))
    return tokens


class TokenizedBlock:
    """Rows of a few lines, tokenized, as arrays.

    Attributes:
        tokens: uint32 [n_tok], part after part; the highest bit = supervised as a target.
        sizes, n_supervised: int32 [n_part], tokens of each part, and how many are supervised.
        parts: int32 [n_row], parts of each row.
        lines, offsets, kinds, keys: [n_row], see `Row`; `offsets` are the bytes of the file before its line, `keys` is
            `content_key`.
        docs, source_kinds: of each row, as text.
        counts: what was counted.
    """

    def __init__(self, block: Block, units: Sequence[Unit], counts: Counts) -> None:
        parts = [part for unit in units for part in unit.parts]
        rows = [unit.row for unit in units]
        self.tokens = np.concatenate([np.empty(0, np.uint32), *map(with_mask, parts)])
        self.sizes = np.array([part.tokens.size for part in parts], np.int32)
        self.n_supervised = np.array([part.n_supervised for part in parts], np.int32)
        self.parts = np.array([len(unit.parts) for unit in units], np.int32)
        self.lines = np.array([row.line for row in rows], np.int64)
        starts = np.flatnonzero(np.frombuffer(b"\n" + block.data, np.uint8) == ord("\n"))
        self.offsets = block.offset + starts[self.lines - block.line]
        self.kinds = np.array([_KINDS.index(row.kind) for row in rows], np.uint8)
        self.keys = np.array([content_key(row) for row in rows], "V16")
        self.docs = [row.doc for row in rows]
        self.source_kinds = [row.source_kind for row in rows]
        self.counts = counts


def write_tokens(folder: Path, pieces: Iterator[TokenizedBlock]) -> None:
    """Write pieces as the files of one `TokenFile`, keeping none of their tokens in memory.

    Raises:
        OSError: the folder cannot be written.
    """
    kept: dict[str, list[NDArray[Any]]] = {name: [] for name in _ARRAYS}
    names: dict[str, dict[str, int]] = {"docs": {"": 0}, "source_kinds": {"": 0}}
    counts = Counts()
    with (folder / "tokens.bin").open("wb") as file:
        for piece in pieces:
            file.write(piece.tokens.astype("<u4").tobytes())
            kept["starts"].append(piece.sizes)
            for name in ("n_supervised", "parts", "lines", "offsets", "kinds", "keys"):
                kept[name].append(getattr(piece, name))
            for name, known in names.items():
                texts: list[str] = getattr(piece, name)
                kept[name].append(np.array([known.setdefault(text, len(known)) for text in texts], np.int32))
            counts += piece.counts
    for name, kind in _ARRAYS.items():
        array = np.concatenate([np.empty(0, kind), *kept.pop(name)])
        if name in ("starts", "parts"):
            array = np.concatenate([[0], np.cumsum(array, dtype=np.int64)])
        np.save(folder / f"{name}.npy", whole(array))
    header = {name: list(known) for name, known in names.items()} | {"tally": counts.to_dict()}
    (folder / "header.json").write_text(json.dumps(header), encoding="utf-8")


def _array(path: Path) -> NDArray[Any]:
    with open_file(path) as file:
        array: NDArray[Any] = np.load(file)
        return array


class TokenFile:
    """The rows of one data file, as `write_tokens` left them.

    Attributes:
        path: the data file.
        starts: int64 [n_part + 1], where each part's tokens begin; parts: [n_row + 1], where each row's parts do.
        counts: what was counted.

    Args:
        folder: of the tokens.
        path: the data file, for messages, and for the words of its rows.
        columns: see `read_file`.

    Raises:
        OSError, ValueError, KeyError: the folder is not whole.
    """

    def __init__(self, folder: Path, path: Path, columns: Columns) -> None:
        self.path, self.columns = path, columns
        header = parse_json(read_text(folder / "header.json"))
        loaded = {name: _array(folder / f"{name}.npy") for name in _ARRAYS}
        self.starts, self.parts, self.lines, self._kinds = (loaded[n] for n in ("starts", "parts", "lines", "kinds"))
        self.n_supervised, self.keys, self._offsets = loaded["n_supervised"], loaded["keys"], loaded["offsets"]
        self._docs, self._source_kinds = loaded["docs"], loaded["source_kinds"]
        self._names: dict[str, list[str]] = {name: header[name] for name in ("docs", "source_kinds")}
        self.counts = Counts.from_dict(header["tally"])
        self._file: BinaryIO = (folder / "tokens.bin").open("rb", buffering=0)
        if self._file.seek(0, 2) != 4 * int(self.starts[-1]):
            self._file.close()
            raise ValueError("tokens.bin is not whole")
        self._lock = threading.Lock()
        self._words = _Words(path, columns)

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()

    def read(self, start: int, stop: int) -> NDArray[np.uint32]:
        """Tokens [start, stop) of the file, the highest bit of each = supervised."""
        buffer = bytearray(4 * (stop - start))
        view, done = memoryview(buffer), 0
        with self._lock:
            self._file.seek(4 * start)
            while done < len(buffer) and (n := self._file.readinto(view[done:])):  # type: ignore[attr-defined]
                done += n
        if done < len(buffer):
            raise DatasetError(f"the tokens of `{self.path}` in localft's cache are gone", "start the run again")
        return np.frombuffer(buffer, "<u4")

    def source(self, number: int) -> str:
        return str(self.path)

    def key(self, number: int) -> bytes:
        return bytes(self.keys[number])

    def kind(self, number: int) -> RowKind:
        return _KINDS[int(self._kinds[number])]

    def doc(self, number: int) -> str:
        return self._names["docs"][int(self._docs[number])]

    def source_kind(self, number: int) -> str:
        return self._names["source_kinds"][int(self._source_kinds[number])]

    def words(self, number: int) -> Row:
        """A row with its text or messages, read anew from the data file."""
        return self._words.row(int(self.lines[number]), int(self._offsets[number]))


class _Words:
    """Rows of a data file by their line; of a compressed file cheap only where they are asked for in their order."""

    def __init__(self, path: Path, columns: Columns) -> None:
        self._path, self._columns = path, columns
        self._packed = bool(data_format(path).packing)
        self._ahead: Iterator[Row] = iter(())
        self._last: Row | None = None
        self._lock = threading.Lock()

    def row(self, line: int, offset: int) -> Row:
        """The row of a line, and the bytes of the file that stand before it.

        Raises:
            DatasetError: the file changed.
        """
        with self._lock:
            if self._last is None or self._last.line != line:
                ahead = self._onward(line) if self._packed else self._at(line, offset)
                self._last = next((row for row in ahead if row.line == line), None)
            if self._last is None:
                message = f"line {line} of `{self._path}` changed while it was read"
                raise DatasetError(message, "leave data alone while a run reads it")
            return self._last

    def _at(self, line: int, offset: int) -> Sequence[Row]:
        try:
            with open_file(self._path) as file:
                file.seek(offset)
                data = file.readline()
        except OSError:
            return ()
        return read_block(self._path, Block(line, offset, data), self._columns).rows

    def _onward(self, line: int) -> Iterator[Row]:
        if self._last is None or self._last.line > line:
            found = blocks(self._path)
            self._ahead = (row for block in found for row in read_block(self._path, block, self._columns).rows)
        return self._ahead
