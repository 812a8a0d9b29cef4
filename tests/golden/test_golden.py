"""Laws 3 and 4 without torch: the native engine against PyTorch's and PEFT's numbers in the golden files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from golden import models
from golden.cases import CASES, Case
from localft.engine.native import NativeEngine


@pytest.fixture(params=list(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture
def engine(case: Case, tmp_path: Path) -> NativeEngine:
    engine = NativeEngine(models.write_gguf(case.shape, tmp_path), case.lora(), case.adam, device="cpu", n_threads=2)
    engine.load_state(case.state())
    return engine


def relative(ours: np.ndarray, reference: np.ndarray) -> float:
    assert ours.shape == reference.shape
    return float(np.linalg.norm(ours - reference) / np.linalg.norm(reference))


def test_logits_and_loss(case: Case, engine: NativeEngine) -> None:
    golden, batch = case.golden(), case.batches()[0]
    assert relative(engine.logits(batch), golden["logits"]) < 1e-5
    result = engine.evaluate(batch)
    assert result.n_supervised == batch.n_supervised
    assert result.loss_sum == pytest.approx(float(golden["loss_sum"]), rel=1e-6)


def test_gradients(case: Case, engine: NativeEngine) -> None:
    golden, batch = case.golden(), case.batches()[0]
    assert engine.accumulate(batch).loss_sum == pytest.approx(float(golden["loss_sum"]), rel=1e-6)
    gradients = engine.gradients()
    assert list(gradients) == list(case.shape.matrices())
    for name, (da, db) in gradients.items():
        assert relative(da, golden[f"grad/{name}/a"]) < 1e-4, name
        assert relative(db, golden[f"grad/{name}/b"]) < 1e-4, name


def test_ten_steps(case: Case, engine: NativeEngine) -> None:
    golden = case.golden()
    losses, norms = [], []
    for batch in case.batches():
        losses.append(engine.accumulate(batch).loss_sum / batch.n_supervised)
        norms.append(engine.apply(case.lr))
    np.testing.assert_allclose(losses, golden["step/loss"], rtol=1e-4)
    np.testing.assert_allclose(norms, golden["step/grad_norm"], rtol=1e-3)
    for name, tensor in engine.state().tensors.items():
        assert relative(tensor.a, golden[f"final/{name}/a"]) < 1e-3, name
        assert relative(tensor.b, golden[f"final/{name}/b"]) < 1e-3, name
