"""Laws 1 and 10: our logits are llama.cpp's own, on every type of base, with and without an adapter."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest
from engines import HEAD8, HEAD24, load, make, relative
from golden import models
from llama import llama_logits

from localft.adapter import Adapter, LoraTensor, write_adapter
from localft.data.batching.micro_batch import MicroBatch
from localft.engine.native import NativeEngine

W, S = models.MODELS["w"], models.MODELS["s"]
# Stored types, by name without its layer; llama_model_quantize makes the mixtures.
STORED = {
    "f32": {"F32"},
    "f16": {"F16", "F32"},
    "bf16": {"BF16", "F32"},
    "q8_0": {"Q8_0", "F32"},
    "q5_0": {"Q5_0", "F32"},
    "q5_1": {"Q5_1", "F32"},
    "q4_0": {"Q4_0", "F32"},
    "q4_1": {"Q4_1", "F32"},
    "q2_k": {"Q2_K", "Q3_K", "Q6_K", "F32"},
    "q3_k_m": {"Q3_K", "Q4_K", "Q5_K", "Q6_K", "F32"},
    "q4_k_m": {"Q4_K", "Q6_K", "F32"},
    "q5_k_m": {"Q5_K", "Q6_K", "F32"},
    "q6_k": {"Q6_K", "F32"},
}
# NMSE against llama.cpp, which rounds activations to 8 bits before a product with a block type.
ALLOWED = {"f32": 1e-6, "f16": 1e-4, "bf16": 1e-4}


def row(shape: models.Shape, n: int) -> MicroBatch:
    return models.batch(shape, (n,))


def write_lora(engine: NativeEngine, path: Path) -> Path:
    """The engine's adapter as a GGUF."""
    tensors = {name: LoraTensor(t.a, t.b) for name, t in engine.state().tensors.items()}
    write_adapter(path, Adapter("llama", engine.lora.rank, engine.lora.alpha, tensors))
    return path


def assert_logits_agree(ours: np.ndarray, reference: np.ndarray, nmse: float) -> None:
    """Within `nmse`, and the same greedy tokens where the reference's margin is above the error."""
    assert relative(ours, reference) ** 2 <= nmse
    top = np.sort(reference, axis=1)
    clear = top[:, -1] - top[:, -2] > 2 * np.abs(ours - reference).max(axis=1)
    assert clear.mean() > 0.2
    np.testing.assert_array_equal(ours[clear].argmax(axis=1), reference[clear].argmax(axis=1))


@pytest.mark.parametrize("outtype", list(STORED))
def test_law_1_and_10_logits_equal_llama_cpp(outtype: str, tmp_path: Path) -> None:
    """Law 1 with and without an adapter, which llama.cpp reads from its file (law 10)."""
    model = models.write_gguf(W, tmp_path, outtype)
    stored = {t.name: t.tensor_type.name for t in gguf.GGUFReader(model).tensors}
    assert set(stored.values()) == STORED[outtype]
    assert {kind for name, kind in stored.items() if "norm" in name} == {"F32"}
    engine, batch = load(W, model, rank=6), row(W, 60)
    adapter = write_lora(engine, tmp_path / "adapter.gguf")
    allowed = ALLOWED.get(outtype, 1e-3)
    tuned = engine.logits(batch)
    assert_logits_agree(tuned, llama_logits(model, batch.tokens, adapter), allowed)
    state = engine.state()
    for tensor in state.tensors.values():
        tensor.b[:] = 0
    engine.load_state(state)
    base = llama_logits(model, batch.tokens)
    assert_logits_agree(engine.logits(batch), base, allowed)
    assert relative(tuned, base) > 0.1


@pytest.mark.parametrize("shape", [S, HEAD8, HEAD24], ids=lambda shape: shape.name)
def test_law_1_on_odd_widths(shape: models.Shape, tmp_path: Path) -> None:
    engine, batch = make(shape, tmp_path), row(shape, 37)
    model = tmp_path / f"{shape.name}-f32.gguf"
    adapter = write_lora(engine, tmp_path / "adapter.gguf")
    assert_logits_agree(engine.logits(batch), llama_logits(model, batch.tokens, adapter), 1e-6)


def test_law_10_scale_0_is_the_base_and_merged_is_tuned(tmp_path: Path) -> None:
    engine, batch = make(S, tmp_path), row(S, 25)
    model, adapter = tmp_path / "s-f32.gguf", write_lora(engine, tmp_path / "adapter.gguf")
    base = llama_logits(model, batch.tokens)
    np.testing.assert_array_equal(llama_logits(model, batch.tokens, adapter, adapter_scale=0.0), base)
    weights = {t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in gguf.GGUFReader(model).tensors}
    for name, t in engine.state().tensors.items():
        weights[name] = (weights[name] + engine.lora.alpha / engine.lora.rank * (t.b @ t.a)).astype(np.float32)
    merged = models.write_gguf(S, tmp_path / "merged.gguf", weights=weights)
    assert_logits_agree(engine.logits(batch), llama_logits(merged, batch.tokens), 1e-6)
    assert relative(engine.logits(batch), base) > 0.1
