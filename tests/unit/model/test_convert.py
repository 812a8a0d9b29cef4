"""Conversion: tensors, sizes and types of the file, what is warned of, progress, and memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from checkpoints import BASE, random_tensors, write_checkpoint, write_safetensors
from converted import WIDE, config_of, tensors_of, types_of

from localft.model.convert import convert
from localft.model.gguf.header import read_header


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
    mistral = {"architectures": ["MistralForCausalLM"], "model_type": "mistral"}
    checkpoint = write_checkpoint(tmp_path / "m", **mistral, sliding_window=32)
    text = (
        "the model declares a sliding window of 32 tokens, which llama.cpp does not apply: "
        "training and chat attend to the whole context"
    )
    assert convert(str(checkpoint)).warnings == (text,)
    again = convert(str(checkpoint))
    assert (again.skipped, again.warnings) == (True, (text,))
    for window in (None, 256):
        other = write_checkpoint(tmp_path / str(window), **mistral, sliding_window=window)
        assert convert(str(other)).warnings == ()
    # transformers' class takes 4096 where config.json leaves it out; Llama's has no window whatever that says
    assert "4096" in convert(str(write_checkpoint(tmp_path / "l", **mistral, max_position_embeddings=8192))).warnings[0]
    assert convert(str(write_checkpoint(tmp_path / "n", sliding_window=32))).warnings == ()


def test_a_head_equal_to_a_tied_embedding_is_left_out(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "a", tied=True, vocab_size=5000)
    tensors = random_tensors(config_of(checkpoint))
    write_safetensors(checkpoint, tensors | {"lm_head.weight": tensors["model.embed_tokens.weight"]})
    result = convert(str(checkpoint))
    assert ("output.weight" in types_of(result.path), result.warnings) == (False, ())


@pytest.mark.parametrize("row", [0, 4095, 4096, -1])
def test_another_head_beside_a_tied_embedding_is_kept_and_said(row: int, tmp_path: Path) -> None:
    # It was left out in silence: transformers and llama.cpp both compute with the head that the file holds.
    checkpoint = write_checkpoint(tmp_path / "a", tied=True, vocab_size=5000)
    tensors = random_tensors(config_of(checkpoint))
    head = tensors["model.embed_tokens.weight"].copy()
    head[row, 5] += 1
    write_safetensors(checkpoint, tensors | {"lm_head.weight": head})
    result = convert(str(checkpoint), "f32")
    np.testing.assert_array_equal(tensors_of(result.path)["output.weight"], head)
    assert result.warnings == (
        'config.json says "tie_word_embeddings", but `lm_head.weight` differs from `model.embed_tokens.weight`: '
        "it is kept, as in transformers",
    )


def test_a_tied_checkpoint_may_hold_its_head_alone(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "a", tied=True)
    tensors = random_tensors(config_of(checkpoint))
    embedding = tensors.pop("model.embed_tokens.weight")
    write_safetensors(checkpoint, tensors | {"lm_head.weight": embedding})
    made = tensors_of(convert(str(checkpoint), "f32").path)
    np.testing.assert_array_equal(made["token_embd.weight"], embedding)
    assert "output.weight" not in made


def test_progress_counts_every_byte(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    convert(str(write_checkpoint(tmp_path / "tiny")), "f32", progress=lambda *call: seen.append(call))
    assert seen[0][:2] == ("token_embd.weight", 0)
    assert seen[-1][1] == seen[-1][2] > 0
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    assert len(seen) == 22


def test_k_quants_report_each_tensor(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    convert(str(write_checkpoint(tmp_path / "wide", **WIDE)), "q4_k_m", progress=lambda *call: seen.append(call))
    assert [call for call in seen if call[0] == "quantising to q4_k_m"] == [
        ("quantising to q4_k_m", i + 1, 21) for i in range(21)
    ]


@pytest.mark.shared
def test_stories260k_tells_its_story(shared: Path) -> None:
    from llama_cpp import Llama

    model = Llama(str(convert(str(shared / "models" / "stories260K"), "f32").path), verbose=False)
    answer = model.create_completion("Once upon a time", max_tokens=40, temperature=0)
    model.close()
    assert answer["choices"][0]["text"] == (
        ", there was a little girl named Lily. She loved to play outside in the park. One day, she saw a big, red ball."
    )


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc: getrusage counts the parent's memory too")
def test_peak_memory_stays_far_below_the_models_size(tmp_path: Path) -> None:
    """A checkpoint of 770 MiB whose largest tensor is 16 MiB: at most 4 × 16 + 500 MiB while converting."""
    sizes = BASE | {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 12}
    checkpoint = write_checkpoint(tmp_path / "big", tied=True, num_key_value_heads=4, **sizes)
    assert (checkpoint / "model.safetensors").stat().st_size > 760 << 20
    code = (
        "import re, sys; from pathlib import Path; from localft.model.convert import convert;"
        "convert(sys.argv[1], sys.argv[2]);"
        "print(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1])"
    )
    for outtype in ("q8_0", "q4_k_m"):
        done = subprocess.run(
            [sys.executable, "-c", code, str(checkpoint), outtype], check=True, capture_output=True, text=True
        )
        assert int(done.stdout) < (4 * 16 + 500) << 10, outtype
