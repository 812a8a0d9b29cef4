"""Sequences, steps and micro-batches: every row once an epoch, in a seeded order, whatever the grouping."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localft.data.batching.batches import balance, plan_batches
from localft.data.batching.micro_batch import MicroBatch, evaluation_batches, micro_batch
from localft.data.batching.packing import pack
from localft.data.tokens.tokenize import TokenizedRow
from localft.errors import DatasetError


def row(length: int, first: int = 0) -> TokenizedRow:
    """A row of `length` positions whose tokens count up from `first`; every other target is supervised."""
    tokens = np.arange(first, first + length + 1, dtype=np.int32)
    mask = (np.arange(length + 1) % 2).astype(np.uint8)
    return TokenizedRow(tokens, mask, "x.jsonl", first)


def rows_of(lengths: Iterable[int]) -> list[TokenizedRow]:
    return [row(length, 1000 * i) for i, length in enumerate(lengths)]


def parts(batches: Iterable[MicroBatch]) -> list[list[int]]:
    """Per micro-batch, which rows it holds (by their first token)."""
    return [[int(batch.tokens[start]) // 1000 for start in batch.row_starts[:-1]] for batch in batches]


def test_a_micro_batch_is_flat() -> None:
    batch = micro_batch([row(3, 10), row(1, 20)])
    assert batch.tokens.tolist() == [10, 11, 12, 20]
    assert batch.targets.tolist() == [11, 12, 13, 21]
    assert batch.loss_mask.tolist() == [1, 0, 1, 1]
    assert batch.row_starts.tolist() == [0, 3, 4]
    kinds = (batch.tokens.dtype, batch.targets.dtype, batch.loss_mask.dtype, batch.row_starts.dtype)
    assert kinds == (np.int32, np.int32, np.uint8, np.int32)


lengths_of_rows = st.lists(st.integers(1, 40), min_size=1, max_size=40)


@given(
    lengths=lengths_of_rows,
    batch_size=st.integers(1, 9),
    micro=st.one_of(st.none(), st.integers(1, 4)),
    packing=st.booleans(),
    micro_tokens=st.integers(20, 90),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_an_epoch_holds_every_row_once(
    lengths: list[int], batch_size: int, micro: int | None, packing: bool, micro_tokens: int
) -> None:
    rows = rows_of(lengths)
    planned = plan_batches(
        rows,
        batch_size=batch_size,
        micro_batch_size=micro,
        seed=3,
        packing=packing,
        n_ctx=40,
        micro_tokens=micro_tokens,
    )
    steps = [planned.step(1, i) for i in range(planned.steps_per_epoch)]
    assert Counter(r for step in steps for part in parts(step) for r in part) == Counter(range(len(rows)))
    assert all(batch.n_tok <= planned.max_micro_tokens for step in steps for batch in step)
    sequence_of = {r: s for s, sequence in enumerate(planned.sequences) for r in sequence}
    sizes = [len({sequence_of[r] for part in parts(step) for r in part}) for step in steps]
    assert sizes[:-1] == [batch_size] * (len(steps) - 1)
    assert 1 <= sizes[-1] <= batch_size
    for part in (part for step in steps for part in parts(step)):
        together = {sequence_of[r] for r in part}
        assert len(together) <= (micro or batch_size)
        assert micro or len(together) == 1 or sum(lengths[r] for r in part) <= micro_tokens


def test_order_depends_on_seed_and_epoch_alone() -> None:
    rows = rows_of([4] * 30)

    def order(seed: int, epoch: int, micro: int | None = 1) -> list[int]:
        planned = plan_batches(rows, batch_size=8, micro_batch_size=micro, seed=seed, packing=False, n_ctx=4)
        return [r for i in range(planned.steps_per_epoch) for part in parts(planned.step(epoch, i)) for r in part]

    assert order(0, 0) == order(0, 0)
    assert len({tuple(order(seed, epoch)) for seed in (0, 1, 2) for epoch in (0, 1)}) == 6
    chunked = [sorted(order(0, 0)[i : i + 8]) for i in range(0, 30, 8)]
    assert [sorted(order(0, 0, None)[i : i + 8]) for i in range(0, 30, 8)] == chunked
    assert order(42, 0)[:6] == [2, 6, 13, 14, 24, 0], "a resumed run must find the order that it left"


def test_steps_out_of_range() -> None:
    planned = plan_batches(rows_of([3] * 5), batch_size=2, micro_batch_size=None, seed=0, packing=False, n_ctx=3)
    assert planned.steps_per_epoch == 3
    with pytest.raises(IndexError):
        planned.step(0, 3)


@given(lengths=lengths_of_rows)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_packing_fills_sequences(lengths: list[int]) -> None:
    sequences = pack(rows_of(lengths), 40)
    assert Counter(r for sequence in sequences for r in sequence) == Counter(range(len(lengths)))
    sums = sorted(sum(lengths[r] for r in sequence) for sequence in sequences)
    assert sums[-1] <= 40
    assert len(sums) == 1 or sums[0] + sums[1] > 40, "two sequences that fit into one are one"


def test_packing_takes_the_best_fit() -> None:
    assert pack(rows_of([6, 7, 3, 4, 10]), 10) == [(4,), (1, 2), (0, 3)]
    with pytest.raises(DatasetError, match="takes 11 positions, n_ctx is 10"):
        pack(rows_of([11]), 10)


def test_micro_batches_are_about_equal() -> None:
    assert balance([400, 400, 300, 300], 1024) == [[0, 2], [1, 3]]
    assert balance([600, 500, 400, 300, 200], 1024) == [[0, 2], [1, 3, 4]], "as few as will do"
    assert balance([2000, 10], 1024) in ([[0], [1]], [[1], [0]])


def test_evaluation_takes_every_row_once_in_order() -> None:
    rows = rows_of([5, 5, 5, 50, 5])
    assert parts(evaluation_batches(rows, 2, 40)) == [[0, 1], [2, 3], [4]], "a number that was asked for is kept"
    assert parts(evaluation_batches(rows, None, 12)) == [[0, 1], [2], [3], [4]]
    assert parts(evaluation_batches(rows, None)) == [[0, 1, 2, 3, 4]]
    total = sum(batch.n_supervised for batch in evaluation_batches(rows, 2))
    assert (
        total == sum(batch.n_supervised for batch in evaluation_batches(rows, 1)) == sum(r.n_supervised for r in rows)
    )


def test_nothing_to_plan() -> None:
    with pytest.raises(DatasetError, match="no rows to train on"):
        plan_batches([], batch_size=1, micro_batch_size=None, seed=0, packing=False, n_ctx=8)
