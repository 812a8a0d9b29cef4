"""Conversion: tensors, sizes and types of the file, what is warned of, refused and skipped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from checkpoints import BASE, random_tensors, write_checkpoint, write_safetensors
from click.testing import CliRunner
from numpy.typing import NDArray

import localft.conversion.convert_model as module
from localft.cli.convert import command
from localft.conversion import convert
from localft.conversion.header import read_header
from localft.conversion.hparams import RopeScaling, read_hparams
from localft.conversion.quantize import OUTTYPES, quantize_gguf
from localft.conversion.weights import permute, rope_factors
from localft.errors import ConfigError, ModelError

WIDE = {"hidden_size": 256, "intermediate_size": 512, "num_attention_heads": 4, "num_key_value_heads": 2}


def tensors_of(path: Path) -> dict[str, NDArray[np.float32]]:
    return {t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in gguf.GGUFReader(path).tensors}


def types_of(path: Path) -> dict[str, str]:
    return {info.name: info.type.name for info in read_header(path).tensors.values()}


def config_of(folder: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return values


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16", "F64"])
def test_every_tensor_arrives(dtype: str, tied: bool, tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "tiny", tied=tied, dtype=dtype)
    source = random_tensors(config_of(checkpoint))
    if dtype == "F16":
        source = {name: data.astype(np.float16).astype(np.float32) for name, data in source.items()}
    elif dtype == "BF16":
        source = {name: (data.view(np.uint32) & 0xFFFF0000).view(np.float32) for name, data in source.items()}
    ours = tensors_of(convert(str(checkpoint), "f32").path)
    assert ("output.weight" in ours) is not tied
    assert len(ours) == 2 * 9 + 2 + (not tied)
    np.testing.assert_array_equal(ours["token_embd.weight"], source["model.embed_tokens.weight"])
    np.testing.assert_array_equal(ours["blk.1.ffn_down.weight"], source["model.layers.1.mlp.down_proj.weight"])
    np.testing.assert_array_equal(ours["blk.1.attn_v.weight"], source["model.layers.1.self_attn.v_proj.weight"])
    np.testing.assert_array_equal(ours["blk.0.attn_norm.weight"], source["model.layers.0.input_layernorm.weight"])
    if not tied:
        np.testing.assert_array_equal(ours["output.weight"], source["lm_head.weight"])


def test_rows_of_q_and_k_become_pairs_of_neighbours(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "tiny")
    source = random_tensors(config_of(checkpoint))
    ours = tensors_of(convert(str(checkpoint), "f32").path)
    for name, hf, n_head in (("attn_q", "q_proj", 4), ("attn_k", "k_proj", 2)):
        theirs = source[f"model.layers.0.self_attn.{hf}.weight"].reshape(n_head, 16, 64)
        mine = ours[f"blk.0.{name}.weight"].reshape(n_head, 16, 64)
        for i in range(8):
            np.testing.assert_array_equal(mine[:, 2 * i], theirs[:, i])
            np.testing.assert_array_equal(mine[:, 2 * i + 1], theirs[:, i + 8])


def test_permuted_rope_is_the_same_attention() -> None:
    # Score of two positions: rotate-half on the original rows equals pairwise rotation on the permuted ones.
    rng = np.random.default_rng(0)
    head, n = 8, 5
    q, k, x = (rng.standard_normal((head, n)).astype(np.float32) for _ in range(3))
    angles = 3.0 / 10000.0 ** (np.arange(0, head, 2) / head)

    def rotate_half(v: NDArray[Any]) -> NDArray[Any]:
        a, b = v[: head // 2], v[head // 2 :]
        return np.concatenate([a * np.cos(angles) - b * np.sin(angles), b * np.cos(angles) + a * np.sin(angles)])

    def rotate_pairs(v: NDArray[Any]) -> NDArray[Any]:
        a, b = v[0::2], v[1::2]
        return np.stack([a * np.cos(angles) - b * np.sin(angles), b * np.cos(angles) + a * np.sin(angles)], 1).ravel()

    u, w = x[0], x[1]
    theirs = rotate_half(q @ u) @ (k @ w)
    mine = rotate_pairs(permute(q, 1) @ u) @ (permute(k, 1) @ w)
    assert mine == pytest.approx(theirs, rel=1e-5)


@pytest.mark.parametrize("n_shards", [2, 5])
def test_shards_give_the_same_file(n_shards: int, tmp_path: Path) -> None:
    whole = convert(str(write_checkpoint(tmp_path / "a")), "q8_0", tmp_path / "a.gguf")
    parts = convert(str(write_checkpoint(tmp_path / "b", n_shards=n_shards)), "q8_0", tmp_path / "b.gguf")
    one, other = tensors_of(whole.path), tensors_of(parts.path)
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


def test_sizes_in_the_metadata(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "tiny", head_dim=24, rope_theta=500000.0, rms_norm_eps=1e-6)
    result = convert(str(checkpoint), "f32")
    values = read_header(result.path).values
    assert {key.removeprefix("llama."): value for key, value in values.items() if key.startswith("llama.")} == {
        "vocab_size": config_of(checkpoint)["vocab_size"],
        "context_length": 256,
        "embedding_length": 64,
        "block_count": 2,
        "feed_forward_length": 96,
        "attention.head_count": 4,
        "attention.head_count_kv": 2,
        "attention.key_length": 24,
        "attention.value_length": 24,
        "rope.dimension_count": 24,
        "rope.freq_base": 500000.0,
        "attention.layer_norm_rms_epsilon": pytest.approx(1e-6),
    }
    assert values["general.architecture"] == "llama"
    assert values["general.name"] == "tiny"
    assert values["general.file_type"] == 0
    assert (result.n_tensors, result.n_bytes) == (21, result.path.stat().st_size)


def test_rope_base_of_transformers_5(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(
        tmp_path / "tiny", rope_theta=None, rope_parameters={"rope_theta": 123.0, "rope_type": "default"}
    )
    hparams = read_hparams(checkpoint)
    assert (hparams.rope_freq_base, hparams.rope_scaling) == (123.0, None)


def test_llama_3s_rope_scaling() -> None:
    # Llama 3.1 8B: the values that transformers' llama3 RoPE gives for the ends, and in between for one frequency.
    scaling = RopeScaling("llama3", 8.0, 1.0, 4.0, 8192)
    factors = rope_factors(scaling, 128, 500000.0)
    assert factors.shape == (64,)
    assert factors.dtype == np.float32
    assert factors[:29].tolist() == [1.0] * 29
    assert factors[-29:].tolist() == [8.0] * 29
    assert np.all(np.diff(factors) >= 0)
    frequency = 500000.0 ** (-2 * 31 / 128)
    smooth = (8192 * frequency / (2 * np.pi) - 1) / 3
    assert factors[31] == pytest.approx(1 / ((1 - smooth) / 8 + smooth), rel=1e-6)


def test_rope_scaling_in_the_file(tmp_path: Path) -> None:
    scaling = {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    scaling["original_max_position_embeddings"] = 64
    path = convert(str(write_checkpoint(tmp_path / "a", rope_scaling=scaling)), "q8_0").path
    assert types_of(path)["rope_freqs.weight"] == "F32"
    assert tensors_of(path)["rope_freqs.weight"].shape == (8,)
    linear = convert(str(write_checkpoint(tmp_path / "b", rope_scaling={"type": "linear", "factor": 2.0})), "f32").path
    values = read_header(linear).values
    assert (values["llama.rope.scaling.type"], values["llama.rope.scaling.factor"]) == ("linear", 2.0)


@pytest.mark.parametrize(
    ("outtype", "matrices", "file_type"),
    [
        ("f32", {"F32"}, 0),
        ("f16", {"F16"}, 1),
        ("bf16", {"BF16"}, 32),
        ("q8_0", {"Q8_0"}, 7),
        ("q4_0", {"Q4_0", "Q6_K"}, 2),
        ("q4_k_m", {"Q4_K", "Q6_K"}, 15),
        ("q6_k", {"Q6_K"}, 18),
    ],
)
def test_types(outtype: str, matrices: set[str], file_type: int, tmp_path: Path) -> None:
    result = convert(str(write_checkpoint(tmp_path / "wide", **WIDE)), outtype)
    header = read_header(result.path)
    assert {info.type.name for info in header.tensors.values() if len(info.ne) > 1} == matrices
    assert {info.type.name for info in header.tensors.values() if len(info.ne) == 1} == {"F32"}
    assert header.values["general.file_type"] == file_type
    assert result.warnings == ()
    assert result.path.name == f"wide-{outtype}.gguf"


def test_rows_that_no_block_fits_are_named(tmp_path: Path) -> None:
    narrow = {"hidden_size": 64, "intermediate_size": 172}
    checkpoint = write_checkpoint(tmp_path / "narrow", **narrow)
    assert convert(str(checkpoint), "q8_0").warnings == (
        "2 of 16 matrices have rows of 172, no multiple of 32, and are not q8_0 but stored otherwise: 2 as f16",
    )
    (warning,) = convert(str(checkpoint), "q4_k_m").warnings
    assert warning.startswith("16 of 16 matrices have rows of 64, 172, no multiple of 256, and are not q4_k but stored")


def test_a_sliding_window_is_warned_of_also_when_skipped(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "m", architectures=["MistralForCausalLM"], sliding_window=32)
    text = (
        "the model declares a sliding window of 32 tokens, which llama.cpp does not apply: "
        "training and chat attend to the whole context"
    )
    assert convert(str(checkpoint)).warnings == (text,)
    again = convert(str(checkpoint))
    assert (again.skipped, again.warnings) == (True, (text,))
    for window in (None, 256):
        other = write_checkpoint(tmp_path / str(window), architectures=["MistralForCausalLM"], sliding_window=window)
        assert convert(str(other)).warnings == ()


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
    assert message in caught.value.message
    assert hint is None or (caught.value.hint and hint in caught.value.hint)


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


def test_a_head_beside_a_tied_embedding_is_left_out(tmp_path: Path) -> None:
    # transformers ties the two whatever the file says, so the file's head is dead weight.
    checkpoint = write_checkpoint(tmp_path / "a", tied=True)
    tensors = random_tensors(config_of(checkpoint) | {"tie_word_embeddings": False})
    write_safetensors(checkpoint, tensors)
    assert "output.weight" not in types_of(convert(str(checkpoint)).path)


# --- skipping -----------------------------------------------------------------------------------------------------


def test_a_rerun_is_skipped_until_something_changes(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "tiny")
    first = convert(str(checkpoint))
    before = first.path.stat().st_mtime_ns
    assert not first.skipped
    assert convert(str(checkpoint)).skipped
    assert first.path.stat().st_mtime_ns == before
    assert not convert(str(checkpoint), force=True).skipped
    later = first.path.stat().st_mtime + 10
    os.utime(checkpoint / "model.safetensors", (later, later))
    assert not convert(str(checkpoint)).skipped


def test_an_incomplete_file_is_made_anew(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "tiny")
    first = convert(str(checkpoint))
    data = first.path.read_bytes()
    first.path.write_bytes(data[:-40])
    assert not convert(str(checkpoint)).skipped
    assert first.path.read_bytes() == data


def test_another_type_or_model_under_out_is_made_anew(tmp_path: Path) -> None:
    one, other = write_checkpoint(tmp_path / "a"), write_checkpoint(tmp_path / "b", seed=1)
    out = tmp_path / "out.gguf"
    assert not convert(str(one), "q8_0", out).skipped
    assert not convert(str(one), "f32", out).skipped
    assert not convert(str(other), "f32", out).skipped
    assert convert(str(other), "f32", out).skipped


def test_folders_of_one_name_do_not_share_a_file(tmp_path: Path) -> None:
    one = convert(str(write_checkpoint(tmp_path / "a" / "model")))
    other = convert(str(write_checkpoint(tmp_path / "b" / "model", seed=1)))
    assert one.path.name == "model-q8_0.gguf"
    assert other.path != one.path
    assert convert(str(tmp_path / "a" / "model")).path == one.path
    again = convert(str(tmp_path / "b" / "model"))
    assert (again.path, again.skipped) == (other.path, True)


def test_the_same_checkpoint_gives_the_same_bytes(tmp_path: Path) -> None:
    checkpoint = str(write_checkpoint(tmp_path / "tiny", vocabulary="llama3"))
    for outtype in ("q8_0", "q4_k_m"):
        one = convert(checkpoint, outtype, tmp_path / "one.gguf", force=True).path.read_bytes()
        assert convert(checkpoint, outtype, tmp_path / "two.gguf", force=True).path.read_bytes() == one


def test_a_gguf_is_checked_and_returned(tmp_path: Path) -> None:
    made = convert(str(write_checkpoint(tmp_path / "tiny")), "f32").path
    result = convert(str(made), "q8_0")
    assert (result.path, result.skipped) == (made, True)
    made.write_bytes(made.read_bytes()[:-100])
    with pytest.raises(ModelError, match="truncated"):
        convert(str(made))


def test_nothing_is_left_when_the_disk_is_full(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, *_: Any) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_gguf", full)
    with pytest.raises(ModelError, match="the disk became full") as caught:
        convert(str(write_checkpoint(tmp_path / "tiny")))
    assert caught.value.hint == "free some space, or give --out on another disk"
    assert [path for path in home.rglob("*") if path.is_file()] == []


def test_progress_counts_every_byte(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    convert(str(write_checkpoint(tmp_path / "tiny")), "f32", progress=lambda *call: seen.append(call))
    assert seen[0][:2] == ("token_embd.weight", 0)
    assert seen[-1][1] == seen[-1][2] > 0
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    assert len(seen) == 22


def test_types_are_found_in_any_case_and_the_nearest_is_named(tmp_path: Path) -> None:
    checkpoint = str(write_checkpoint(tmp_path / "tiny"))
    assert convert(checkpoint, "Q8_0").path.name == "tiny-q8_0.gguf"
    with pytest.raises(ConfigError, match="`q4_k_x` is not a type") as caught:
        convert(checkpoint, "q4_k_x")
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("did you mean `q4_k_")


def test_k_quants_report_each_tensor(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    convert(str(write_checkpoint(tmp_path / "wide", **WIDE)), "q4_k_m", progress=lambda *call: seen.append(call))
    assert [call for call in seen if call[0] == "quantising to q4_k_m"] == [
        ("quantising to q4_k_m", i + 1, 21) for i in range(21)
    ]


def test_what_llama_cpp_refuses_is_an_error_with_its_reason(tmp_path: Path) -> None:
    made = convert(str(write_checkpoint(tmp_path / "wide", **WIDE)), "q8_0").path
    with pytest.raises(ModelError, match="requantizing from type q8_0 is disabled"):
        quantize_gguf(made, tmp_path / "out.gguf", OUTTYPES["q4_k_m"])
    (tmp_path / "junk.gguf").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(ModelError, match=r"llama\.cpp could not quantise the model to q6_k"):
        quantize_gguf(tmp_path / "junk.gguf", tmp_path / "out.gguf", OUTTYPES["q6_k"])


@pytest.mark.shared
def test_stories260k_tells_its_story(shared: Path) -> None:
    from llama_cpp import Llama

    model = Llama(str(convert(str(shared / "models" / "stories260K"), "f32").path), verbose=False)
    answer = model.create_completion("Once upon a time", max_tokens=40, temperature=0)
    model.close()
    assert answer["choices"][0]["text"] == (
        ", there was a little girl named Lily. She loved to play outside in the park. One day, she saw a big, red ball."
    )


# --- the command --------------------------------------------------------------------------------------------------


def test_the_command_prints_the_path(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "tiny", intermediate_size=172)
    result = CliRunner().invoke(command, [str(checkpoint), "--outtype", "q8_0"])
    assert result.exit_code == 0
    assert Path(result.stdout.strip()).name == "tiny-q8_0.gguf"
    assert "warning: 2 of 16 matrices" in result.stderr
    assert "21 tensors" in result.stderr
    again = CliRunner().invoke(command, [str(checkpoint), "--json"])
    values = json.loads(again.stdout)
    assert (values["skipped"], values["n_tensors"]) == (True, 21)
    assert "is there already, complete" in again.stderr


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from localft.cli.convert import command;"
        "assert CliRunner().invoke(command, ['--help']).exit_code == 0;"
        "heavy = {'numpy', 'gguf', 'llama_cpp', 'torch', 'huggingface_hub', 'rich'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc: getrusage counts the parent's memory too")
def test_peak_memory_stays_far_below_the_models_size(tmp_path: Path) -> None:
    """A checkpoint of 770 MiB whose largest tensor is 16 MiB: at most 4 × 16 + 500 MiB while converting."""
    sizes = BASE | {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 12}
    checkpoint = write_checkpoint(tmp_path / "big", tied=True, num_key_value_heads=4, **sizes)
    assert (checkpoint / "model.safetensors").stat().st_size > 760 << 20
    code = (
        "import re, sys; from pathlib import Path; from localft.conversion import convert;"
        "convert(sys.argv[1], sys.argv[2]);"
        "print(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1])"
    )
    for outtype in ("q8_0", "q4_k_m"):
        done = subprocess.run(
            [sys.executable, "-c", code, str(checkpoint), outtype], check=True, capture_output=True, text=True
        )
        assert int(done.stdout) < (4 * 16 + 500) << 10, outtype
