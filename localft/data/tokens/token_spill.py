"""Tokens of rows that are not kept from one run to the next, in a temporary file."""

from __future__ import annotations

import os
import tempfile
from array import array
from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from localft.data.rows.row import Row, RowKind
from localft.data.rows.row_list import room_for
from localft.data.tokens.token_file import with_mask
from localft.data.tokens.tokenize import Unit

_WRITE, _READ = 1 << 20, 1 << 30
_KINDS: tuple[RowKind, ...] = get_args(RowKind)


class TokenSpill:
    """What `TokenFile` is for a file of JSON Lines, for rows of any kind.

    Attributes:
        starts: [n_part + 1], where each part's tokens begin; parts: [n_row + 1], where each row's parts do.
        n_supervised: [n_part].
        lines: [n_row].

    Args:
        rows: that the units are made of, for their words.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows
        self._numbers = array("q")
        self._kinds = array("B")
        self.starts, self.parts = array("q", [0]), array("q", [0])
        self.n_supervised, self.lines = array("q"), array("q")
        self._last: tuple[int, Row] | None = None
        with room_for("tokens"):
            self._file = tempfile.TemporaryFile(prefix="localft-tokens-")  # noqa: SIM115 - it goes when this does

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()

    def add(self, number: int, unit: Unit) -> None:
        """Write the tokens of a unit.

        Args:
            number: of its row among `rows`.

        Raises:
            DatasetError: there is no room for temporary files.
        """
        for part in unit.parts:
            for start in range(0, part.tokens.size, _WRITE):
                here = slice(start, start + _WRITE)
                piece = replace(part, tokens=part.tokens[here], loss_mask=part.loss_mask[here])
                with room_for("tokens"):
                    self._file.write(with_mask(piece).astype("<u4", copy=False).tobytes())
            self.starts.append(self.starts[-1] + part.tokens.size)
            self.n_supervised.append(part.n_supervised)
        self.parts.append(len(self.n_supervised))
        self._numbers.append(number)
        self._kinds.append(_KINDS.index(unit.row.kind))
        self.lines.append(unit.row.line)

    def read(self, start: int, stop: int) -> NDArray[np.uint32]:
        """Tokens [start, stop), the highest bit of each = supervised."""
        with room_for("tokens"):
            self._file.flush()
        pieces = [b""]
        at, end = 4 * start, 4 * stop
        while at < end and (piece := os.pread(self._file.fileno(), min(end - at, _READ), at)):
            pieces.append(piece)
            at += len(piece)
        return np.frombuffer(pieces[1] if len(pieces) == 2 else b"".join(pieces), "<u4")

    def kind(self, number: int) -> RowKind:
        return _KINDS[self._kinds[number]]

    def source(self, number: int) -> str:
        return self.words(number).source

    def doc(self, number: int) -> str:
        return self.words(number).doc

    def source_kind(self, number: int) -> str:
        return self.words(number).source_kind

    def key(self, number: int) -> bytes:
        return b""

    def words(self, number: int) -> Row:
        """A row with its text or messages."""
        if self._last is None or self._last[0] != number:
            self._last = number, self._rows[self._numbers[number]]
        return self._last[1]
