"""Adapters to and from PEFT's folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from adapters import Q, same
from safetensors.numpy import load_file
from tiny_llama import N_EMBD, N_HEAD, random_adapter

from localft.adapter import from_peft, to_peft
from localft.errors import AdapterError, LocalftError
from localft.model.hf_names import gguf_name, hf_module


def test_names_map_both_ways() -> None:
    names = [*random_adapter().tensors, "output.weight"]
    assert [gguf_name(hf_module(name)) for name in names] == names
    assert hf_module("blk.11.attn_output.weight") == "model.layers.11.self_attn.o_proj"


def test_a_peft_folder_comes_back_to_the_bit(tmp_path: Path, base: Path) -> None:
    adapter = random_adapter(alpha=12.0)
    to_peft(adapter, tmp_path / "peft", base, base_model_name="org/tiny")
    back = from_peft(tmp_path / "peft", base)
    assert same(back, adapter)
    assert (back.architecture, back.rank, back.alpha) == ("llama", 4, 12.0)
    config = json.loads((tmp_path / "peft" / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["base_model_name_or_path"]) == (4, 12, "org/tiny")


def test_query_rows_are_put_into_hugging_face_order(tmp_path: Path, base: Path) -> None:
    """GGUF interleaves the two halves of a head: row 2j of a head is HF's row j, row 2j + 1 is row j + n/2."""
    adapter = random_adapter()
    to_peft(adapter, tmp_path, base)
    stored = load_file(tmp_path / "adapter_model.safetensors")
    hf = stored["base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"]
    n = N_EMBD // N_HEAD
    for head in range(N_HEAD):
        ours, theirs = adapter.tensors[Q].b[head * n : (head + 1) * n], hf[head * n : (head + 1) * n]
        assert np.array_equal(ours[0::2], theirs[: n // 2])
        assert np.array_equal(ours[1::2], theirs[n // 2 :])


def peft_folder(folder: Path, base: Path, **changes: object) -> Path:
    to_peft(random_adapter(), folder, base)
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**config, **changes}))
    return folder


def test_rslora_and_alpha_patterns_are_folded_into_b(tmp_path: Path, base: Path) -> None:
    adapter = random_adapter()
    changes = {"use_rslora": True, "alpha_pattern": {"self_attn.q_proj": 32}}
    read = from_peft(peft_folder(tmp_path, base, **changes), base)
    np.testing.assert_allclose(read.lora_scale(Q) * read.tensors[Q].b, 32 / 2 * adapter.tensors[Q].b, rtol=1e-6)
    up = "blk.1.ffn_up.weight"
    np.testing.assert_allclose(read.lora_scale(up) * read.tensors[up].b, 8 / 2 * adapter.tensors[up].b, rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"use_dora": True}, "DoRA"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"peft_type": "IA3"}, "no LoRA config"),
        ({"lora_alpha": None}, "lora_alpha"),
    ],
)
def test_what_a_gguf_adapter_cannot_hold_is_refused(
    tmp_path: Path, base: Path, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(LocalftError, match=words):
        from_peft(peft_folder(tmp_path, base, **changes), base)


def test_a_damaged_peft_folder_is_refused(tmp_path: Path, base: Path) -> None:
    peft_folder(tmp_path, base)
    (tmp_path / "adapter_model.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(AdapterError, match="cannot be read"):
        from_peft(tmp_path, base)
    with pytest.raises(AdapterError, match="cannot be read"):
        from_peft(tmp_path / "nowhere", base)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "patterns",
    [
        *(3, [1], "x", {"q_proj": "32"}, {"q_proj": None}, {"q_proj": True}, {"(": 1}, {"q_proj{99999999999}": 1}),
        *({"((.*)*)*x": 1}, {"(a|aa)+$": 1}, {".*" * 9 + "x": 1}, {"(" * 9000: 1}, {"a" * 9000: 1}, {"(.+)+x": 1}),
    ],
)
def test_an_alpha_pattern_that_is_none_or_never_ends(patterns: object, tmp_path: Path, base: Path) -> None:
    """It is a regular expression from a file; this one was run on every module's name."""
    to_peft(random_adapter(), tmp_path, base)
    path = tmp_path / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "alpha_pattern": patterns}))
    with pytest.raises(AdapterError, match="alpha_pattern"):
        from_peft(tmp_path, base)


@pytest.mark.parametrize(
    "pattern", ["q_proj", r"layers\.[01]\.self_attn\.q_proj", r".*\.(?:q|k)_proj", r"\d+\..*q_proj"]
)
def test_an_alpha_pattern_of_the_usual_kind(pattern: str, tmp_path: Path, base: Path) -> None:
    to_peft(random_adapter(alpha=8), tmp_path, base)
    path = tmp_path / "adapter_config.json"
    plain = from_peft(tmp_path, base)
    path.write_text(json.dumps({**json.loads(path.read_text()), "alpha_pattern": {pattern: 16}}))
    np.testing.assert_array_equal(from_peft(tmp_path, base).tensors[Q].b, 2 * plain.tensors[Q].b)
