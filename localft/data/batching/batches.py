"""Rows to micro-batches: which rows make a sequence, which sequences a step, and in which order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from localft.data.batching.micro_batch import MICRO_TOKENS, MicroBatch, micro_batch
from localft.data.batching.packing import RowIndices, pack
from localft.data.split.shuffle import shuffled
from localft.data.tokens.tokenize import TokenizedRow
from localft.errors import DatasetError
from localft.units import count


@dataclass(frozen=True)
class BatchPlan:
    """Every step of every epoch, each computed when it is asked for and always the same.

    Attributes:
        rows: the training rows.
        sequences: row indices that share a sequence; one each without packing.
        batch_size: sequences per step; the last step of an epoch may have fewer.
        micro_batch_size: sequences per micro-batch, None: as many as make about `micro_tokens`.
        micro_tokens: positions that a micro-batch holds at most, unless one sequence alone is longer.
        seed: of the order of each epoch; 0 is a seed.
        passes: where an epoch is not every sequence once: of sequences that stand together, how many they are and how
            often an epoch passes over them. It then takes turns between them, as evenly as they go.
    """

    rows: tuple[TokenizedRow, ...]
    sequences: tuple[RowIndices, ...]
    batch_size: int
    micro_batch_size: int | None
    micro_tokens: int
    seed: int
    passes: tuple[tuple[int, float], ...] = ()

    @property
    def n_drawn(self) -> tuple[int, ...]:
        """Sequences that an epoch takes of each group of `passes`."""
        return tuple(max(1, round(n * weight)) for n, weight in self.passes or ((len(self.sequences), 1.0),))

    def describe_packing(self, n_ctx: int) -> str:
        """How full sequences of `n_ctx` positions are, and how full they would be with a row each; in words."""
        n_row, n_sequence = sum(map(len, self.sequences)), len(self.sequences)
        filled = sum(map(self._length, self.sequences)) / n_ctx
        packed, alone = f"{filled / n_sequence:.1%}", f"{filled / n_row:.1%}"
        return f"{count(n_row, 'row')} in {count(n_sequence, 'sequence')}, {packed} full (with a row each {alone})"

    @property
    def steps_per_epoch(self) -> int:
        return -(-sum(self.n_drawn) // self.batch_size)

    @property
    def epoch_tokens(self) -> float:
        """Positions of one epoch; on average, where epochs differ."""
        lengths = [self._length(sequence) for sequence in self.sequences]
        total, start = 0.0, 0
        for (n, _), drawn in zip(self.passes or ((len(lengths), 1.0),), self.n_drawn, strict=True):
            total += sum(lengths[start : start + n]) * drawn / n
            start += n
        return total

    @property
    def max_micro_tokens(self) -> int:
        """Positions of the largest micro-batch that any step can have."""
        lengths = [self._length(sequence) for sequence in self.sequences]
        most = [min(math.ceil(weight) + 1, self.batch_size) for n, weight in self.passes for _ in range(n)] or [
            1
        ] * len(lengths)
        lengths = sorted((length for length, n in zip(lengths, most, strict=True) for _ in range(n)), reverse=True)
        if self.micro_batch_size is None:
            return max(min(self.micro_tokens, sum(lengths[: self.batch_size])), lengths[0])
        return sum(lengths[: min(self.micro_batch_size, self.batch_size)])

    def step(self, epoch: int, index: int) -> list[MicroBatch]:
        """The micro-batches of one step.

        Args:
            epoch: 0-based; decides the order of the sequences.
            index: 0-based step within the epoch.

        Raises:
            IndexError: there is no such step.
        """
        if not 0 <= index < self.steps_per_epoch:
            raise IndexError(f"step {index} of {self.steps_per_epoch}")
        order = self._order(epoch)
        chosen = [self.sequences[i] for i in order[index * self.batch_size : (index + 1) * self.batch_size]]
        return [micro_batch([self.rows[row] for sequence in part for row in sequence]) for part in self._parts(chosen)]

    def _order(self, epoch: int) -> NDArray[np.intp]:
        if not self.passes:
            return shuffled(len(self.sequences), self.seed, 2, epoch)
        orders, places, start = [], [], 0
        for group, ((n, _), n_drawn) in enumerate(zip(self.passes, self.n_drawn, strict=True)):
            orders.append(start + draw(n, n_drawn, epoch, self.seed, 3, group))
            jitter = np.random.Generator(np.random.PCG64([self.seed % 2**64, 4, group, epoch])).random(n_drawn)
            places.append((np.arange(n_drawn) + jitter) / n_drawn)
            start += n
        order: NDArray[np.intp] = np.concatenate(orders)[np.argsort(np.concatenate(places), kind="stable")]
        return order

    def _length(self, sequence: RowIndices) -> int:
        return sum(self.rows[row].length for row in sequence)

    def _parts(self, chosen: list[RowIndices]) -> list[list[RowIndices]]:
        if self.micro_batch_size is not None:
            return [chosen[i : i + self.micro_batch_size] for i in range(0, len(chosen), self.micro_batch_size)]
        lengths = [self._length(sequence) for sequence in chosen]
        bins = balance(lengths, self.micro_tokens)
        return [[chosen[i] for i in part] for part in bins]


def plan_batches(
    rows: Sequence[TokenizedRow],
    *,
    batch_size: int,
    micro_batch_size: int | None,
    seed: int,
    packing: bool,
    n_ctx: int,
    micro_tokens: int = MICRO_TOKENS,
    passes: Sequence[tuple[int, float]] = (),
) -> BatchPlan:
    """Plan the steps over `rows`.

    Args:
        rows: at most `n_ctx` positions each; not modified.
        batch_size: sequences per step.
        micro_batch_size: sequences per micro-batch; None: as many as make about `micro_tokens` positions.
        seed: of the order of each epoch; 0 is a seed.
        packing: fill each sequence with as many rows as fit into `n_ctx` positions.
        n_ctx: positions per sequence.
        micro_tokens: see `micro_batch_size`.
        passes: of rows that stand together, how many they are and how often an epoch passes over them, a fraction by
            taking the next part of them in each epoch; they share no sequence with others. Empty: every row once.

    Raises:
        DatasetError: there are no rows.
    """
    if not rows:
        raise DatasetError("no rows to train on", "see the counts above for what was dropped and why")
    sequences: list[RowIndices] = []
    groups, start = [], 0
    for n, weight in passes or ((len(rows), 1.0),):
        part = pack(rows[start : start + n], n_ctx) if packing else [(i,) for i in range(n)]
        sequences += [tuple(start + i for i in indices) for indices in part]
        groups.append((len(part), weight))
        start += n
    weighted = tuple(groups) if passes else ()
    return BatchPlan(tuple(rows), tuple(sequences), batch_size, micro_batch_size, micro_tokens, seed, weighted)


def draw(n: int, n_drawn: int, epoch: int, *seed: int) -> NDArray[np.intp]:
    """Which of `n` things an epoch takes: the next `n_drawn` of shuffled passes over all of them, one after another."""
    first = epoch * n_drawn
    of_pass = [shuffled(n, *seed, number) for number in range(first // n, (first + n_drawn - 1) // n + 1)]
    return np.concatenate(of_pass)[first % n : first % n + n_drawn]


def balance(lengths: Sequence[int], limit: int) -> list[list[int]]:
    """Indices in as few groups as will do, of about equal sums at most `limit` (a longer item stands alone)."""
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    n_bin = max(1, -(-sum(lengths) // limit))
    while True:
        for fullest in (False, True):
            bins = _place(order, lengths, limit, n_bin, fullest)
            if bins is not None:
                return [sorted(part) for part in bins if part]
        n_bin += 1


def _place(order: list[int], lengths: Sequence[int], limit: int, n_bin: int, fullest: bool) -> list[list[int]] | None:
    """Each item into the emptiest of `n_bin` groups, or into the fullest that has room; None if one is overfull."""
    bins: list[list[int]] = [[] for _ in range(n_bin)]
    sums = [0] * n_bin
    for i in order:
        fits = [b for b in range(n_bin) if sums[b] + lengths[i] <= limit or not bins[b]]
        if not fits:
            return None
        best = max(fits, key=sums.__getitem__) if fullest else min(fits, key=sums.__getitem__)
        bins[best].append(i)
        sums[best] += lengths[i]
    return bins
