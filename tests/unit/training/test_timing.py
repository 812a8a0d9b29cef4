"""Timing and estimate on an engine whose time is known: no clock but its own runs here."""

from __future__ import annotations

import weakref
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from fake_engine import FakeEngine, batch
from timed_engine import APPLY, EVALUATE, FETCH, FIXED, PER_TOKEN, TimedEngine

from localft import hardware
from localft.data.batching.micro_batch import MicroBatch
from localft.engine import EngineState
from localft.errors import EngineError
from localft.run.checkpoint import Cursor
from localft.training.estimate import MOST_STEPS, Ahead, estimate
from localft.training.loop import LoopPlan
from localft.training.schedule import Schedule
from localft.training.timing import MOST_BATCHES, CostLine, Rehearsal, fit, piece, weigher

HPARAMS = {"n_embd": 8, "n_layer": 3, "n_head": 4, "n_head_kv": 2, "n_embd_head": 2, "n_ff": 10, "n_vocab": 100}


def weigh(micro: MicroBatch) -> float:
    return float(micro.n_tok)


class TimedPlan:
    """Steps of two micro-batches, of different sizes in every epoch; fetching a step takes a known time."""

    def __init__(self, engine: TimedEngine, steps_per_epoch: int = 100) -> None:
        self.engine = engine
        self.steps_per_epoch = steps_per_epoch

    def step(self, epoch: int, index: int) -> list[MicroBatch]:
        self.engine.now += FETCH
        return [batch(80 + index), batch(100 + epoch, 20)]


class SmallPlan(TimedPlan):
    """Steps of the same few micro-batches for ever."""

    def step(self, epoch: int, index: int) -> list[MicroBatch]:
        return super().step(0, index % 7)


def loop_plan(engine: TimedEngine, total_steps: int = 200, steps_per_epoch: int = 100, **changes: object) -> LoopPlan:
    plan = LoopPlan(
        batches=TimedPlan(engine, steps_per_epoch),
        schedule=Schedule("constant", 0.05, total_steps, 0),
        total_steps=total_steps,
        validation=(batch(90), batch(60, 10)),
        val_every=40,
    )
    return replace(plan, **changes)


def seconds_of(plan: LoopPlan, steps: range) -> float:
    """What `steps` really take."""
    total = 0.0
    for step in steps:
        batches = plan.batches.step(*divmod(step, plan.batches.steps_per_epoch))
        total += FETCH + APPLY + sum(FIXED + PER_TOKEN * micro.n_tok for micro in batches)
    return total


@pytest.fixture(autouse=True)
def memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """5,000 bytes, and the copies of a state that are held."""
    copies: list[weakref.ref[EngineState]] = []

    def state(engine: TimedEngine) -> EngineState:
        copies.append(weakref.ref(made := FakeEngine.state(engine)))
        return made

    monkeypatch.setattr(TimedEngine, "state", state, raising=False)
    monkeypatch.setattr(hardware, "current_rss", lambda: 5000 + sum(n_bytes(held()) for held in copies))


def n_bytes(state: EngineState | None) -> int:
    return sum(array.nbytes for each in state.tensors.values() for array in vars(each).values()) if state else 0


def test_the_line_through_points() -> None:
    assert fit([(10.0, 3.0), (40.0, 6.0)]) == CostLine(pytest.approx(2.0), pytest.approx(0.1))
    assert fit([(10.0, 3.0), (11.0, 3.6), (10.0, 5.0)]) == CostLine(0.0, pytest.approx(3.6 / 11)), (
        "too near for a slope"
    )
    assert fit([(1.0, 1.0), (2.0, 2.2), (10.0, 12.0)]).fixed == 0.0, "a fixed part below 0 is noise"


def test_points_that_were_held_up_do_not_move_the_line() -> None:
    line = CostLine(2.0, 0.1)
    held_up = {20.0: 3.0, 40.0: 1.4}
    points = [(work, line(work) * held_up.get(work, 1.0)) for work in (10.0, 20.0, 30.0, 35.0, 40.0, 50.0)]
    assert fit(points) == CostLine(pytest.approx(2.0), pytest.approx(0.1))


def test_work_counts_every_multiplication_once() -> None:
    matrices = 3 * (2 * 8 * 8 + 2 * 8 * 4 + 3 * 8 * 10)
    micro = batch(5, 3)
    assert weigher(HPARAMS)(micro) == 8 * matrices + micro.n_supervised * 100 * 8 + (25 + 9) * 3 * 8


@pytest.mark.parametrize("n_tok", [1, 3, 7, 9])
def test_a_piece_supervises_the_same_share(n_tok: int) -> None:
    whole = batch(4, 5)
    part = piece(whole, n_tok)
    assert part.n_tok == n_tok
    assert part.n_supervised == max(1, int(n_tok * whole.n_supervised / whole.n_tok + 1e-9))
    assert part.row_starts.tolist() == [start for start in (0, 4) if start < n_tok] + [n_tok]
    assert part.tokens.tolist() == whole.tokens[:n_tok].tolist()
    assert {array.dtype for array in (part.tokens, part.row_starts)} == {np.dtype(np.int32)}


def test_a_piece_of_an_unsupervised_batch_still_costs_something() -> None:
    whole = replace(batch(200), loss_mask=np.r_[np.zeros(199, np.uint8), np.ones(1, np.uint8)])
    assert piece(whole, 64).n_supervised == 1


def test_the_estimate_is_what_the_run_takes() -> None:
    engine = TimedEngine()
    plan = loop_plan(engine)
    found = estimate(engine, plan, Cursor(), weigh, 0.0, engine.clock)
    assert found is not None
    validation = EVALUATE * (2 * FIXED + PER_TOKEN * 160)
    steps = seconds_of(plan, range(200))
    assert found.seconds == pytest.approx(steps + 6 * validation, rel=1e-6)
    assert found.epoch_seconds == pytest.approx(steps / 2 + 2.5 * validation, rel=1e-6)


def test_a_resumed_run_is_estimated_from_where_it_stands() -> None:
    engine = TimedEngine()
    plan = loop_plan(engine)
    found = estimate(engine, plan, Cursor(step=120, validated=120), weigh, 0.0, engine.clock)
    assert found is not None
    validation = EVALUATE * (2 * FIXED + PER_TOKEN * 160)
    assert found.seconds == pytest.approx(seconds_of(plan, range(120, 200)) + 2 * validation, rel=1e-6)
    assert estimate(engine, plan, Cursor(step=200), weigh, 0.0, engine.clock) is None


def test_validations_are_counted_without_looking_at_every_step() -> None:
    engine = TimedEngine()
    for total, every, first, validated in product((1, 6, 7, 12), (1, 3, 5, 20), (0, 1, 5, 6), (-1, 0, 1, 3, 6)):
        plan = loop_plan(engine, total, val_every=every)
        left = [s for s in range(first, total + 1) if plan.validates_at(s) and s != validated]
        cursor = Cursor(step=first, validated=validated)
        if first < total:
            assert Ahead(plan, cursor, weigh, engine.clock).n_validations == len(left), (total, every, first, validated)
    endless = loop_plan(engine, 2**63 - 1, batches=SmallPlan(engine), val_every=2**60)
    assert Ahead(endless, Cursor(), weigh, engine.clock).n_validations == 9


def test_many_steps_are_known_by_a_sample() -> None:
    engine = TimedEngine()
    plan = loop_plan(engine, 3000, 1000, validation=(), val_every=0)
    ahead = Ahead(plan, Cursor(), weigh, engine.clock)
    assert len(ahead.weights) == 2 * MOST_STEPS
    found = estimate(engine, plan, Cursor(), weigh, 0.0, engine.clock)
    assert found is not None
    assert found.seconds == pytest.approx(seconds_of(plan, range(3000)), rel=0.01)


def test_the_estimate_leaves_no_trace() -> None:
    engine, untouched = TimedEngine(), FakeEngine()
    for each in (engine, untouched):
        each.accumulate(batch(9))
        each.apply(0.1)
    estimate(engine, loop_plan(engine), Cursor(), weigh, 0.0, engine.clock)
    assert len(engine.passes) > 4
    for each in (engine, untouched):
        each.accumulate(batch(5, 4))
    assert engine.apply(0.1) == untouched.apply(0.1)
    assert (engine.step, engine.micro_step) == (untouched.step, untouched.micro_step)
    for name, tensor in engine.state().tensors.items():
        for array, other in zip(vars(tensor).values(), vars(untouched.tensors[name]).values(), strict=True):
            assert array.tobytes() == other.tobytes()


def test_an_engine_that_fails_while_it_is_timed_is_put_back() -> None:
    class Failing(TimedEngine):
        def apply(self, lr: float) -> float:
            super().apply(lr)
            raise EngineError("no", "why")

    engine = Failing()
    before = engine.state()
    with pytest.raises(EngineError):
        estimate(engine, loop_plan(engine), Cursor(), weigh, 0.0, engine.clock)
    assert (engine.step, engine.micro_step) == (0, 0)
    assert all(np.array_equal(engine.tensors[name].a, tensor.a) for name, tensor in before.tensors.items())


@pytest.mark.parametrize(("total_work", "largest"), [(1e9, 199), (2_000.0, 140), (1_000.0, 70), (10.0, 64)])
def test_timing_takes_a_small_share_of_the_run(total_work: float, largest: int) -> None:
    """A long run times its own micro-batches, a short one a piece of one, the shortest nothing but the smallest."""
    engine = TimedEngine()
    batches = [batch(n) for n in range(80, 200)]
    with Rehearsal(engine, weigh, engine.clock) as rehearsal:
        rehearsal.run(batches, (), total_work)
    assert max(engine.passes) == largest
    assert len(engine.passes) <= MOST_BATCHES + 6


@pytest.mark.parametrize("total_work", [1e9, 5_000.0, 10.0])
def test_validation_is_known_by_its_share_of_a_training_pass(total_work: float) -> None:
    """Where its largest batch would take too long, a piece is timed: what is fixed in a pass does not count twice."""
    engine = TimedEngine()
    with Rehearsal(engine, weigh, engine.clock) as rehearsal:
        timing = rehearsal.run([batch(n) for n in range(80, 200)], [batch(400), batch(100)], total_work)
    for n_tok in (400, 100):
        assert timing.evaluate(n_tok) == pytest.approx(EVALUATE * timing.train(n_tok), rel=1e-6)


def test_memory_grows_with_the_tokens_that_were_not_tried() -> None:
    """A copy of the state was counted twice: 2.72 GiB for 2.04 at rank 192 of a model of 135M."""
    engine = TimedEngine()
    n_state = n_bytes(engine.state())
    long_run = estimate(engine, loop_plan(engine), Cursor(), weigh, 100.0, engine.clock)
    assert long_run is not None
    assert long_run.peak_mem_bytes == 5000 + n_state + 24, "the largest micro-batch was run; 24 bytes are a device's"
    engine = TimedEngine()
    short = estimate(engine, loop_plan(engine, 1), Cursor(), weigh, 100.0, engine.clock)
    assert short is not None
    assert short.peak_mem_bytes == 5000 + n_state + 24 + 100 * (120 - max(engine.passes))
