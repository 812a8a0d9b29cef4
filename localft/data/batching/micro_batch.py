"""A micro-batch: rows end to end, what an engine takes in one pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from localft.data.tokens.tokenize import TokenizedRow

MICRO_TOKENS = 1024  # positions up to which rows share a micro-batch, where nothing else is said


@dataclass(frozen=True)
class MicroBatch:
    """Rows end to end, without padding. Positions restart at each row and attention never crosses one.

    Attributes:
        tokens: int32 [n_tok].
        targets: int32 [n_tok], the token that each position should predict.
        loss_mask: uint8 [n_tok], 1 = this target is supervised.
        row_starts: int32 [n_row + 1]; row r is [row_starts[r], row_starts[r + 1]).
    """

    tokens: NDArray[np.int32]
    targets: NDArray[np.int32]
    loss_mask: NDArray[np.uint8]
    row_starts: NDArray[np.int32]

    @property
    def n_tok(self) -> int:
        return int(self.tokens.size)

    @property
    def n_supervised(self) -> int:
        return int(self.loss_mask.sum())


def micro_batch(rows: Sequence[TokenizedRow]) -> MicroBatch:
    """Rows end to end: each row's tokens but the last, with the next token as target."""
    starts = np.zeros(len(rows) + 1, np.int32)
    np.cumsum([row.length for row in rows], out=starts[1:])
    tokens = [row.tokens for row in rows]
    return MicroBatch(
        tokens=np.concatenate([each[:-1] for each in tokens]),
        targets=np.concatenate([each[1:] for each in tokens]),
        loss_mask=np.concatenate([row.loss_mask[1:] for row in rows]),
        row_starts=starts,
    )


def evaluation_batches(
    rows: Sequence[TokenizedRow], batch_size: int | None, micro_tokens: int = MICRO_TOKENS
) -> Iterator[MicroBatch]:
    """Every row once, in order, `batch_size` rows at a time; None: as many as make at most `micro_tokens` positions."""
    group: list[TokenizedRow] = []
    for row in rows:
        full = len(group) == batch_size if batch_size else sum(r.length for r in group) + row.length > micro_tokens
        if group and full:
            yield micro_batch(group)
            group = []
        group.append(row)
    if group:
        yield micro_batch(group)
