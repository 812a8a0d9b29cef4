"""Counts that no model of any architecture can have are refused; llama.cpp ended its process on each of them."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from gguf_file import U64, File, Tensor, Value, f32, text, u32, u32_array
from gguf_mutations import N_EMBD, whole_files

from localft.errors import ModelError
from localft.model.gguf.check import check_gguf

I32_MINUS_1: Value = (5, struct.pack("<i", -1))
TRUE: Value = (7, b"\1")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, File]:
    return whole_files(tmp_path_factory.mktemp("whole"))


CASES: dict[str, tuple[dict[str, Value], str]] = {
    "no layer": ({"block_count": u32(0)}, 'block_count" is 0; a whole number from 1 to 512'),
    "513 layers": ({"block_count": u32(513)}, 'block_count" is 513; a whole number from 1 to 512'),
    "layers in 64 bits": ({"block_count": (U64, b"\xff" * 8)}, 'block_count" is 18446744073709551615; '),
    "more predicted layers than layers": ({"nextn_predict_layers": u32(3)}, 'nextn_predict_layers" is 3; '),
    "predicted layers a text": ({"nextn_predict_layers": text("2")}, 'nextn_predict_layers" is 2; '),
    "context a fraction": ({"context_length": f32(256)}, 'context_length" is 256.0; a whole number'),
    "context a truth": ({"context_length": TRUE}, 'context_length" is True; a whole number'),
    "context a text": ({"context_length": text("x" * 999)}, 'context_length" is xxx'),
    "context negative": ({"context_length": I32_MINUS_1}, 'context_length" is -1; '),
    "epsilon negative": ({"attention.layer_norm_rms_epsilon": f32(-1e-5)}, 'norm_rms_epsilon" is -9.99'),
    "epsilon a whole number": ({"attention.layer_norm_epsilon": u32(1)}, 'layer_norm_epsilon" is 1; a number from 0'),
    "epsilon infinite": ({"attention.group_norm_epsilon": f32(float("inf"))}, 'group_norm_epsilon" is inf'),
    "experts used of none": ({"expert_used_count": u32(1)}, 'expert_used_count" does not fit its 0 experts'),
    "experts used, none of some": (
        {"expert_count": u32(4), "expert_used_count": u32(0)},
        'expert_used_count" does not fit its 4 experts',
    ),
    "more experts used than there are": (
        {"expert_count": u32(4), "expert_used_count": u32(5)},
        'expert_used_count" does not fit its 4 experts',
    ),
    "experts used by layer": (
        {"expert_count": u32(4), "expert_used_count": u32_array(4, 5)},
        'expert_used_count" does not fit its 4 experts',
    ),
    "experts used a text": (
        {"expert_count": u32(4), "expert_used_count": text("4")},
        'expert_used_count" does not fit its 4 experts',
    ),
    "1025 experts": ({"expert_count": u32(1025)}, 'expert_count" is 1025; a whole number from 0 to 1024'),
    "experts negative": ({"expert_count": I32_MINUS_1}, 'expert_count" is -1; '),
    "groups of no experts": ({"expert_group_count": u32(1)}, 'expert_group_count" is 1; '),
    "groups of one": (
        {"expert_count": u32(4), "expert_used_count": u32(2), "expert_group_count": u32(4)},
        'expert_group_count" is 4; ',
    ),
    "uneven groups": (
        {
            **{"expert_count": u32(8), "expert_used_count": u32(2)},
            **{"expert_group_count": u32(3), "expert_group_used_count": u32(1)},
        },
        "its 8 experts cannot be shared out among 3 groups",
    ),
    "no group used": (
        {"expert_count": u32(8), "expert_used_count": u32(2), "expert_group_count": u32(2)},
        'expert_group_used_count" is 0; a whole number from 1 to 1',
    ),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("base", ["qwen2", "gemma2"])
def test_impossible_counts(base: str, name: str, files: dict[str, File], tmp_path: Path) -> None:
    values, words = CASES[name]
    refused(files[base].set(**{f"{base}.{key}": value for key, value in values.items()}), words, tmp_path)


@pytest.mark.parametrize("key", ["block_count", "context_length"])
def test_a_count_that_is_missing(key: str, files: dict[str, File], tmp_path: Path) -> None:
    refused(files["gpt2"].drop(f"gpt2.{key}"), f'"gpt2.{key}" is missing', tmp_path)


@pytest.mark.parametrize(("code", "size"), [(1, 2), (30, 2), (8, 34 / 32), (2, 18 / 32), (20, 18 / 32)])
def test_a_vector_is_in_f32(code: int, size: float, files: dict[str, File], tmp_path: Path) -> None:
    for base, name in (("gpt2", "blk.1.attn_output.bias"), ("gemma2", "blk.0.post_ffw_norm.weight")):
        vector = Tensor((N_EMBD,), code, bytes(int(N_EMBD * size)))
        refused(files[base].tensor(name, vector), f"tensor `{name}` has the type ", tmp_path)


def refused(file: File, words: str, folder: Path) -> None:
    path = folder / "refused.gguf"
    path.write_bytes(file.write())
    with pytest.raises(ModelError) as caught:
        check_gguf(path)
    assert words in caught.value.message
    assert len(caught.value.message.replace(str(path), "")) < 400
