"""Law 17: a graph of plain ops uses nothing that Metal, CUDA or Vulkan lacks (see backend_ops.json for the source)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest
from engines import HEAD8, make
from golden import models

from localft.engine.native import ggml_version

TABLE = json.loads(Path(__file__).with_name("backend_ops.json").read_text(encoding="utf-8"))
BACKENDS = ("CUDA", "Metal", "Vulkan")
W = models.MODELS["w"]
TYPES = ("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "q2_k", "q3_k_m", "q4_k_m", "q5_k_m", "q6_k")
# What differs in a graph: RoPE factors or none, tied or not, grouped heads or not, one row or several.
SHAPES = {"w": W, "s": models.MODELS["s"], "head8": HEAD8, "single": models.Shape("single", 64, 96, 2, 4, 4, 50, True)}


def lacking(ops: Iterable[str]) -> dict[str, list[str]]:
    """The backends that do not offer each op."""
    found = {op: [name for name in BACKENDS if name not in TABLE["ops"].get(op, ())] for op in ops}
    return {op: names for op, names in found.items() if names}


def test_table_belongs_to_this_ggml() -> None:
    """A bump of llama-cpp-python asks for the backends to be read again."""
    assert TABLE["source"]["ggml"] == ggml_version()


@pytest.mark.parametrize("outtype", TYPES)
def test_every_type_of_base(outtype: str, tmp_path: Path) -> None:
    engine = make(W, tmp_path, outtype=outtype, kernels="plain", dropout=0.1)
    ops = engine.ops(models.batch(W, (5, 9)))
    assert lacking(ops) == {}
    assert any(op.startswith("MUL_MAT") and (outtype == "f32") == ("f32,f32" in op) for op in ops)


@pytest.mark.parametrize("name", list(SHAPES))
@pytest.mark.parametrize("dropout", [0.0, 0.1])
@pytest.mark.parametrize("memory_budget", [0, 1])
@pytest.mark.parametrize("lengths", [(6,), (1, 2, 8)])
@pytest.mark.parametrize("all_supervised", [False, True])
def test_every_kind_of_graph(
    name: str, dropout: float, memory_budget: int, lengths: tuple[int, ...], all_supervised: bool, tmp_path: Path
) -> None:
    shape = SHAPES[name]
    engine = make(shape, tmp_path, kernels="plain", dropout=dropout, memory_budget=memory_budget, max_tokens=11)
    batch = models.batch(shape, lengths)
    if all_supervised:
        batch.loss_mask[:] = 1
    ops = engine.ops(batch)
    assert lacking(ops) == {}
    assert "SET_ROWS f32,i32,f32 -> f32" in ops
    assert len(ops) > 15


def test_an_op_that_a_backend_lacks_is_seen() -> None:
    assert lacking(["OUT_PROD f32,f32 -> f32"]) == {"OUT_PROD f32,f32 -> f32": ["Metal"]}
    assert lacking(["CUSTOM f32,f32 -> f32"]) == {"CUSTOM f32,f32 -> f32": list(BACKENDS)}
    assert lacking(["ADD f32,f32 -> f32"]) == {}


def test_our_own_kernels_are_on_no_other_backend(tmp_path: Path) -> None:
    """Why the plain twin exists."""
    ops = make(models.MODELS["tiny"], tmp_path).ops(models.batch(models.MODELS["tiny"], (4,)))
    assert any(op.startswith(("CUSTOM", "MAP_CUSTOM")) for op in lacking(ops))
