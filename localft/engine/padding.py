"""From flat micro-batches to the padded rows that PyTorch's attention wants."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from localft.data.batching.micro_batch import MicroBatch
from localft.errors import REPORT, EngineError

# Padding computed for nothing, as a share of the tokens, up to which rows run side by side.
MAX_PADDING = 0.25


def check_batch(batch: MicroBatch, n_vocab: int) -> None:
    """Refuse a micro-batch that torch would index out of bounds with (on CUDA, an abort of the process).

    Raises:
        EngineError: shapes, row_starts or token ids are wrong.
    """
    n_tok, starts = batch.n_tok, batch.row_starts
    if not n_tok or batch.targets.shape != (n_tok,) or batch.loss_mask.shape != (n_tok,):
        raise EngineError(
            f"a micro-batch of {n_tok} tokens needs as many targets and mask entries, and at least one", REPORT
        )
    if starts.size < 2 or starts[0] != 0 or starts[-1] != n_tok or (np.diff(starts) <= 0).any():
        raise EngineError("row_starts must rise from 0 to the number of tokens", REPORT)
    for ids in (batch.tokens, batch.targets[batch.loss_mask == 1]):
        if ids.size and (ids.min() < 0 or ids.max() >= n_vocab):
            raise EngineError(f"a token id is outside the model's vocabulary of {n_vocab}", "tokenize with this model")


def row_groups(batch: MicroBatch) -> Iterator[list[tuple[int, int]]]:
    """Rows as (start, end), longest first, put together while padding stays under MAX_PADDING."""
    rows = sorted(zip(batch.row_starts[:-1].tolist(), batch.row_starts[1:].tolist(), strict=True), key=_negative_length)
    group: list[tuple[int, int]] = []
    for row in rows:
        n_tok = sum(end - start for start, end in [*group, row])
        if group and (len(group) + 1) * (group[0][1] - group[0][0]) > (1 + MAX_PADDING) * n_tok:
            yield group
            group = []
        group.append(row)
    yield group


def _negative_length(row: tuple[int, int]) -> int:
    return row[0] - row[1]
