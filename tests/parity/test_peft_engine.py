"""The PEFT engine against PEFT's own numbers (the golden files), and against itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from golden import models
from golden.cases import CASES, Case

from localft.data.batching.micro_batch import MicroBatch
from localft.engine import AdamSpec, EngineState, LoraSpec, LoraState
from localft.errors import ConfigError, EngineError, ModelError

pytestmark = pytest.mark.parity


def engine_for(case: Case, folder: Path, precision: str = "f32", dropout: float = 0.0):
    from localft.engine.peft import PeftEngine

    lora = LoraSpec(tuple(case.shape.matrices()), case.rank, case.alpha, dropout)
    checkpoint = models.write_checkpoint(case.shape, folder / case.name)
    engine = PeftEngine(checkpoint, lora, case.adam, device="cpu", n_threads=1, precision=precision)
    engine.load_state(case.state())
    return engine


def relative(ours: np.ndarray, reference: np.ndarray) -> float:
    return float(np.linalg.norm(ours - reference) / np.linalg.norm(reference))


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_logits_loss_and_gradients_are_those_of_rows_run_alone(case: Case, tmp_path: Path) -> None:
    golden, batch = case.golden(), case.batches()[0]
    engine = engine_for(case, tmp_path)
    assert relative(engine.logits(batch), golden["logits"]) < 1e-5
    assert engine.evaluate(batch).loss_sum == pytest.approx(golden["loss_sum"], rel=1e-6)
    result = engine.accumulate(batch)
    assert result.n_supervised == batch.n_supervised
    assert result.loss_sum == pytest.approx(golden["loss_sum"], rel=1e-6)
    for name, (da, db) in engine.gradients().items():
        assert relative(da, golden[f"grad/{name}/a"]) < 1e-5, name
        assert relative(db, golden[f"grad/{name}/b"]) < 1e-5, name


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_ten_steps_are_torchs(case: Case, tmp_path: Path) -> None:
    golden = case.golden()
    engine = engine_for(case, tmp_path)
    losses, norms = [], []
    for batch in case.batches():
        losses.append(engine.accumulate(batch).loss_sum / batch.n_supervised)
        norms.append(engine.apply(case.lr))
    np.testing.assert_allclose(losses, golden["step/loss"], rtol=1e-5)
    np.testing.assert_allclose(norms, golden["step/grad_norm"], rtol=1e-4)
    for name, tensor in engine.state().tensors.items():
        assert relative(tensor.a, golden[f"final/{name}/a"]) < 1e-4, name
        assert relative(tensor.b, golden[f"final/{name}/b"]) < 1e-4, name


def test_a_saved_state_goes_on_to_the_bit(tmp_path: Path) -> None:
    case = CASES["s"]

    def run(engine, batches: list[MicroBatch]) -> list[float]:
        return [(engine.accumulate(batch).loss_sum, engine.apply(case.lr))[0] for batch in batches]

    straight = engine_for(case, tmp_path, dropout=0.2)
    losses = run(straight, case.batches()[:4])
    half = engine_for(case, tmp_path, dropout=0.2)
    first = run(half, case.batches()[:2])
    resumed = engine_for(case, tmp_path, dropout=0.2)
    resumed.load_state(half.state())
    assert first + run(resumed, case.batches()[2:4]) == losses
    assert resumed.state().step == 4
    for name, tensor in straight.state().tensors.items():
        other = resumed.state().tensors[name]
        for key in ("a", "b", "a_m", "a_v", "b_m", "b_v"):
            np.testing.assert_array_equal(getattr(tensor, key), getattr(other, key), err_msg=f"{name} {key}")


def test_accumulation_is_invariant(tmp_path: Path) -> None:
    """Rows with unequal supervised counts, all at once or one by one: one division, so one update."""
    case = CASES["s"]
    batch = case.batches()[2]
    together, apart = engine_for(case, tmp_path), engine_for(case, tmp_path)
    together.accumulate(batch)
    for start, end in zip(batch.row_starts[:-1], batch.row_starts[1:], strict=True):
        part = slice(start, end)
        row = MicroBatch(
            batch.tokens[part], batch.targets[part], batch.loss_mask[part], np.array([0, end - start], np.int32)
        )
        apart.accumulate(row)
    assert apart.apply(1e-3) == pytest.approx(together.apply(1e-3), rel=1e-5)
    for name, tensor in together.state().tensors.items():
        assert relative(apart.state().tensors[name].b, tensor.b) < 1e-5


@pytest.mark.parametrize("precision", ["bf16", "autocast"])
def test_faster_modes_stay_near_f32(precision: str, tmp_path: Path) -> None:
    case = CASES["w"]
    batch, golden = case.batches()[0], case.golden()
    engine = engine_for(case, tmp_path, precision)
    assert engine.accumulate(batch).loss_sum == pytest.approx(golden["loss_sum"], rel=1e-2)
    errors = [relative(db, golden[f"grad/{name}/b"]) for name, (_, db) in engine.gradients().items()]
    assert 1e-5 < max(errors) < 0.1


def test_nothing_supervised_is_refused_at_apply(tmp_path: Path) -> None:
    case = CASES["tiny"]
    engine = engine_for(case, tmp_path)
    batch = case.batches()[0]
    silent = MicroBatch(batch.tokens, batch.targets, np.zeros_like(batch.loss_mask), batch.row_starts)
    assert engine.accumulate(silent) == (0.0, 0)
    with pytest.raises(EngineError, match="no supervised target"):
        engine.apply(1e-3)


def test_bad_batches_are_refused(tmp_path: Path) -> None:
    case = CASES["tiny"]
    engine = engine_for(case, tmp_path)
    good = case.batches()[0]
    starts, mask = good.row_starts, good.loss_mask
    for bad in (
        MicroBatch(good.tokens + 40, good.targets, mask, starts),
        MicroBatch(good.tokens, good.targets - 50, mask, starts),
        MicroBatch(good.tokens, good.targets[1:], mask, starts),
        MicroBatch(good.tokens, good.targets, mask, starts[:-1]),
        MicroBatch(good.tokens, good.targets, mask, starts[[0, 2, 1]]),
    ):
        with pytest.raises(EngineError):
            engine.accumulate(bad)


def test_bad_settings_are_refused(tmp_path: Path) -> None:
    from localft.engine.peft import PeftEngine

    checkpoint = models.build_checkpoint("tiny", tmp_path)
    adam, lora = AdamSpec(), LoraSpec(("blk.0.attn_q.weight",), rank=2)
    for name in ("output.weight", "blk.7.attn_q.weight", "blk.0.attn_norm.weight", "nonsense"):
        with pytest.raises(ConfigError, match=name):
            PeftEngine(checkpoint, LoraSpec((name,)), adam)
    with pytest.raises(ConfigError, match="int3"):
        PeftEngine(checkpoint, lora, adam, precision="int3")
    with pytest.raises(EngineError, match="warp"):
        PeftEngine(checkpoint, lora, adam, device="warp")
    with pytest.raises(ModelError):
        PeftEngine(tmp_path / "nowhere", lora, adam)
    engine = PeftEngine(checkpoint, lora, adam, device="cpu")
    wrong = LoraState(np.zeros((3, 32), np.float32), np.zeros((32, 3), np.float32))
    with pytest.raises(EngineError, match=r"blk\.0\.attn_q"):
        engine.load_state(EngineState({"blk.0.attn_q.weight": wrong}))
    with pytest.raises(EngineError, match="in one of them only"):
        engine.load_state(EngineState({}))


def test_a_run_starts_as_the_native_engine_does(tmp_path: Path) -> None:
    """Both engines draw A from the same stream and set B to zero, so a run is the same run on either."""
    from localft.engine.initial_adapter import initial_state
    from localft.engine.peft import PeftEngine

    shape = models.MODELS["tiny"]
    lora = LoraSpec(tuple(shape.matrices()), rank=3, seed=0)
    engine = PeftEngine(models.write_checkpoint(shape, tmp_path), lora, AdamSpec(), device="cpu")
    for name, tensor in initial_state(lora, shape.matrices()).tensors.items():
        ours = engine.state().tensors[name]
        np.testing.assert_array_equal(ours.a, tensor.a)
        np.testing.assert_array_equal(ours.b, np.zeros_like(tensor.b))
        np.testing.assert_array_equal(ours.a_v, np.zeros_like(tensor.a))
