"""Rows in their order: in memory while they are few, else in a temporary file."""

from __future__ import annotations

import marshal
import os
import tempfile
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from sys import getsizeof
from typing import IO, Any

from localft.data.rows.row import Message, Row
from localft.data.rows.sequences import Lazy
from localft.errors import DatasetError

MEMORY = 128 << 20  # bytes that rows take in memory before they go to a file
_ROW_BYTES = 512  # what a row takes beside its texts
_READ = 1 << 18


class RowList(Lazy[Row]):
    """Rows that are appended one by one.

    Those in a file are read anew each time that they are asked for, and take 8 bytes of memory each.
    """

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self._kept: list[Row] = []
        self._size = 0
        self._file: IO[bytes] | None = None
        self._starts = array("q", [0])
        self.extend(rows)

    def append(self, row: Row) -> None:
        """Add a row.

        Raises:
            DatasetError: there is no room for temporary files.
        """
        if self._file:
            with room_for("rows"):
                self._write([row])
            return
        self._kept.append(row)
        texts = (row.text, *(text for message in row.messages for text in message))
        self._size += _ROW_BYTES + sum(map(getsizeof, texts))
        if self._size > MEMORY:
            with room_for("rows"):
                self._file = tempfile.TemporaryFile(prefix="localft-rows-")  # noqa: SIM115 - it goes when this does
                self._write(self._kept)
            self._kept = []

    def extend(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self.append(row)

    def _write(self, rows: Sequence[Row]) -> None:
        assert self._file is not None
        for row in rows:
            # a Message is no plain tuple, which marshal asks for
            messages: Any = tuple(map(tuple, row.messages))
            data = marshal.dumps((row.kind, row.source, row.line, row.text, messages, row.doc, row.source_kind))
            self._file.write(data)
            self._starts.append(self._starts[-1] + len(data))

    def __len__(self) -> int:
        return len(self._starts) - 1 if self._file else len(self._kept)

    def item(self, number: int) -> Row:
        if not self._file:
            return self._kept[number]
        return self._row(number, self._read(self._starts[number], self._starts[number + 1]))

    def items_at(self, numbers: Iterable[int]) -> Iterator[Row]:
        if not self._file:
            yield from map(self._kept.__getitem__, numbers)
            return
        data, first = b"", 0
        for number in numbers:
            start, stop = self._starts[number], self._starts[number + 1]
            if not first <= start <= stop <= first + len(data):
                data, first = self._read(start, max(stop, start + _READ)), start
            yield self._row(number, data[start - first : stop - first])

    def _row(self, number: int, data: bytes) -> Row:
        kind, source, line, text, messages, doc, source_kind = marshal.loads(data)
        row = Row(kind, source, line, text, tuple(Message(*message) for message in messages), doc, source_kind)
        object.__setattr__(row, "kept_as", id(self) << 40 | number)
        return row

    def _read(self, start: int, stop: int) -> bytes:
        assert self._file is not None
        with room_for("rows"):
            self._file.flush()
        return os.pread(self._file.fileno(), min(stop, self._starts[-1]) - start, start)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"RowList({self._kept!r})" if not self._file else f"<RowList of {len(self):,} rows>"

    def __del__(self) -> None:
        if getattr(self, "_file", None):
            self._file.close()  # type: ignore[union-attr]


@contextmanager
def room_for(what: str) -> Iterator[None]:
    """Turn a temporary file that cannot be written into a sentence.

    Raises:
        DatasetError: there is no room for `what`.
    """
    try:
        yield
    except OSError as error:
        hint = "free some room there, or set TMPDIR to a folder on a larger disk"
        raise DatasetError(f"cannot keep {what} in `{tempfile.gettempdir()}`: {error.strerror}", hint) from None
