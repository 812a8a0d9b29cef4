"""The training loop: a generator of events over any engine."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from localft.data.batching.micro_batch import MicroBatch
from localft.engine import Engine, EngineState
from localft.errors import EngineError
from localft.events import Progress, Saved, Step, TrainEvent, Validation
from localft.run.checkpoint import Cursor
from localft.training.evaluation import LossSum, evaluate
from localft.training.schedule import Schedule

CHECKPOINT_SECONDS = 120.0


class StepSource(Protocol):
    """The micro-batches of any step of any epoch; the same every time that they are asked for."""

    @property
    def steps_per_epoch(self) -> int: ...

    def step(self, epoch: int, index: int) -> list[MicroBatch]: ...


class Writer(Protocol):
    """Puts things on disk."""

    def checkpoint(self, state: EngineState, cursor: Cursor) -> Path: ...

    def best(self, state: EngineState) -> None: ...

    def last(self, state: EngineState, cursor: Cursor) -> None: ...


@dataclass(frozen=True)
class LoopPlan:
    """What to train on, how long, and when to look up.

    Attributes:
        validation: micro-batches of the validation rows; empty = no validation.
        val_every: steps between validations.
        checkpoint_every: steps between checkpoints; None = at validations and every two minutes.
    """

    batches: StepSource
    schedule: Schedule
    total_steps: int
    validation: Sequence[MicroBatch] = ()
    val_every: int = 0
    checkpoint_every: int | None = None

    def validates_at(self, step: int) -> bool:
        """Before the first step, every `val_every` steps, and at the end."""
        return bool(self.validation) and (step in (0, self.total_steps) or step % self.val_every == 0)


def train_loop(engine: Engine, plan: LoopPlan, cursor: Cursor, writer: Writer) -> Generator[TrainEvent, None, None]:
    """Train from `cursor` to the end of `plan`, yielding what happens.

    Stopped from outside (Ctrl-C, or the generator closed), it saves a checkpoint of the last whole step first.

    Args:
        engine: with the state that belongs to `cursor` in it.
        cursor: where to start; kept up to date in place.

    Raises:
        EngineError: the loss or the gradient is no longer a number. The last checkpoint and adapter stay as they are.
    """
    loop = _Loop(engine, plan, cursor, writer)
    try:
        yield from loop.run()
    except (KeyboardInterrupt, GeneratorExit):
        loop.save_whole_step()
        raise


@dataclass
class _Loop:
    engine: Engine
    plan: LoopPlan
    cursor: Cursor
    writer: Writer
    saved: tuple[int, int] | None = None
    saved_at: float = field(default_factory=time.monotonic)
    n_micro: int = 0

    def run(self) -> Iterator[TrainEvent]:
        yield self.save()
        while True:
            if self.plan.validates_at(self.cursor.step) and self.cursor.validated != self.cursor.step:
                yield from self.validate()
            if self.checkpoint_due():
                yield self.save()
            if self.cursor.step >= self.plan.total_steps:
                break
            yield from self.step()

    def checkpoint_due(self) -> bool:
        """Asked after a step's validation, so that a checkpoint knows of the best adapter that is on disk."""
        step = self.cursor.step
        if not step or self.saved == (step, self.cursor.validated):
            return False
        if step >= self.plan.total_steps:
            return True
        if self.plan.checkpoint_every:
            return step % self.plan.checkpoint_every == 0
        return self.plan.validates_at(step) or time.monotonic() - self.saved_at >= CHECKPOINT_SECONDS

    def step(self) -> Iterator[TrainEvent]:
        start = time.perf_counter()
        cursor, n_per_epoch = self.cursor, self.plan.batches.steps_per_epoch
        batches = self.plan.batches.step(*divmod(cursor.step, n_per_epoch))
        self.n_micro = len(batches)
        total = LossSum()
        for done, batch in enumerate(batches):
            yield Progress("step", done, len(batches))
            total.add(self.engine.accumulate(batch), batch.n_tok)
        self.require_finite(total.loss, "loss")
        lr = self.plan.schedule(cursor.step)
        grad_norm = self.engine.apply(lr)
        self.require_finite(grad_norm, "gradient norm")
        seconds = time.perf_counter() - start
        self.advance(total.n_tok, seconds)
        yield Step(
            **self.common(total, seconds),
            epoch=cursor.step / n_per_epoch,
            loss=total.loss,
            val_loss=None,
            lr=lr,
            grad_norm=grad_norm,
        )

    def advance(self, n_tok: int, seconds: float) -> None:
        self.cursor.step += 1
        self.cursor.micro_step += self.n_micro
        self.cursor.n_tok += n_tok
        self.cursor.seconds += seconds

    def validate(self) -> Iterator[TrainEvent]:
        start = time.perf_counter()
        cursor, n_batches, total = self.cursor, len(self.plan.validation), LossSum()
        yield Progress("validation", 0, n_batches)
        for done in evaluate(self.engine, self.plan.validation, total):
            yield Progress("validation", done, n_batches)
        self.require_finite(total.loss, "validation loss")
        best = cursor.step > 0 and (cursor.best_val_loss is None or total.loss < cursor.best_val_loss)
        if best:
            self.writer.best(self.engine.state())
            cursor.best_val_loss, cursor.best_step = total.loss, cursor.step
        if cursor.step == 0:
            cursor.val_loss_before = total.loss
        cursor.validated = cursor.step
        seconds = time.perf_counter() - start
        cursor.seconds += seconds
        yield Validation(
            **self.common(total, seconds),
            epoch=cursor.step / self.plan.batches.steps_per_epoch,
            loss=None,
            val_loss=total.loss,
            lr=None,
            grad_norm=None,
            best=best,
        )

    def common(self, total: LossSum, seconds: float) -> dict[str, Any]:
        memory = self.engine.peak_mem_bytes()
        return {
            "step": self.cursor.step,
            "tok_per_sec": total.n_tok / max(seconds, 1e-9),
            "n_supervised": total.n_supervised,
            "n_tok": total.n_tok,
            "elapsed_s": seconds,
            "peak_mem_bytes": memory.get("rss", 0),
            "device_mem_bytes": {place: size for place, size in memory.items() if place != "rss"},
        }

    def require_finite(self, value: float, what: str) -> None:
        if not math.isfinite(value):
            raise EngineError(
                f"the {what} at step {self.cursor.step + 1} is {value}",
                "lower --lr, or look for damaged rows; the last checkpoint is untouched",
            )

    def save(self) -> Saved:
        path = self.write(self.engine.state())
        self.saved, self.saved_at = (self.cursor.step, self.cursor.validated), time.monotonic()
        return Saved(self.cursor.step, str(path))

    def save_whole_step(self) -> None:
        """Save what the engine holds. A step cut short left the weights alone, but may have counted micro-batches."""
        state = self.engine.state()
        if state.step > self.cursor.step:
            self.advance(0, 0.0)
        state.micro_step = self.cursor.micro_step
        self.write(state)

    def write(self, state: EngineState) -> Path:
        """The checkpoint comes last: what it stands for is on disk by then."""
        if self.cursor.step:
            self.writer.last(state, self.cursor)
        return self.writer.checkpoint(state, self.cursor)
