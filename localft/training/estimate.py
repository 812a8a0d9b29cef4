"""What is ahead of a run: its time and its memory, said before the first step."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from localft import hardware
from localft.data.batching.micro_batch import MicroBatch
from localft.engine import Engine
from localft.events import Estimate
from localft.run.checkpoint import Cursor
from localft.training.loop import LoopPlan
from localft.training.timing import Clock, Rehearsal, Timing, Weigh

MOST_STEPS = 256
MOST_KEPT = 16


@dataclass(frozen=True)
class Weight:
    """One micro-batch of a step that is ahead: where it stands, what it weighs, its tokens."""

    work: float
    n_tok: int
    step: int
    part: int


@dataclass
class Ahead:
    """The steps and validations that are left of a run, known by a sample of evenly spaced steps.

    Attributes:
        weights: every micro-batch of the sampled steps, from the lightest to the heaviest.
        n_sampled: steps that `weights` are of.
        seconds_to_fetch: what it takes to put one step's micro-batches together.
    """

    plan: LoopPlan
    cursor: Cursor
    weigh: Weigh
    clock: Clock = time.perf_counter
    weights: list[Weight] = field(init=False)
    n_sampled: int = field(init=False)
    seconds_to_fetch: float = field(init=False)

    def __post_init__(self) -> None:
        start = self.clock()
        sampled = self._sample()
        found = [
            Weight(self.weigh(batch), batch.n_tok, step, part)
            for step in sampled
            for part, batch in enumerate(self._fetch(step))
        ]
        self.weights = sorted(found, key=lambda weight: weight.work)
        self.n_sampled = len(sampled)
        self.seconds_to_fetch = (self.clock() - start) / len(sampled)

    @property
    def n_steps(self) -> int:
        return self.plan.total_steps - self.cursor.step

    @property
    def n_validations(self) -> int:
        """Validations that are left; one that a checkpoint was written before counts."""
        plan, first, last = self.plan, self.cursor.step, self.plan.total_steps
        if not plan.validation:
            return 0
        # counted, not enumerated: there may be more steps than a lifetime has seconds
        n = last // plan.val_every - (first - 1) // plan.val_every + (last % plan.val_every != 0)
        return n - (first <= self.cursor.validated <= last and plan.validates_at(self.cursor.validated))

    @property
    def total_work(self) -> float:
        """Of all the training that is left."""
        return self.n_steps * sum(weight.work for weight in self.weights) / self.n_sampled

    def batches(self) -> list[MicroBatch]:
        """A few of the micro-batches, from the lightest to the heaviest."""
        last = len(self.weights) - 1
        n_kept = min(MOST_KEPT, len(self.weights))
        chosen = sorted({round(i * last / max(n_kept - 1, 1)) for i in range(n_kept)})
        return [self._fetch(self.weights[i].step)[self.weights[i].part] for i in chosen]

    def step_seconds(self, timing: Timing) -> float:
        """One step, on average."""
        passes = sum(timing.train(weight.work) for weight in self.weights) / self.n_sampled
        return passes + timing.apply + self.seconds_to_fetch

    def validation_seconds(self, timing: Timing) -> float:
        return sum(timing.evaluate(self.weigh(batch)) for batch in self.plan.validation)

    def _sample(self) -> list[int]:
        n = min(self.n_steps, MOST_STEPS)
        return [self.cursor.step + i * self.n_steps // n for i in range(n)]

    def _fetch(self, step: int) -> list[MicroBatch]:
        return self.plan.batches.step(*divmod(step, self.plan.batches.steps_per_epoch))


def estimate(
    engine: Engine,
    plan: LoopPlan,
    cursor: Cursor,
    weigh: Weigh,
    bytes_per_token: float,
    clock: Clock = time.perf_counter,
) -> Estimate | None:
    """Time a few micro-batches of what is left, and say what all of it will take; None where nothing is left.

    The engine is afterwards as it was: the run's numbers are the same with and without this.

    Args:
        engine: with the state that belongs to `cursor` in it, and no gradient.
        weigh: see `localft.training.timing.weigher`.
        bytes_per_token: of activations in this process's memory, for micro-batches larger than those that are timed.
    """
    if cursor.step >= plan.total_steps:
        return None
    ahead = Ahead(plan, cursor, weigh, clock)
    with Rehearsal(engine, weigh, clock) as rehearsal:
        timing = rehearsal.run(ahead.batches(), plan.validation, ahead.total_work)
        held = hardware.current_rss()  # with the copy of the state that a checkpoint will make
    step, validation = ahead.step_seconds(timing), ahead.validation_seconds(timing)
    n_per_epoch = plan.batches.steps_per_epoch
    validations_per_epoch = n_per_epoch / plan.val_every if plan.validation else 0
    more_tokens = max(0, max(weight.n_tok for weight in ahead.weights) - timing.n_tok)
    now = held + int(more_tokens * bytes_per_token)
    memory = engine.peak_mem_bytes()
    return Estimate(
        seconds=ahead.n_steps * step + ahead.n_validations * validation,
        epoch_seconds=n_per_epoch * step + validations_per_epoch * validation,
        peak_mem_bytes=max(now, memory.get("rss", 0)) + sum(n for place, n in memory.items() if place != "rss"),
    )
