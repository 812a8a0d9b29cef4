"""Token-weighted evaluation: sums and counts are added up, and divided once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from localft.data.batching.micro_batch import MicroBatch
from localft.engine import Engine, MicroResult


@dataclass
class LossSum:
    """Nats and supervised targets of any number of micro-batches."""

    parts: list[float] = field(default_factory=list)
    n_supervised: int = 0
    n_tok: int = 0

    def add(self, result: MicroResult, n_tok: int) -> None:
        """Add one micro-batch's result."""
        self.parts.append(result.loss_sum)
        self.n_supervised += result.n_supervised
        self.n_tok += n_tok

    @property
    def loss(self) -> float:
        """Nats per supervised token; NaN where nothing was supervised."""
        return math.fsum(self.parts) / self.n_supervised if self.n_supervised else math.nan


def evaluate(engine: Engine, batches: Iterable[MicroBatch], total: LossSum) -> Iterator[int]:
    """Evaluate `batches` into `total`, yielding after each how many are done."""
    for done, batch in enumerate(batches, 1):
        total.add(engine.evaluate(batch), batch.n_tok)
        yield done


def perplexity(loss: float) -> float:
    """exp(loss), infinite instead of an overflow."""
    return math.exp(loss) if loss < 700 else math.inf
