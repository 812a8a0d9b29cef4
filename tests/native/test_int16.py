"""Products in integers of 16 bits: how near they are to f32's, and when they are used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from engines import HEAD8, assert_same_bits, gradients, load, make, relative
from gguf import GGMLQuantizationType, GGUFReader
from golden import models

from localft.errors import EngineError

# A depth beyond the panel of 1024; widths and a vocabulary in parts of blocks and panels.
SHAPE = models.Shape("int16", 96, 1120, 2, 3, 3, 131, tied=False)
LENGTHS = (1, 33, 7, 20)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return models.write_gguf(SHAPE, tmp_path, "q8_0")


@pytest.mark.parametrize(("rank", "dropout"), [(1, 0.0), (4, 0.25), (20, 0.0)])
def test_near_f32(rank: int, dropout: float, kernels: str, model: Path) -> None:
    batch = models.batch(SHAPE, LENGTHS)
    ours, f32 = (
        load(SHAPE, model, rank=rank, dropout=dropout, kernels=kernels, arithmetic=a) for a in ("int16", "f32")
    )
    assert (ours.arithmetic, f32.arithmetic) == ("int16", "f32")
    error = relative(ours.logits(batch), f32.logits(batch))
    assert 0 < error < 1e-3
    assert ours.accumulate(batch).loss_sum == pytest.approx(f32.accumulate(batch).loss_sum, rel=1e-4)
    expected = gradients(f32)
    for name, found in gradients(ours).items():
        assert relative(found, expected[name]) < 5e-3, name


def test_threads_rows_and_memory_change_no_bit(kernels: str, model: Path) -> None:
    batch = models.batch(SHAPE, LENGTHS)
    limits = {"kernels": kernels, "arithmetic": "int16", "max_tokens": batch.n_tok, "dropout": 0.1}
    engines = [load(SHAPE, model, n_threads=n, **limits) for n in (1, 2, 3)]
    engines.append(load(SHAPE, model, memory_budget=1, **limits))
    assert engines[-1].n_recompute == SHAPE.n_layer
    seen = []
    for engine in engines:
        engine.accumulate(batch)
        seen.append({**gradients(engine), "logits": engine.logits(batch)})
    for other in seen[1:]:
        assert_same_bits(other, seen[0])


def test_gate_and_up_take_half_the_memory(tmp_path: Path) -> None:
    deep = replace(SHAPE, name="int16-deep", n_layer=8)
    model = models.write_gguf(deep, tmp_path, "q8_0")
    sizes = [load(deep, model, arithmetic=a, max_tokens=256).memory_estimate for a in ("int16", "f32")]
    assert sizes[0] < 0.8 * sizes[1]


def test_zeros_and_nan(kernels: str, model: Path) -> None:
    """A block of zeros has no scale to divide by (B = 0 makes some); a NaN is not rounded to a number."""
    engine = load(SHAPE, model, kernels=kernels, arithmetic="int16")
    state = engine.state()
    for tensor in state.tensors.values():
        tensor.b[:] = 0
    engine.load_state(state)
    assert np.isfinite(engine.accumulate(models.batch(SHAPE, LENGTHS)).loss_sum)
    assert all(np.isfinite(values).all() for values in gradients(engine).values())
    state.tensors["blk.0.attn_q.weight"].a[0, 0] = np.nan
    state.tensors["blk.0.attn_q.weight"].b[:] = 1
    engine.load_state(state)
    with pytest.raises(EngineError, match="not finite"):
        engine.accumulate(models.batch(SHAPE, LENGTHS))


def test_unusual_q8_0(kernels: str, model: Path) -> None:
    """Scales below zero, bytes of -128 and blocks of zeros, as no quantiser of ours writes them."""
    file = GGUFReader(model, "r+")
    for tensor in file.tensors:
        if tensor.tensor_type == GGMLQuantizationType.Q8_0:
            blocks = tensor.data.reshape(-1, 34)
            blocks[::3, 1] ^= 0x80
            blocks[::4, 2 + 7] = 0x80
            blocks[5::11, :2] = 0
    file.data.flush()
    batch = models.batch(SHAPE, LENGTHS)
    ours, f32 = (load(SHAPE, model, kernels=kernels, arithmetic=a) for a in ("int16", "f32"))
    assert 0 < relative(ours.logits(batch), f32.logits(batch)) < 1e-3
    for engine in (ours, f32):
        engine.accumulate(batch)
    expected = gradients(f32)
    for name, found in gradients(ours).items():
        assert relative(found, expected[name]) < 5e-3, name


def test_auto_is_int16_where_it_is_fast_and_the_base_is_not_f32(kernels: str, model: Path, tmp_path: Path) -> None:
    assert load(SHAPE, model, kernels=kernels, arithmetic="auto").arithmetic == (
        "int16" if kernels == "avx512vnni" else "f32"
    )
    assert make(HEAD8, tmp_path / "f32", kernels=kernels, arithmetic="auto").arithmetic == "f32"


@pytest.mark.parametrize(
    ("table", "outtype", "arithmetic", "message"),
    [
        ("plain", "q8_0", "int16", "localft's own kernels"),
        ("generic", "q8_0", "int4", "no arithmetic called"),
    ],
)
def test_refused(table: str, outtype: str, arithmetic: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=message):
        make(SHAPE, tmp_path, outtype=outtype, kernels=table, arithmetic=arithmetic)


def test_deep_model_with_all_that_adds_nodes(tmp_path: Path) -> None:
    """24 layers, LoRA and dropout on everything, all recomputed: ggml aborts where a graph has more nodes than said."""
    shape = models.Shape("tall8", 32, 64, 24, 4, 2, 64, tied=False)
    limits = {"memory_budget": 1, "max_tokens": 16}
    engine = make(shape, tmp_path, kernels="generic", arithmetic="int16", dropout=0.1, **limits)
    assert (engine.n_recompute, engine.arithmetic) == (24, "int16")
    assert engine.accumulate(models.batch(shape, (3,) * 64)).loss_sum > 0
