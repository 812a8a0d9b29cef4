"""Rows to units: in memory while they are few, else with their tokens in a temporary file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from sys import getsizeof

from localft.data.rows.row import Row
from localft.data.rows.sequences import Lazy
from localft.data.tokens.rows_on_disk import StoredRow, StoredUnit
from localft.data.tokens.token_spill import TokenSpill
from localft.data.tokens.tokenize import Unit

MEMORY = 128 << 20  # bytes that units take in memory before their tokens go to a file
_UNIT_BYTES = 1024  # what a unit takes beside its tokens


def units_of(rows: Sequence[Row], unit: Callable[[Row], Unit | None]) -> Sequence[Unit]:
    """What `unit` makes of each row, as far as it makes something."""
    units, size, spill = list[Unit](), 0, None
    numbers = list[int]()
    for number, row in enumerate(rows):
        if (made := unit(row)) is None:
            continue
        if spill is not None:
            spill.add(number, made)
            continue
        units.append(made)
        numbers.append(number)
        size += _UNIT_BYTES + sum(getsizeof(part.tokens) + getsizeof(part.loss_mask) for part in made.parts)
        if size > MEMORY:
            spill = TokenSpill(rows)
            for each, made in zip(numbers, units, strict=True):
                spill.add(each, made)
            units, numbers = [], []
    return units if spill is None else SpilledUnits(spill)


class SpilledUnits(Lazy[Unit]):
    """The units of a `TokenSpill`, made when they are asked for."""

    def __init__(self, spill: TokenSpill) -> None:
        self._spill = spill

    def __len__(self) -> int:
        return len(self._spill.lines)

    def item(self, number: int) -> Unit:
        return StoredUnit(StoredRow(self._spill, number))
