"""Rows whose tokens lie in a file: what a run holds of them in memory is where to find them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from localft.data.rows.row import Message, Row, RowKind
from localft.data.tokens.token_file import SUPERVISED, TokenFile
from localft.data.tokens.token_spill import TokenSpill
from localft.data.tokens.tokenize import TokenizedRow, Unit

StoredTokenFile = TokenFile | TokenSpill
_ID = np.uint32((1 << 31) - 1)


def stored_units(file: TokenFile) -> list[Unit]:
    """Every row, in the file's order."""
    return [StoredUnit(StoredRow(file, number)) for number in range(file.lines.size)]


class StoredRow(Row):
    """A row of a `TokenFile`; its words are read anew each time that they are asked for."""

    __slots__ = ("file", "number")
    file: StoredTokenFile
    number: int

    def __init__(self, file: StoredTokenFile, number: int) -> None:
        object.__setattr__(self, "file", file)
        object.__setattr__(self, "number", number)

    @property
    def kind(self) -> RowKind:
        return self.file.kind(self.number)

    @property
    def source(self) -> str:
        return self.file.source(self.number)

    @property
    def line(self) -> int:
        return int(self.file.lines[self.number])

    @property
    def text(self) -> str:
        return self.file.words(self.number).text

    @property
    def messages(self) -> tuple[Message, ...]:
        return self.file.words(self.number).messages

    @property
    def doc(self) -> str:
        return self.file.doc(self.number)

    @property
    def source_kind(self) -> str:
        return self.file.source_kind(self.number)

    @property
    def identity(self) -> object:
        return id(self.file), self.number

    @property
    def known_key(self) -> bytes:
        return self.file.key(self.number)


class StoredUnit(Unit):
    """A row of a `TokenFile` with what it became."""

    __slots__ = ("row",)
    row: StoredRow

    def __init__(self, row: StoredRow) -> None:
        object.__setattr__(self, "row", row)

    @property
    def parts(self) -> tuple[TokenizedRow, ...]:
        row, file = self.row, self.row.file
        numbers = range(file.parts[row.number], file.parts[row.number + 1])
        return tuple(
            StoredTokens(row, int(file.starts[n]), int(file.starts[n + 1]), int(file.n_supervised[n])) for n in numbers
        )

    @property
    def length(self) -> int:
        row = self.row
        first, last = row.file.parts[row.number], row.file.parts[row.number + 1]
        return int(np.diff(row.file.starts[first : last + 1]).max()) - 1


class StoredTokens(TokenizedRow):
    """Tokens [start, stop) of a `TokenFile`, read anew each time that they are asked for."""

    __slots__ = ("of", "start", "stop", "supervised")
    of: StoredRow
    start: int
    stop: int
    supervised: int

    def __init__(self, of: StoredRow, start: int, stop: int, supervised: int) -> None:
        for name, value in (("of", of), ("start", start), ("stop", stop), ("supervised", supervised)):
            object.__setattr__(self, name, value)

    @property
    def tokens(self) -> NDArray[np.int32]:
        return (self.of.file.read(self.start, self.stop) & _ID).view(np.int32)

    @property
    def loss_mask(self) -> NDArray[np.uint8]:
        mask = (self.of.file.read(self.start, self.stop) >> np.uint32(31)).astype(np.uint8)
        mask[:1] = 0
        return mask

    @property
    def source(self) -> str:
        return self.of.source

    @property
    def line(self) -> int:
        return self.of.line

    @property
    def is_text(self) -> bool:
        return self.of.kind == "text"

    @property
    def length(self) -> int:
        return self.stop - self.start - 1

    @property
    def n_supervised(self) -> int:
        return self.supervised

    def cut(self, start: int, stop: int) -> TokenizedRow:
        first, last = self.start + start, min(self.start + stop, self.stop)
        mask = self.of.file.read(first, last)[1:] & SUPERVISED
        return StoredTokens(self.of, first, last, int(np.count_nonzero(mask)))
