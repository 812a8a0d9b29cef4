"""An engine that takes a known time for everything."""

from __future__ import annotations

from fake_engine import FakeEngine

from localft.data.batching.micro_batch import MicroBatch
from localft.engine import MicroResult

# Seconds; EVALUATE: of a training pass; FETCH: of a step's micro-batches.
FIXED, PER_TOKEN, EVALUATE, APPLY, FETCH = 0.25, 0.01, 0.4, 0.5, 0.125


class TimedEngine(FakeEngine):
    """Takes a known time for everything, on a clock of its own; the first pass takes ten times as long."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.passes: list[int] = []

    def clock(self) -> float:
        return self.now

    def accumulate(self, batch: MicroBatch) -> MicroResult:
        self.now += (FIXED + PER_TOKEN * batch.n_tok) * (1 if self.passes else 10)
        self.passes.append(batch.n_tok)
        return super().accumulate(batch)

    def apply(self, lr: float) -> float:
        self.now += APPLY
        return super().apply(lr)

    def evaluate(self, batch: MicroBatch) -> MicroResult:
        self.now += EVALUATE * (FIXED + PER_TOKEN * batch.n_tok)
        return super().evaluate(batch)
