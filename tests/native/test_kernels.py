"""Our kernels against ggml's own ops, against each other, and against themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from engines import (
    DEEP,
    HEAD8,
    HEAD24,
    KERNELS,
    assert_close,
    assert_same_bits,
    factors,
    gradients,
    load,
    make,
    relative,
)
from golden import models

from localft.data.batching.micro_batch import MicroBatch
from localft.engine import EngineState
from localft.engine.native import NativeEngine
from localft.errors import EngineError

# (shape, lengths of the rows, rank, dropout)
CASES = {
    "one token": (HEAD8, (1,), 3, 0.0),
    "rank 1": (HEAD8, (5,), 1, 0.0),
    "unequal rows": (HEAD24, (1, 2, 33, 7, 64, 5), 3, 0.0),
    "many rows and dropout": (HEAD8, tuple(1 + 7 * i % 11 for i in range(60)), 5, 0.25),
    "half dropped": (HEAD24, (40, 3), 8, 0.5),
    "longer than a panel": (DEEP, (300, 7), 7, 0.1),
    "rank of the smallest side": (HEAD24, (30,), 24, 0.0),
    "rank too large for thin products": (models.MODELS["w"], (30,), 40, 0.0),
}


def results(engine: NativeEngine, batch: MicroBatch) -> dict[str, np.ndarray]:
    """Loss with and without dropout, and logits, as arrays."""
    losses = {"train": engine.accumulate(batch).loss_sum, "eval": engine.evaluate(batch).loss_sum}
    return {**{name: np.array([loss]) for name, loss in losses.items()}, "logits": engine.logits(batch)}


@pytest.mark.parametrize("name", list(CASES))
def test_equal_to_plain_ops(name: str, kernels: str, tmp_path: Path) -> None:
    shape, lengths, rank, dropout = CASES[name]
    model, batch = models.write_gguf(shape, tmp_path), models.batch(shape, lengths)
    ours, plain = (load(shape, model, rank=rank, dropout=dropout, kernels=table) for table in (kernels, "plain"))
    assert (ours.kernels, plain.kernels) == (kernels, "plain")
    expected = results(plain, batch)
    assert_close(results(ours, batch), expected, 1e-5)
    assert_close(gradients(ours), gradients(plain), 2e-5)
    assert (expected["train"] != expected["eval"]) == (dropout > 0)


@pytest.mark.parametrize("outtype", ["f16", "bf16", "q8_0", "q5_1", "q4_0", "q3_k_m", "q4_k_m", "q6_k"])
def test_quantised_base_is_its_dequantised_twin(outtype: str, kernels: str, tmp_path: Path) -> None:
    """The kernels dequantise exactly and compute in f32, in both directions of the product."""
    shape = models.MODELS["w"]
    model = models.write_gguf(shape, tmp_path, outtype)
    twin, _ = models.twins(shape, model, tmp_path / "twin")
    batch = models.batch(shape, (21, 9))
    ours, reference = (load(shape, file, kernels=kernels) for file in (model, twin))
    assert_close(results(ours, batch), results(reference, batch), 2e-6)
    assert_close(gradients(ours), gradients(reference), 2e-6)


def test_scales_below_the_normal_f16(kernels: str, tmp_path: Path) -> None:
    """Small weights have scales that f16 holds with few bits."""
    shape = models.MODELS["w"]
    weights = {
        name: models.in_gguf_order(shape, name, models.weight(shape, name)) * (1e-4 if "ffn_up" in name else 1)
        for name in models.weight_names(shape)
    }
    model = models.write_gguf(shape, tmp_path, "q8_0", weights=weights)
    twin, _ = models.twins(shape, model, tmp_path / "twin")
    batch = models.batch(shape, (21, 9))
    ours, reference = (load(shape, file, kernels=kernels) for file in (model, twin))
    assert_close(results(ours, batch), results(reference, batch), 2e-6)
    assert_close(gradients(ours), gradients(reference), 2e-6)


@pytest.mark.parametrize("table", [*KERNELS, "plain"])
@pytest.mark.parametrize("name", ["many rows and dropout", "longer than a panel"])
def test_threads_and_repetition_change_no_bit(name: str, table: str, tmp_path: Path) -> None:
    shape, lengths, rank, _ = CASES[name]
    model, batch = models.write_gguf(shape, tmp_path), models.batch(shape, lengths)
    seen = []
    for n_threads in (1, 1, 2, 3):
        try:
            engine = load(shape, model, rank=rank, dropout=0.1, kernels=table, n_threads=n_threads)
        except EngineError as error:
            pytest.skip(error.message)
        arrays = {**results(engine, batch), **gradients(engine)}
        engine.apply(1e-2)
        seen.append({**arrays, **{f"updated {key}": values for key, values in factors(engine).items()}})
    for other in seen[1:]:
        assert_same_bits(other, seen[0])


@pytest.mark.parametrize("table", ["auto", "plain"])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_recomputing_gives_the_same_bits(dropout: float, table: str, tmp_path: Path) -> None:
    shape = models.MODELS["s"]
    model, batch = models.write_gguf(shape, tmp_path), models.batch(shape, (17, 3, 40))
    options = {"dropout": dropout, "kernels": table, "max_tokens": batch.n_tok}
    keep = load(shape, model, **options)
    everything = load(shape, model, memory_budget=1, **options)
    some = load(shape, model, memory_budget=keep.memory_estimate - 1, **options)
    assert (keep.n_recompute, everything.n_recompute) == (0, shape.n_layer)
    assert 0 < some.n_recompute < shape.n_layer
    expected = {**results(keep, batch), **gradients(keep)}
    for engine in (some, everything):
        assert_same_bits({**results(engine, batch), **gradients(engine)}, expected)


@pytest.mark.parametrize("table", ["auto", "plain"])
@pytest.mark.parametrize(
    "targets",
    [
        ("blk.0.attn_q.weight",),
        ("blk.1.attn_v.weight", "blk.1.attn_k.weight"),
        ("blk.0.attn_output.weight", "blk.1.ffn_down.weight"),
        ("blk.1.ffn_gate.weight",),
        ("blk.0.ffn_up.weight", "output.weight"),
        ("output.weight",),
    ],
    ids=" ".join,
)
def test_gradients_of_a_few_targets(targets: tuple[str, ...], table: str, tmp_path: Path) -> None:
    """What a backward pass leaves out, where fewer tensors carry LoRA, changes nothing of what remains."""
    model, batch = models.write_gguf(HEAD8, tmp_path), models.batch(HEAD8, (9, 14))
    few = load(HEAD8, model, targets=targets, kernels=table)
    full = load(HEAD8, model, kernels=table)
    state = full.state()
    for name, tensor in state.tensors.items():
        if name not in targets:
            tensor.b[:] = 0
    full.load_state(EngineState(state.tensors))
    for engine in (few, full):
        engine.accumulate(batch)
    expected = {key: values for key, values in gradients(full).items() if key.rsplit("/", 1)[0] in targets}
    found = gradients(few)
    assert_close({key: found[key] for key in expected}, expected, 1e-6)


@pytest.mark.parametrize("table", ["auto", "plain"])
def test_more_rows_than_one_graph_takes(table: str, tmp_path: Path) -> None:
    """400 rows, layers recomputed: the plain ops once overran ggml's graph and then its allocator."""
    engine = make(HEAD8, tmp_path, kernels=table, memory_budget=1, max_tokens=16)
    batch = models.batch(HEAD8, (1, 2, 3, 2) * 100)
    rows = [
        MicroBatch(batch.tokens[a:b], batch.targets[a:b], batch.loss_mask[a:b], np.array([0, b - a], np.int32))
        for a, b in zip(batch.row_starts[:-1], batch.row_starts[1:], strict=True)
    ]
    assert engine.accumulate(batch).loss_sum == pytest.approx(sum(engine.evaluate(r).loss_sum for r in rows), rel=1e-6)
    assert relative(engine.logits(batch), np.concatenate([engine.logits(r) for r in rows])) < 1e-5


@pytest.mark.parametrize("table", ["auto", "plain"])
def test_deep_model_with_all_that_adds_nodes(table: str, tmp_path: Path) -> None:
    """24 layers, LoRA and dropout on everything, all recomputed: this once overran ggml's graph."""
    shape = models.Shape("tall", 32, 48, 24, 4, 2, 40, tied=False)
    engine = make(shape, tmp_path, dropout=0.1, kernels=table, memory_budget=1, max_tokens=16)
    assert engine.n_recompute == 24
    assert engine.accumulate(models.batch(shape, (3,) * 64)).loss_sum > 0


def test_environment_chooses_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCALFT_KERNELS", "generic")
    assert make(models.MODELS["tiny"], tmp_path).kernels == "generic"
    assert make(models.MODELS["tiny"], tmp_path, kernels="plain").kernels == "plain"
