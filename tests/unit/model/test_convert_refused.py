"""What cannot be converted is refused, by name and with a reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoints import random_tensors, write_checkpoint, write_safetensors
from converted import WIDE, config_of

import localft.model.convert as module
from localft.errors import ConfigError, ModelError
from localft.model.conversion.hparams import read_hparams
from localft.model.conversion.outtype import OUTTYPES
from localft.model.conversion.quantize import quantize_gguf
from localft.model.convert import convert


@pytest.mark.parametrize(
    ("config", "message", "hint"),
    [
        ({"architectures": ["FalconForCausalLM"]}, "`FalconForCausalLM`", "LlamaForCausalLM, MistralForCausalLM"),
        ({"architectures": []}, '"architectures"', None),
        ({"attention_bias": True}, '"attention_bias"', None),
        ({"mlp_bias": True}, '"mlp_bias"', None),
        ({"hidden_act": "gelu"}, '"hidden_act"', None),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "RoPE scaling `yarn`", "default, linear, llama3"),
        ({"quantization_config": {"quant_method": "gptq"}}, "already quantised (`gptq`)", "full-precision"),
        ({"hidden_size": "64"}, '"hidden_size"', None),
        ({"hidden_size": 10**12}, '"hidden_size"', None),
        ({"vocab_size": 2**24}, '"vocab_size" in `{}/config.json` is `16777216`', None),
        ({"num_attention_heads": 0}, '"num_attention_heads"', None),
        ({"num_key_value_heads": 3}, '"num_key_value_heads"', None),
        ({"hidden_size": 66}, '"hidden_size"', None),
        ({"rms_norm_eps": float("nan")}, '"rms_norm_eps"', None),
        ({"rope_theta": 0}, '"rope_theta"', None),
        ({"num_hidden_layers": True}, '"num_hidden_layers"', None),
        ({"tie_word_embeddings": "yes"}, '"tie_word_embeddings"', None),
        ({"partial_rotary_factor": 0.5}, '"partial_rotary_factor"', None),
    ],
)
def test_what_cannot_be_converted_is_refused_by_name(
    config: dict[str, Any], message: str, hint: str | None, tmp_path: Path
) -> None:
    checkpoint = write_checkpoint(tmp_path / "a", weights="none")
    (checkpoint / "config.json").write_text(json.dumps(config_of(checkpoint) | config))
    with pytest.raises(ModelError) as caught:
        read_hparams(checkpoint)
    assert message.format(checkpoint) in caught.value.message
    assert hint is None or (caught.value.hint and hint in caught.value.hint)


def test_more_tokens_than_the_embedding_has_are_refused_before_they_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few hundred bytes of JSON made a vocabulary of gigabytes, and then the weights were found not to fit."""
    monkeypatch.setattr(module, "read_vocabulary", lambda *_: pytest.fail("read"))
    checkpoint = write_checkpoint(tmp_path / "a")
    (checkpoint / "config.json").write_text(json.dumps(config_of(checkpoint) | {"vocab_size": 2**20}))
    with pytest.raises(ModelError, match="1048576"):
        convert(str(checkpoint))


def test_a_tensor_without_a_place_is_refused(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "a")
    tensors = random_tensors(config_of(checkpoint))
    write_safetensors(checkpoint, tensors | {"model.layers.0.self_attn.q_proj.bias": np.zeros(64, np.float32)})
    with pytest.raises(ModelError, match=r"q_proj\.bias` of .* is none that its architecture has"):
        convert(str(checkpoint))
    write_safetensors(checkpoint, tensors | {"model.layers.0.extra.weight": np.zeros(64, np.float32)})
    with pytest.raises(ModelError, match=r"`model\.layers\.0\.extra"):
        convert(str(checkpoint))
    write_safetensors(checkpoint, tensors | {"model.layers.0.self_attn.rotary_emb.inv_freq": np.zeros(8, np.float32)})
    assert convert(str(checkpoint)).n_tensors == 21


def test_a_missing_or_misshapen_tensor_is_refused(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "a")
    tensors = random_tensors(config_of(checkpoint))
    write_safetensors(checkpoint, {name: data for name, data in tensors.items() if name != "lm_head.weight"})
    with pytest.raises(ModelError, match=r"no tensor for `output\.weight`"):
        convert(str(checkpoint))
    write_safetensors(checkpoint, tensors | {"model.norm.weight": np.ones(63, np.float32)})
    with pytest.raises(ModelError, match=r"has the shape \[63\]; its config.json asks for \[64\]"):
        convert(str(checkpoint))


def test_types_are_found_in_any_case_and_the_nearest_is_named(tmp_path: Path) -> None:
    checkpoint = str(write_checkpoint(tmp_path / "tiny"))
    assert convert(checkpoint, "Q8_0").path.name == "tiny-q8_0.gguf"
    with pytest.raises(ConfigError, match="`q4_k_x` is not a type") as caught:
        convert(checkpoint, "q4_k_x")
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("did you mean `q4_k_")


def test_what_llama_cpp_refuses_is_an_error_with_its_reason(tmp_path: Path) -> None:
    made = convert(str(write_checkpoint(tmp_path / "wide", **WIDE)), "q8_0").path
    with pytest.raises(ModelError, match="requantizing from type q8_0 is disabled"):
        quantize_gguf(made, tmp_path / "out.gguf", OUTTYPES["q4_k_m"])
    (tmp_path / "junk.gguf").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(ModelError, match=r"llama\.cpp could not quantise the model to q6_k"):
        quantize_gguf(tmp_path / "junk.gguf", tmp_path / "out.gguf", OUTTYPES["q6_k"])


def test_nothing_is_left_when_the_disk_is_full(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, *_: Any) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_gguf", full)
    with pytest.raises(ModelError, match="the disk became full") as caught:
        convert(str(write_checkpoint(tmp_path / "tiny")))
    assert caught.value.hint == "free some space, or set LOCALFT_HOME to a place on another disk"
    assert [path for path in home.rglob("*") if path.is_file()] == []
