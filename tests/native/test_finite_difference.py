"""Law 3, the part that trusts nobody: gradients against differences of the loss itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from golden import models

from localft.data.batching.micro_batch import MicroBatch
from localft.engine import AdamSpec, EngineState, LoraSpec, LoraState
from localft.engine.native import NativeEngine

SHAPE = models.MODELS["tiny"]
RANK = 2
# Far enough apart that the rounding of the loss is 2e-4 of the largest entry, near enough that curvature is less.
STEP = 6e-2


@pytest.fixture
def engine(tmp_path: Path) -> NativeEngine:
    lora = LoraSpec(tuple(SHAPE.matrices()), rank=RANK, alpha=2.0)
    return NativeEngine(models.write_gguf(SHAPE, tmp_path), lora, AdamSpec(), device="cpu", n_threads=1)


def moved(state: EngineState, name: str, factor: str, move: np.ndarray) -> EngineState:
    """The state with `move` added to one tensor's factor "a" or "b"."""
    tensor = state.tensors[name]
    changed = {factor: (getattr(tensor, factor) + move).astype(np.float32)}
    return replace(state, tensors={**state.tensors, name: replace(tensor, **changed)})


def loss_at(engine: NativeEngine, state: EngineState, batch: MicroBatch) -> float:
    engine.load_state(state)
    return engine.evaluate(batch).loss_sum


def slope(
    engine: NativeEngine, state: EngineState, batch: MicroBatch, name: str, factor: str, move: np.ndarray
) -> float:
    """Central difference of the summed loss along `move`, four points (error of fourth order)."""
    near = loss_at(engine, moved(state, name, factor, move), batch) - loss_at(
        engine, moved(state, name, factor, -move), batch
    )
    far = loss_at(engine, moved(state, name, factor, 2 * move), batch) - loss_at(
        engine, moved(state, name, factor, -2 * move), batch
    )
    return (8 * near - far) / 12


@pytest.mark.parametrize("name", list(SHAPE.matrices()))
@pytest.mark.parametrize("factor", ["a", "b"])
def test_gradient_is_the_slope_of_the_loss(engine: NativeEngine, name: str, factor: str) -> None:
    """Every fifth entry or so of the gradient, within 1e-3 of the largest."""
    state = EngineState(models.adapter(SHAPE, RANK, "finite difference"))
    batch = models.batch(SHAPE, (5, 9))
    engine.load_state(state)
    engine.accumulate(batch)
    gradient = engine.gradients()[name]["ab".index(factor)]
    largest = np.abs(gradient).max()
    for index in range(0, gradient.size, max(1, gradient.size // 16)):
        move = np.zeros(gradient.size, np.float32)
        move[index] = STEP
        measured = slope(engine, state, batch, name, factor, move.reshape(gradient.shape)) / STEP
        assert abs(measured - gradient.flat[index]) < 1e-3 * largest, (index, measured, gradient.flat[index])


def test_a_wrong_gradient_would_be_seen(engine: NativeEngine) -> None:
    """The measure is sharp enough: one part in a hundred of one entry is ten times the tolerance."""
    state = EngineState(models.adapter(SHAPE, RANK, "finite difference"))
    batch = models.batch(SHAPE, (5, 9))
    engine.load_state(state)
    engine.accumulate(batch)
    gradient = engine.gradients()["blk.0.ffn_down.weight"][1]
    index = int(np.abs(gradient).argmax())
    move = np.zeros(gradient.size, np.float32)
    move[index] = STEP
    measured = slope(engine, state, batch, "blk.0.ffn_down.weight", "b", move.reshape(gradient.shape)) / STEP
    assert abs(measured - 1.01 * gradient.flat[index]) > 5e-3 * np.abs(gradient).max()


def test_tensor_without_moments_is_loaded(engine: NativeEngine) -> None:
    """What these tests rest on: a state of factors alone is put in as it is."""
    state = EngineState(models.adapter(SHAPE, RANK, "finite difference"))
    engine.load_state(state)
    for name, tensor in engine.state().tensors.items():
        expected: LoraState = state.tensors[name]
        np.testing.assert_array_equal(tensor.a, expected.a)
        np.testing.assert_array_equal(tensor.b, expected.b)
