"""A rank above the smaller side of a matrix, as other programs take it: the laws hold there too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from engines import HEAD8, load, make, relative
from golden import models
from llama import llama_logits

from localft.adapter import Adapter, LoraTensor, write_adapter
from localft.engine import AdamSpec, EngineState, LoraSpec, LoraState
from localft.engine.native import NativeEngine

RANK = 200  # above every side of HEAD8, whose matrices are from 24 × 72 to 172 × 72


@pytest.mark.parametrize("kernels", ["auto", "generic", "plain"])
def test_law_2_b_of_zeros_is_the_identity(kernels: str, tmp_path: Path) -> None:
    model, batch = models.write_gguf(HEAD8, tmp_path), models.batch(HEAD8, (37,))
    seen = []
    for rank in (4, RANK):
        engine = load(HEAD8, model, rank=rank, kernels=kernels)
        tensors = engine.state().tensors
        zeros = {name: replace(t, b=np.zeros_like(t.b)) for name, t in tensors.items()}
        engine.load_state(EngineState(zeros))
        seen.append(engine.logits(batch).tobytes())
    assert seen[0] == seen[1]


@pytest.mark.parametrize("kernels", ["auto", "generic", "plain"])
@pytest.mark.parametrize("name", ["blk.0.attn_q.weight", "blk.1.ffn_up.weight", "output.weight"])
def test_law_3_gradients_follow_from_those_of_the_whole_matrix(name: str, kernels: str, tmp_path: Path) -> None:
    """B′ = s B A before A′ = 1 is the same model; its gradient G is the matrix's own: dA = s Bᵀ G, dB = s G Aᵀ."""
    model, batch = models.write_gguf(HEAD8, tmp_path), models.batch(HEAD8, (17, 9))
    n_out, n_in = HEAD8.matrices()[name]
    engine = load(HEAD8, model, rank=RANK, targets=[name], kernels=kernels)
    a, b = engine.state().tensors[name].a, engine.state().tensors[name].b
    assert (a.shape, b.shape) == ((RANK, n_in), (n_out, RANK))
    scale = engine.lora.alpha / RANK
    whole = NativeEngine(model, LoraSpec((name,), rank=n_in, alpha=n_in), AdamSpec(), n_threads=1, kernels=kernels)
    whole.load_state(EngineState({name: LoraState(np.eye(n_in, dtype=np.float32), scale * (b @ a))}))
    assert engine.accumulate(batch).loss_sum == pytest.approx(whole.accumulate(batch).loss_sum, rel=1e-5)
    d_a, d_b = engine.gradients()[name]
    g = whole.gradients()[name][1].astype(np.float64)
    assert relative(d_a, scale * b.T @ g) <= 1e-4
    assert relative(d_b, scale * g @ a.T) <= 1e-4


def test_law_10_llama_cpp_computes_the_same(tmp_path: Path) -> None:
    engine, batch = make(HEAD8, tmp_path, rank=RANK), models.batch(HEAD8, (37,))
    tensors = {name: LoraTensor(t.a, t.b) for name, t in engine.state().tensors.items()}
    write_adapter(tmp_path / "a.gguf", Adapter("llama", RANK, engine.lora.alpha, tensors))
    reference = llama_logits(tmp_path / f"{HEAD8.name}-f32.gguf", batch.tokens, tmp_path / "a.gguf")
    assert relative(engine.logits(batch), reference) ** 2 <= 1e-6


def test_int16_takes_it_too(tmp_path: Path) -> None:
    model, batch = models.write_gguf(HEAD8, tmp_path), models.batch(HEAD8, (37, 20))
    losses = []
    for arithmetic in ("f32", "int16"):
        engine = load(HEAD8, model, rank=RANK, arithmetic=arithmetic)
        for _ in range(3):
            losses.append(engine.accumulate(batch).loss_sum)
            engine.apply(1e-3)
    np.testing.assert_allclose(losses[3:], losses[:3], rtol=2e-3)
    assert losses[2] < losses[0]
