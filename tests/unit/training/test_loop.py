"""The loop, on an engine without a model."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from fake_engine import FakeEngine, FakePlan, batch

from localft.engine import EngineState, MicroResult
from localft.errors import EngineError
from localft.events import Progress, Saved, Step, TrainEvent, Validation
from localft.run.checkpoint import Cursor
from localft.training.evaluation import LossSum, evaluate
from localft.training.loop import LoopPlan, train_loop
from localft.training.schedule import Schedule

TOTAL = 10


class MemoryWriter:
    """Keeps what a run would write, as it would be read back."""

    def __init__(self) -> None:
        self.checkpoints: list[tuple[EngineState, Cursor]] = []
        self.adapters: dict[str, EngineState] = {}

    def checkpoint(self, state: EngineState, cursor: Cursor) -> Path:
        self.checkpoints.append((state, Cursor(**vars(cursor))))
        return Path("checkpoint.gguf")

    def best(self, state: EngineState) -> None:
        self.adapters["best"] = state

    def last(self, state: EngineState, cursor: Cursor) -> None:
        self.adapters["last"] = state


def loop_plan(**changes: object) -> LoopPlan:
    values = {
        "batches": FakePlan(),
        "schedule": Schedule("cosine", 0.05, TOTAL, 2),
        "total_steps": TOTAL,
        "validation": (batch(5, 2), batch(9)),
        "val_every": 4,
        "checkpoint_every": 3,
    }
    return LoopPlan(**{**values, **changes})  # type: ignore[arg-type]


def numbers(events: list[TrainEvent]) -> list[tuple[object, ...]]:
    """All that must be the same to the bit: everything but wall time."""
    kept = (event for event in events if isinstance(event, (Step, Validation)))
    return [(e.event, e.step, e.epoch, e.loss, e.val_loss, e.lr, e.grad_norm, e.n_supervised, e.n_tok) for e in kept]


def same_state(one: EngineState, two: EngineState) -> bool:
    arrays = (
        zip(vars(one.tensors[name]).values(), vars(two.tensors[name]).values(), strict=True) for name in one.tensors
    )
    return (one.step, one.micro_step) == (two.step, two.micro_step) and all(
        np.array_equal(a, b) for pairs in arrays for a, b in pairs
    )


def test_what_a_run_reports() -> None:
    writer = MemoryWriter()
    events = list(train_loop(FakeEngine(), loop_plan(), Cursor(), writer))
    assert [e.step for e in events if isinstance(e, Step)] == list(range(1, 11))
    assert [e.step for e in events if isinstance(e, Validation)] == [0, 4, 8, 10]
    assert [e.step for e in events if isinstance(e, Saved)] == [0, 3, 6, 9, 10]
    first = next(e for e in events if isinstance(e, Step))
    assert (first.epoch, first.lr, first.peak_mem_bytes, first.device_mem_bytes) == (0.25, 0.025, 1000, {"GPU": 24})
    keys = [
        "event",
        "step",
        "epoch",
        "loss",
        "val_loss",
        "lr",
        "grad_norm",
        "tok_per_sec",
        "n_supervised",
        "peak_mem_bytes",
    ]
    assert all(list(e.to_dict())[:10] == keys for e in events if isinstance(e, (Step, Validation)))


def test_the_first_loss_is_the_first_step_s() -> None:
    expected = FakeEngine().accumulate(FakePlan().step(0, 0)[0])
    events = train_loop(FakeEngine(), loop_plan(), Cursor(), MemoryWriter())
    first = next(e for e in events if isinstance(e, Step))
    assert first.loss == expected.loss_sum / expected.n_supervised
    assert first.n_tok == 7


def test_tokens_per_second_counts_the_step_s_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(1000))
    monkeypatch.setattr("localft.training.loop.time.perf_counter", lambda: next(ticks) * 2.0)
    events = list(train_loop(FakeEngine(), loop_plan(), Cursor(), MemoryWriter()))
    first = next(e for e in events if isinstance(e, Step))
    assert first.tok_per_sec == 7 / 2
    assert next(e for e in events if isinstance(e, Validation)).tok_per_sec == 16 / 2


@pytest.mark.parametrize("stop", [1, 3, 4, 5, 8, 9])
def test_a_kill_and_a_resume_change_nothing(stop: int) -> None:
    whole, writer = FakeEngine(), MemoryWriter()
    events = list(train_loop(whole, loop_plan(), Cursor(), writer))

    first = MemoryWriter()
    killed = train_loop(FakeEngine(), loop_plan(), Cursor(), first)
    seen = []
    for event in killed:
        seen.append(event)
        if isinstance(event, Step) and event.step == stop:
            break
    state, cursor = first.checkpoints[-1]
    killed.close()
    resumed, second = FakeEngine(seed=2), MemoryWriter()
    resumed.load_state(state)
    kept = [n for n in numbers(seen) if n[1] <= (cursor.step if n[0] == "step" else cursor.validated)]
    again = kept + numbers(list(train_loop(resumed, loop_plan(), cursor, second)))
    assert again == numbers(events)
    assert same_state(resumed.state(), whole.state())
    assert same_state((second.adapters.get("best") or first.adapters["best"]), writer.adapters["best"])


@pytest.mark.parametrize("micro_step", [1, 2, 3, 5, 9, 17])
def test_an_interrupt_saves_the_last_whole_step(micro_step: int) -> None:
    whole = FakeEngine()
    events = list(train_loop(whole, loop_plan(), Cursor(), MemoryWriter()))
    writer = MemoryWriter()
    seen = []
    try:
        for event in train_loop(FakeEngine(interrupt_at=micro_step), loop_plan(), Cursor(), writer):
            seen.append(event)
    except KeyboardInterrupt:
        pass
    else:
        pytest.fail("the interrupt was swallowed")
    state, cursor = writer.checkpoints[-1]
    assert cursor.step == state.step == sum(isinstance(e, Step) for e in seen)
    resumed = FakeEngine(seed=2)
    resumed.load_state(state)
    rest = list(train_loop(resumed, loop_plan(), cursor, MemoryWriter()))
    assert numbers(seen) + numbers(rest) == numbers(events)
    assert same_state(resumed.state(), whole.state())


def test_closing_the_generator_saves_too() -> None:
    writer = MemoryWriter()
    events = train_loop(FakeEngine(), loop_plan(checkpoint_every=100), Cursor(), writer)
    next(e for e in events if isinstance(e, Step) and e.step == 5)
    events.close()
    assert writer.checkpoints[-1][1].step == 5


def test_the_last_checkpoint_knows_the_last_validation() -> None:
    """Where --checkpoint-every fell on the last step, the checkpoint came before its validation: a run that was then
    made longer took the adapter of an earlier step for the best, and overwrote the better one."""
    writer = MemoryWriter()
    events = list(train_loop(FakeEngine(), loop_plan(checkpoint_every=5), Cursor(), writer))
    assert [e.step for e in events if isinstance(e, Saved)] == [0, 5, 10]
    cursor = writer.checkpoints[-1][1]
    assert cursor.validated == TOTAL
    losses = {e.step: e.val_loss for e in events if isinstance(e, Validation) and e.step}
    assert cursor.best_val_loss == min(losses.values(), key=float)  # type: ignore[arg-type]


def test_the_best_adapter_is_the_lowest_validation_s() -> None:
    engine, writer = FakeEngine(), MemoryWriter()
    events = list(train_loop(engine, loop_plan(), Cursor(), writer))
    losses = {e.step: e.val_loss for e in events if isinstance(e, Validation) and e.step}
    best = min(losses, key=lambda step: losses[step] or 0)
    assert writer.adapters["best"].step == best
    assert writer.checkpoints[-1][1].best_val_loss == losses[best]


def test_without_validation() -> None:
    writer = MemoryWriter()
    events = list(train_loop(FakeEngine(), loop_plan(validation=(), val_every=0), Cursor(), writer))
    assert not any(isinstance(e, Validation) for e in events)
    assert set(writer.adapters) == {"last"}


class Diverging(FakeEngine):
    def accumulate(self, batch: object) -> MicroResult:
        result = super().accumulate(batch)  # type: ignore[arg-type]
        return MicroResult(math.nan, result.n_supervised) if self.step == 4 else result


def test_a_loss_that_is_no_number_stops_the_run_and_saves_nothing_more() -> None:
    writer = MemoryWriter()
    with pytest.raises(EngineError, match="the loss at step 5 is nan"):
        list(train_loop(Diverging(), loop_plan(), Cursor(), writer))
    assert writer.checkpoints[-1][1].step == 3


def test_evaluation_does_not_depend_on_its_batches() -> None:
    class PerToken(FakeEngine):
        def evaluate(self, batch: object) -> MicroResult:
            mask = batch.loss_mask.astype(float)  # type: ignore[attr-defined]
            return MicroResult(float((np.sqrt(batch.tokens) * mask).sum()), int(mask.sum()))  # type: ignore[attr-defined]

    parts = [batch(4, first=1), batch(9, first=5), batch(2, first=14)]
    whole, split = LossSum(), LossSum()
    assert list(evaluate(PerToken(), [batch(4, 9, 2)], whole)) == [1]
    assert list(evaluate(PerToken(), parts, split)) == [1, 2, 3]
    assert split.loss == pytest.approx(whole.loss, rel=1e-14)
    means = [LossSum([r.loss_sum], r.n_supervised).loss for r in map(PerToken().evaluate, parts)]
    assert abs(sum(means) / 3 - whole.loss) > 1e-3, "a mean of batch means would not differ here"


def test_progress_is_reported_within_a_step() -> None:
    events = list(train_loop(FakeEngine(), loop_plan(), Cursor(), MemoryWriter()))
    assert Progress("step", 2, 3) in events
    assert Progress("validation", 2, 2) in events
