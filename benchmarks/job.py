"""The job that is measured: in every step the same rows for every side, and one update."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from model import SHAPES, matrices
from rows import load_rows

from localft.data.batching.batches import balance
from localft.data.batching.micro_batch import MicroBatch, micro_batch
from localft.data.split.shuffle import shuffled
from localft.data.tokens.tokenize import TokenizedRow
from localft.engine import AdamSpec, LoraSpec

MICRO_TOKENS = 1024  # what `localft finetune` fills a micro-batch with


@dataclass(frozen=True)
class Job:
    """What every side does in a step.

    Attributes:
        n_row: sequences per step.
        n_ctx: tokens of each sequence of random tokens; the longest row that is taken from a file.
        rows: a file that `rows.py` wrote, in place of random tokens.
    """

    shape: str = "tinymistral-248m"
    n_row: int = 4
    n_ctx: int = 512
    rank: int = 8
    alpha: float = 16.0
    lr: float = 2e-4
    rows: str | None = None

    def lora(self) -> LoraSpec:
        """Seven matrices of every layer, not the output."""
        return LoraSpec(tuple(matrices(SHAPES[self.shape])), rank=self.rank, alpha=self.alpha)

    def adam(self) -> AdamSpec:
        return AdamSpec(grad_clip=1.0)

    def step(self, index: int, rows_per_pass: int) -> list[MicroBatch]:
        """The micro-batches of step `index`; the same rows however they are grouped.

        Args:
            index: from 0; negative ones are those of the warm-up.
            rows_per_pass: sequences of a micro-batch, of about one length; 0: as `localft finetune` packs them.
        """
        rows = self._rows_of(index)
        if rows_per_pass:
            rows = sorted(rows, key=lambda row: -row.length)
            parts = [rows[i : i + rows_per_pass] for i in range(0, len(rows), rows_per_pass)]
        else:
            parts = [[rows[i] for i in part] for part in balance([row.length for row in rows], MICRO_TOKENS)]
        return [micro_batch(part) for part in parts]

    def max_tokens(self, rows_per_pass: int) -> int:
        """Positions of the largest micro-batch that a step may have."""
        if rows_per_pass:
            return min(rows_per_pass, self.n_row) * self.n_ctx
        return max(self.n_ctx, min(MICRO_TOKENS, self.n_row * self.n_ctx))

    @property
    def n_step(self) -> int | None:
        """Steps of an epoch; None: random tokens have no end."""
        return -(-len(load_rows(Path(self.rows))) // self.n_row) if self.rows else None

    def _rows_of(self, index: int) -> list[TokenizedRow]:
        if self.rows:
            rows, first = load_rows(Path(self.rows)), index % (self.n_step or 1) * self.n_row
            return [rows[i] for i in shuffled(len(rows), 42)[first : first + self.n_row]]
        stream = np.random.RandomState(1000 + index)
        n_vocab, mask = SHAPES[self.shape].n_vocab, np.ones(self.n_ctx + 1, np.uint8)
        mask[0] = 0
        tokens = [stream.randint(3, n_vocab, self.n_ctx + 1).astype(np.int32) for _ in range(self.n_row)]
        return [TokenizedRow(row, mask, "random", line) for line, row in enumerate(tokens)]
