"""The laws of the native engine that need no reference but the engine itself."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from engines import HEAD8, assert_close, assert_same_bits, factors, gradients, join, load, make, relative
from golden import models
from golden.cases import CASES

from localft.data.batching.micro_batch import MicroBatch
from localft.engine import AdamSpec, EngineState, LoraSpec
from localft.engine.native import NativeEngine, lora_targets
from localft.errors import EngineError

W, S = models.MODELS["w"], models.MODELS["s"]


@pytest.mark.parametrize("kernels", ["auto", "plain"])
@pytest.mark.parametrize("outtype", ["f32", "q8_0"])
def test_law_2_b_zero_is_the_identity(outtype: str, kernels: str, tmp_path: Path) -> None:
    """No bit depends on A, on alpha, on which tensors carry LoRA, or on dropout, as long as every B is zero."""
    model, batch = models.write_gguf(HEAD8, tmp_path, outtype), models.batch(HEAD8, (13, 4))

    def fresh(targets: tuple[str, ...], rank: int, alpha: float, dropout: float) -> dict[str, np.ndarray]:
        lora = LoraSpec(targets, rank=rank, alpha=alpha, dropout=dropout)
        engine = NativeEngine(model, lora, AdamSpec(), n_threads=1, kernels=kernels)
        losses = [engine.accumulate(batch).loss_sum, engine.evaluate(batch).loss_sum]
        return {"logits": engine.logits(batch), "loss": np.array(losses)}

    least = fresh(("blk.0.ffn_down.weight",), 1, 1.0, 0.0)
    assert least["loss"][0] == least["loss"][1]
    assert_same_bits(fresh(tuple(HEAD8.matrices()), 5, 40.0, 0.0), least)
    assert_same_bits(fresh(tuple(HEAD8.matrices()), 24, 16.0, 0.5), least)


def four_rows(shape: models.Shape) -> list[MicroBatch]:
    """Rows of which two targets, all, about two thirds, and one are supervised."""
    rows = [models.batch(shape, (n,), f"row {n}") for n in (3, 21, 9, 14)]
    rows[0].loss_mask[1:] = 1
    rows[1].loss_mask[:] = 1
    rows[3].loss_mask[:-1] = 0
    counts = [r.n_supervised for r in rows]
    assert len(set(counts)) == 4, counts
    return rows


def grouped(rows: list[MicroBatch], size: int) -> list[MicroBatch]:
    return [join(rows[i : i + size]) for i in range(0, len(rows), size)]


@pytest.mark.parametrize("kernels", ["auto", "plain"])
def test_law_5_accumulation_is_the_big_batch(kernels: str, tmp_path: Path) -> None:
    model = models.write_gguf(S, tmp_path)
    seen = []
    for size in (1, 2, 4):
        engine = load(S, model, kernels=kernels, adam=AdamSpec(weight_decay=0.1, grad_clip=1.0))
        start = factors(engine)
        sums = [engine.accumulate(part) for part in grouped(four_rows(S), size)]
        gradient = gradients(engine)
        norm = engine.apply(1e-3)
        update = {name: values - start[name] for name, values in factors(engine).items()}
        seen.append((sum(r.loss_sum for r in sums), sum(r.n_supervised for r in sums), norm, gradient, update))
    for loss, n_supervised, norm, gradient, update in seen[1:]:
        assert loss == pytest.approx(seen[0][0], rel=1e-6)
        assert n_supervised == seen[0][1]
        assert norm == pytest.approx(seen[0][2], rel=1e-5)
        assert_close(gradient, seen[0][3], 1e-5)
        assert_close(update, seen[0][4], 1e-3)


def test_law_5_mean_of_means_would_be_seen(tmp_path: Path) -> None:
    """The counts are unequal enough: weighing micro-batches equally changes the loss by far more than the tolerance."""
    engine = make(S, tmp_path)
    results = [engine.evaluate(part) for part in four_rows(S)]
    true = sum(r.loss_sum for r in results) / sum(r.n_supervised for r in results)
    naive = np.mean([r.loss_sum / r.n_supervised for r in results])
    assert abs(naive / true - 1) > 1e-2


def test_law_5_evaluation_does_not_depend_on_its_batch_size(tmp_path: Path) -> None:
    engine = make(S, tmp_path)
    totals = [[engine.evaluate(part) for part in grouped(four_rows(S), size)] for size in (1, 2, 3, 4)]
    losses = [sum(r.loss_sum for r in results) for results in totals]
    assert {sum(r.n_supervised for r in results) for results in totals} == {sum(r.n_supervised for r in four_rows(S))}
    np.testing.assert_allclose(losses, losses[0], rtol=1e-6)


@pytest.mark.parametrize("kernels", ["auto", "plain"])
def test_law_6_masked_targets_are_inert(kernels: str, tmp_path: Path) -> None:
    engine, batch = make(S, tmp_path, kernels=kernels), models.batch(S, (11, 18))
    expected = engine.accumulate(batch), gradients(engine)
    for value in (0, 95, -100, 2**31 - 1):
        changed = replace(batch, targets=np.where(batch.loss_mask == 1, batch.targets, value).astype(np.int32))
        assert (changed.targets != batch.targets).any()
        other = load(S, tmp_path / "s-f32.gguf", kernels=kernels)
        assert other.accumulate(changed) == expected[0]
        assert_same_bits(gradients(other), expected[1])


def test_law_6_supervised_targets_are_not_inert(tmp_path: Path) -> None:
    engine, batch = make(S, tmp_path), models.batch(S, (11, 18))
    changed = replace(batch, targets=np.where(batch.loss_mask == 1, (batch.targets + 1) % 96, 0).astype(np.int32))
    assert engine.evaluate(changed).loss_sum != engine.evaluate(batch).loss_sum


@pytest.mark.parametrize("kernels", ["auto", "plain"])
def test_law_7_rows_together_are_rows_alone(kernels: str, tmp_path: Path) -> None:
    model, rows = models.write_gguf(HEAD8, tmp_path), four_rows(HEAD8)
    together, alone = (load(HEAD8, model, kernels=kernels) for _ in range(2))
    total = together.accumulate(join(rows))
    results = [alone.accumulate(r) for r in rows]
    assert total.loss_sum == pytest.approx(sum(r.loss_sum for r in results), rel=1e-6)
    assert total.n_supervised == sum(r.n_supervised for r in results)
    assert_close(gradients(together), gradients(alone), 1e-5)
    logits = np.concatenate([alone.logits(r) for r in rows])
    assert relative(together.logits(join(rows)), logits) < 1e-5


def test_law_7_would_see_attention_across_rows(tmp_path: Path) -> None:
    """One row of the same tokens has another loss: the rows do have something to leak."""
    engine, both = make(HEAD8, tmp_path), join(four_rows(HEAD8))
    one = replace(both, row_starts=both.row_starts[[0, -1]])
    assert abs(engine.evaluate(one).loss_sum / engine.evaluate(both).loss_sum - 1) > 1e-3


@pytest.mark.parametrize("kernels", ["auto", "plain"])
@pytest.mark.parametrize("outtype", ["f32", "q4_k_m"])
def test_law_8_base_weights_stay_as_they_are(outtype: str, kernels: str, tmp_path: Path) -> None:
    engine = make(W, tmp_path, outtype=outtype, kernels=kernels)
    model = tmp_path / f"w-{outtype}.gguf"
    before, stat = hashlib.sha256(model.read_bytes()).hexdigest(), model.stat()
    for _ in range(3):
        engine.accumulate(models.batch(W, (12,)))
        engine.apply(1e-2)
    engine.close()
    assert hashlib.sha256(model.read_bytes()).hexdigest() == before
    assert (model.stat().st_mtime_ns, model.stat().st_size) == (stat.st_mtime_ns, stat.st_size)


@pytest.mark.parametrize("shape", [S, HEAD8], ids=lambda shape: shape.name)
def test_law_9_the_trainable_set(shape: models.Shape, tmp_path: Path) -> None:
    """Exactly the named tensors, in size and in what an update changes."""
    model = models.write_gguf(shape, tmp_path)
    assert lora_targets(model) == shape.matrices()
    names = tuple(name for name in shape.matrices() if "attn_v" in name or "ffn_up" in name)
    for targets in (names, tuple(shape.matrices())):
        engine = load(shape, model, targets=targets, rank=3)
        sides = [shape.matrices()[name] for name in targets]
        assert engine.n_trainable == sum(3 * (n_in + n_out) for n_out, n_in in sides)
        before = factors(engine)
        assert list(engine.state().tensors) == list(targets)
        engine.accumulate(models.batch(shape, (20,)))
        engine.apply(1e-2)
        changed = {name for name, values in factors(engine).items() if (values != before[name]).any()}
        assert changed == set(before)


def test_law_9_tied_output_is_refused(tmp_path: Path) -> None:
    model = models.write_gguf(S, tmp_path)
    with pytest.raises(EngineError, match="tied to the embeddings") as error:
        NativeEngine(model, LoraSpec(("output.weight",)), AdamSpec())
    assert error.value.hint


def run_steps(engine: NativeEngine, first: int, n: int) -> list[float]:
    """Steps of two micro-batches each, the same for the same index."""
    losses = []
    for step in range(first, first + n):
        parts = [models.batch(S, lengths, f"step {step}") for lengths in ((9, 4), (16,))]
        losses += [engine.accumulate(part).loss_sum for part in parts]
        losses.append(engine.apply(5e-3))
    return losses


@pytest.mark.parametrize("kernels", ["auto", "plain"])
def test_law_12_a_restored_state_goes_on_to_the_bit(kernels: str, tmp_path: Path) -> None:
    model = models.write_gguf(S, tmp_path)
    options = {"dropout": 0.2, "kernels": kernels, "adam": AdamSpec(weight_decay=0.1)}
    whole, first, second = (load(S, model, **options) for _ in range(3))
    expected = run_steps(whole, 0, 6)
    losses = run_steps(first, 0, 3)
    state = first.state()
    assert (state.step, state.micro_step) == (3, 6)
    second.load_state(state)
    assert losses + run_steps(second, 3, 3) == expected
    for name, tensor in second.state().tensors.items():
        for field in ("a", "b", "a_m", "a_v", "b_m", "b_v"):
            ours, reference = getattr(tensor, field), getattr(whole.state().tensors[name], field)
            assert ours.tobytes() == reference.tobytes(), (name, field)
    second.load_state(EngineState(state.tensors, step=3, micro_step=7))
    assert run_steps(second, 3, 3) != expected[9:]


def test_law_12_a_state_is_a_copy(tmp_path: Path) -> None:
    engine = make(S, tmp_path)
    before = factors(engine)
    state = engine.state()
    run_steps(engine, 0, 1)
    assert_same_bits({f"{n}/{f}": getattr(t, f) for n, t in state.tensors.items() for f in "ab"}, before)


def test_law_12_a_state_put_in_empties_the_accumulator(tmp_path: Path) -> None:
    engine = make(S, tmp_path)
    engine.accumulate(models.batch(S, (9, 4)))
    engine.load_state(engine.state())
    assert not any(values.any() for values in gradients(engine).values())
    with pytest.raises(EngineError, match="no supervised target"):
        engine.apply(1e-3)


def fresh(model: Path, seed: int, dropout: float = 0.3) -> NativeEngine:
    """An engine as a run starts it: A drawn from the seed, B zero."""
    lora = LoraSpec(tuple(S.matrices()), rank=8, dropout=dropout, seed=seed)
    return NativeEngine(model, lora, AdamSpec(), n_threads=1)


def test_law_13_the_same_seed_gives_the_same_losses(tmp_path: Path) -> None:
    model = models.write_gguf(S, tmp_path)
    losses = {seed: run_steps(fresh(model, seed), 0, 3) for seed in (0, 1, 42, -1)}
    for seed, expected in losses.items():
        assert run_steps(fresh(model, seed), 0, 3) == expected
    assert len({tuple(values) for values in losses.values()}) == 4


def test_law_13_dropout_follows_the_seed_and_the_micro_step(tmp_path: Path) -> None:
    model, batch = models.write_gguf(S, tmp_path), models.batch(S, (30,))
    one, other = (load(S, model, dropout=0.3, seed=seed) for seed in (0, 1))
    losses = [one.accumulate(batch).loss_sum for _ in range(3)]
    assert len(set(losses)) == 3
    assert other.accumulate(batch).loss_sum not in losses
    assert {load(S, model, seed=seed).accumulate(batch).loss_sum for seed in (0, 1)} == {one.evaluate(batch).loss_sum}


def test_dropout_keeps_the_mean(tmp_path: Path) -> None:
    """With p = 0.5 the LoRA part is doubled or gone, so its mean over many masks is what it was."""
    lora = LoraSpec(("blk.2.ffn_down.weight",), rank=4, alpha=0.5, dropout=0.5)
    engine = NativeEngine(models.write_gguf(S, tmp_path), lora, AdamSpec(), n_threads=1)
    engine.load_state(EngineState({lora.target_tensors[0]: models.adapter(S, 4)[lora.target_tensors[0]]}))
    batch = models.batch(S, (50,))
    losses = np.array([engine.accumulate(batch).loss_sum for _ in range(200)])
    spread = losses.std() / math.sqrt(len(losses))
    assert abs(losses.mean() - engine.evaluate(batch).loss_sum) < 5 * spread
    assert spread > 0


def test_law_13_initialisation_is_kaiming_uniform_and_per_tensor(tmp_path: Path) -> None:
    """As PEFT draws A (a = √5): uniform within ±1/√n_in. Tensors of one shape differ, and draw alone as together."""
    model = models.write_gguf(S, tmp_path)
    tensors = fresh(model, 0).state().tensors
    for name, (_, n_in) in S.matrices().items():
        a, bound = tensors[name].a.astype(np.float64), 1 / math.sqrt(n_in)
        assert 0.97 * bound < np.abs(a).max() <= bound * (1 + 1e-6)
        assert a.std() == pytest.approx(bound / math.sqrt(3), rel=0.1)
        assert abs(a.mean()) < 4 * bound / math.sqrt(3 * a.size)
        assert not tensors[name].b.any()
        assert not any(m.any() for m in (tensors[name].a_m, tensors[name].a_v, tensors[name].b_m, tensors[name].b_v))
    q_like = [t.a.tobytes() for t in tensors.values() if t.a.shape == (8, 64)]
    assert len(set(q_like)) == len(q_like) == 18
    name = "blk.1.attn_k.weight"
    alone = NativeEngine(model, LoraSpec((name,), rank=8, seed=0), AdamSpec())
    assert alone.state().tensors[name].a.tobytes() == tensors[name].a.tobytes()


def test_loading_a_state_empties_the_accumulator(tmp_path: Path) -> None:
    """Once a gradient accumulated before load_state went into the first update after it."""
    case = CASES["s"]
    engine = NativeEngine(models.write_gguf(case.shape, tmp_path), case.lora(), case.adam, n_threads=1)
    engine.accumulate(case.batches()[0])
    engine.load_state(case.state())
    with pytest.raises(EngineError, match="no supervised target"):
        engine.apply(1e-3)


def test_a_token_that_is_all_but_impossible_has_a_finite_loss(tmp_path: Path) -> None:
    """The plain ops once took the logarithm of a probability that had underflowed to zero."""
    case = CASES["w"]
    path = models.write_gguf(case.shape, tmp_path)
    state = case.state()
    for tensor in state.tensors.values():
        tensor.b = tensor.b * 300
    losses = []
    for kernels in ("auto", "plain"):
        engine = NativeEngine(path, case.lora(), case.adam, n_threads=1, kernels=kernels)
        engine.load_state(state)
        losses.append(engine.evaluate(case.batches()[0]).loss_sum / case.batches()[0].n_supervised)
    assert losses[0] > 100
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
