"""Law 15 for base models: a hostile GGUF or checkpoint gives a ModelError with a hint, and nothing half-written."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from checkpoints import random_tensors, write_checkpoint, write_safetensors

from localft.errors import ModelError
from localft.model.convert import convert
from localft.model.gguf.check import check_gguf
from localft.model.gguf.header import read_header


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("check")
    return convert(str(write_checkpoint(folder / "tiny", tied=True)), "f32", folder / "good.gguf").path


def rewrite(source: Path, target: Path, values: dict[str, Any] | None = None, drop: tuple[str, ...] = ()) -> Path:
    """Copy a GGUF with some metadata replaced (value, type), and some keys or tensors left out."""
    reader = gguf.GGUFReader(source)
    changes = values or {}
    writer = gguf.GGUFWriter(target, "llama")
    for key, item in reader.fields.items():
        if key.startswith("GGUF.") or key in drop or key in changes or key == "general.architecture":
            continue
        sub = item.types[1] if len(item.types) > 1 else None
        writer.add_key_value(key, item.contents(), item.types[0], sub)
    for key, (value, kind) in changes.items():
        writer.add_key_value(key, value, kind, gguf.GGUFValueType.STRING if kind == gguf.GGUFValueType.ARRAY else None)
    for tensor in reader.tensors:
        if tensor.name not in drop:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


def refused(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        check_gguf(path)
    assert caught.value.hint
    assert str(path) in caught.value.message
    return caught.value.message


def test_a_good_file_passes(good: Path, tmp_path: Path) -> None:
    check_gguf(good)
    check_gguf(rewrite(good, tmp_path / "same.gguf"))


def test_truncated_anywhere(good: Path, tmp_path: Path) -> None:
    data = good.read_bytes()
    start = read_header(good).data_start
    path = tmp_path / "cut.gguf"
    for n in [*range(0, start, 97), start, start + 1, len(data) - 4096, len(data) - 1]:
        path.write_bytes(data[:n])
        refused(path)


def test_any_byte_of_the_header_may_be_wrong(good: Path, tmp_path: Path) -> None:
    # Whatever is in the file, the answer is ModelError or nothing: no other exception, no huge allocation.
    data = bytearray(good.read_bytes())
    path = tmp_path / "flipped.gguf"
    start = read_header(good).data_start
    for at in [*range(0, 64), *range(64, 600, 5), *range(600, start, 211)]:
        before, data[at] = data[at], data[at] ^ 0xFF
        path.write_bytes(data[: start + 4096] if at % 2 else data)
        data[at] = before
        try:
            check_gguf(path)
        except ModelError:
            continue


@pytest.mark.parametrize(
    "data", [b"", b"GGUF", b"ggml" + bytes(40), b"\x00" * 64, b"GGUF" + struct.pack("<I", 1) + bytes(40)]
)
def test_wrong_magic_or_version(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    path.write_bytes(data)
    refused(path)


def test_a_folder_and_a_missing_file(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.gguf"):
        with pytest.raises(ModelError, match="cannot be read"):
            check_gguf(path)


U32, F32, STR = gguf.GGUFValueType.UINT32, gguf.GGUFValueType.FLOAT32, gguf.GGUFValueType.STRING


@pytest.mark.parametrize(
    ("key", "value", "kind", "message"),
    [
        # ggml's CPU backend aborts the process on an alignment below its own.
        ("general.alignment", 8, U32, "general.alignment is 8"),
        ("general.alignment", 0, U32, "general.alignment is 0"),
        ("general.alignment", 48, U32, "general.alignment is 48"),
        ("general.alignment", "32", STR, "general.alignment is 32"),
        ("llama.block_count", 0, U32, '"llama.block_count" is 0'),
        ("llama.block_count", 4_000_000_000, U32, '"llama.block_count" is 4000000000'),
        ("llama.block_count", 3, U32, "tensor `blk.2.attn_norm.weight` is missing"),
        ("llama.block_count", "2", STR, '"llama.block_count" is 2'),
        ("llama.attention.head_count", 0, U32, '"llama.attention.head_count" is 0'),
        ("llama.attention.head_count_kv", 3, U32, "cannot be shared out"),
        ("llama.embedding_length", 65, U32, "its metadata ask for"),
        ("llama.feed_forward_length", 1 << 31, U32, '"llama.feed_forward_length" is 2147483648'),
        ("llama.context_length", 0, U32, '"llama.context_length" is 0'),
        ("llama.rope.dimension_count", 8, U32, '"llama.rope.dimension_count" is 8'),
        ("llama.attention.layer_norm_rms_epsilon", float("nan"), F32, "rms_epsilon"),
        ("llama.rope.freq_base", float("inf"), F32, '"llama.rope.freq_base" is inf'),
        ("tokenizer.ggml.eos_token_id", 99_999, U32, "outside its vocabulary"),
        ("tokenizer.ggml.model", "none", STR, "has no vocabulary"),
        ("tokenizer.ggml.tokens", ["a"] * 5, gguf.GGUFValueType.ARRAY, "two tokens that are spelled alike"),
        ("tokenizer.ggml.tokens", ["a", "a\0b"], gguf.GGUFValueType.ARRAY, "two tokens that are spelled alike"),
        ("tokenizer.ggml.tokens", ["[EMPTY_1]", ""], gguf.GGUFValueType.ARRAY, "two tokens that are spelled alike"),
        ("llama.rope.scaling.type", "none of them", STR, "\"rope.scaling.type\" is 'none of them', not none or"),
        ("llama.rope.scaling.type", 7, U32, "\"rope.scaling.type\" is '7', not none or"),
        ("tokenizer.ggml.tokens", ["a", "b"], gguf.GGUFValueType.ARRAY, "no piece for"),
        ("tokenizer.ggml.token_type", 3, U32, "is missing or not an array"),
        ("general.type", "adapter", STR, "is a LoRA adapter"),
        ("general.type", "mmproj", STR, 'of the type "mmproj"'),
        ("split.count", 2, U32, "one part of a split GGUF"),
    ],
)
def test_impossible_metadata(key: str, value: Any, kind: Any, message: str, good: Path, tmp_path: Path) -> None:
    assert message in refused(rewrite(good, tmp_path / "bad.gguf", {key: (value, kind)}))


@pytest.mark.parametrize(
    "name", ["token_embd.weight", "output_norm.weight", "blk.1.attn_q.weight", "blk.0.ffn_norm.weight"]
)
def test_a_missing_tensor(name: str, good: Path, tmp_path: Path) -> None:
    assert f"tensor `{name}` is missing" in refused(rewrite(good, tmp_path / "bad.gguf", drop=(name,)))


@pytest.mark.parametrize("key", ["llama.embedding_length", "llama.block_count", "tokenizer.ggml.scores"])
def test_a_missing_key(key: str, good: Path, tmp_path: Path) -> None:
    assert f'"{key}" is missing' in refused(rewrite(good, tmp_path / "bad.gguf", drop=(key,)))


def patched(good: Path, target: Path, name: str, at: int, data: bytes) -> Path:
    """Overwrite bytes of one tensor's entry: `at` counts from the end of its name."""
    content = bytearray(good.read_bytes())
    start = content.index(struct.pack("<Q", len(name)) + name.encode()) + 8 + len(name) + at
    content[start : start + len(data)] = data
    target.write_bytes(content)
    return target


@pytest.mark.parametrize(
    ("at", "data", "message"),
    [
        (0, struct.pack("<I", 0), "has 0 dimensions"),
        (0, struct.pack("<I", 4_000_000), "has 4000000 dimensions"),
        (4, struct.pack("<Q", 0), "impossible shape"),
        (4, struct.pack("<QQ", 1 << 62, 1 << 62), "impossible shape"),
        (4, struct.pack("<Q", 1 << 40), "is truncated"),
        (20, struct.pack("<I", 999), "unknown type 999"),
        (20, struct.pack("<I", 12), "no multiple of Q4_K's block"),
        (20, struct.pack("<I", 26), "has the type I32, which no weight has"),
        (24, struct.pack("<Q", 8), "starts at 8"),
    ],
)
def test_absurd_tensors(at: int, data: bytes, message: str, good: Path, tmp_path: Path) -> None:
    assert message in refused(patched(good, tmp_path / "bad.gguf", "token_embd.weight", at, data))


def test_bad_utf8_in_a_name_a_key_and_a_token(good: Path, tmp_path: Path) -> None:
    content = good.read_bytes()
    for old, new in (
        (b"output_norm.weight", b"output_norm.weigh\xff"),
        (b"general.name", b"general.nam\xfe"),
        (b"\x06\0\0\0\0\0\0\0<0x41>", b"\x06\0\0\0\0\0\0\0<0x\xff1>"),
    ):
        assert old in content
        path = tmp_path / "bad.gguf"
        path.write_bytes(content.replace(old, new))
        assert "not valid UTF-8" in refused(path)


def test_a_norm_in_f16_is_refused(good: Path, tmp_path: Path) -> None:
    # llama.cpp's graph multiplies by it as f32 and aborts on anything else.
    reader = gguf.GGUFReader(good)
    norm = next(tensor for tensor in reader.tensors if tensor.name == "output_norm.weight")
    writer_path = rewrite(good, tmp_path / "a.gguf", drop=("output_norm.weight",))
    source = gguf.GGUFReader(writer_path)
    writer = gguf.GGUFWriter(tmp_path / "b.gguf", "llama")
    for key, item in source.fields.items():
        if not key.startswith("GGUF.") and key != "general.architecture":
            writer.add_key_value(key, item.contents(), item.types[0], item.types[1] if len(item.types) > 1 else None)
    for tensor in source.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.add_tensor("output_norm.weight", norm.data.astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert "has the type F16; F32 is needed" in refused(tmp_path / "b.gguf")


def fails(checkpoint: Path, home: Path, outtype: str = "q8_0") -> ModelError:
    with pytest.raises(ModelError) as caught:
        convert(str(checkpoint), outtype)
    left = [path for path in home.rglob("*") if path.is_file()]
    assert left == []
    return caught.value


@pytest.mark.parametrize("outtype", ["q8_0", "q4_k_m"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_weights(value: float, outtype: str, tmp_path: Path, home: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "tiny")
    tensors = random_tensors(json.loads((checkpoint / "config.json").read_text()))
    tensors["model.layers.1.mlp.up_proj.weight"][3, 5] = value
    write_safetensors(checkpoint, tensors)
    error = fails(checkpoint, home, outtype)
    assert "`model.layers.1.mlp.up_proj.weight`" in error.message
    assert "NaN or infinity" in error.message


def test_weights_too_large_for_f16(tmp_path: Path, home: Path) -> None:
    error = fails(write_checkpoint(tmp_path / "tiny", scale=1e6), home, "f16")
    assert "f16 cannot hold" in error.message
    assert error.hint == "use --outtype bf16 or f32"


def test_truncated_safetensors(tmp_path: Path, home: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "tiny")
    path = checkpoint / "model.safetensors"
    data = path.read_bytes()
    for n in (0, 4, 8, 100, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:n])
        assert ("is damaged" if n else "is empty") in fails(checkpoint, home).message


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"dtype": "F32", "shape": [64], "data_offsets": [0, 128]}, "has 128 bytes"),
        ({"dtype": "F32", "shape": [1 << 40, 1 << 40], "data_offsets": [0, 4]}, "has 4 bytes"),
        ({"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}, "cannot be understood"),
        ({"dtype": "F32", "shape": [64], "data_offsets": [1 << 50, (1 << 50) + 256]}, "is truncated"),
        ({"shape": [64], "data_offsets": [0, 256]}, "cannot be understood"),
        ("nothing", "cannot be understood"),
        ({"dtype": "F8_E4M3", "shape": [64]}, "is already quantised (FP8)"),
        ({"dtype": "F32", "shape": [64], "data_offsets": [0, 256]}, "share bytes"),
        ({"dtype": "F32", "shape": [64], "data_offsets": [128, 384]}, "share bytes"),
        ({"dtype": "F8_E4M3", "shape": [64], "data_offsets": [64, 0]}, "cannot be understood"),
    ],
)
def test_hostile_safetensors_entries(entry: Any, message: str, tmp_path: Path, home: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "tiny")
    path = checkpoint / "model.safetensors"
    data = path.read_bytes()
    n = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + n])
    if isinstance(entry, dict) and "F8" in entry.get("dtype", ""):
        entry = {"data_offsets": header["model.norm.weight"]["data_offsets"], **entry}
    header["model.norm.weight"] = entry
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + n :])
    assert message in fails(checkpoint, home).message


@pytest.mark.parametrize("twice", ['"model.norm.weight"', '"__metadata__"', '"dtype"'])
def test_a_key_that_stands_twice_is_refused(twice: str, tmp_path: Path, home: Path) -> None:
    """The later one counted, so that a file held another tensor than others read from it."""
    checkpoint = write_checkpoint(tmp_path / "tiny")
    path = checkpoint / "model.safetensors"
    data = path.read_bytes()
    n = int.from_bytes(data[:8], "little")
    header = {"__metadata__": {"format": "pt"}, **json.loads(data[8 : 8 + n])}
    text = json.dumps(header)
    value = json.dumps(header.get(json.loads(twice), "F32"))
    text = text.replace(f"{twice}: {value}", f"{twice}: {value}, {twice}: {value}", 1)
    path.write_bytes(struct.pack("<Q", len(text)) + text.encode() + data[8 + n :])
    assert f"its header has `{json.loads(twice)}` twice" in fails(checkpoint, home).message


def test_a_missing_shard_and_an_index_that_leads_elsewhere(tmp_path: Path, home: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "tiny", n_shards=3)
    (checkpoint / "model-00002-of-00003.safetensors").unlink()
    assert "`model-00002-of-00003.safetensors`, which is missing" in fails(checkpoint, home).message
    outside = tmp_path / "secret.safetensors"
    outside.write_bytes(b"x")
    index = checkpoint / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "../secret.safetensors"}}))
    assert "which is missing" in fails(checkpoint, home).message
    index.write_text(json.dumps({"weight_map": 3}))
    assert 'no usable "weight_map"' in fails(checkpoint, home).message


@pytest.mark.parametrize("text", ["", "{", "[]", "\xff", '{"architectures": "LlamaForCausalLM"}', "{}", "[" * 100_000])
def test_hostile_config(text: str, tmp_path: Path, home: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "tiny")
    (checkpoint / "config.json").write_bytes(text.encode("latin-1"))
    assert "config.json" in fails(checkpoint, home).message


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("tokenizer_config.json", '"chat_template": "'),
        ("tokenizer_config.json", '"bos_token": "'),
        ("tokenizer.json", '"content": "'),
        ("tokenizer.json", '"model": {"type": "BPE", "vocab": {"'),
        ("config.json", '"hidden_act": "'),
    ],
)
def test_half_a_character(name: str, place: str, tmp_path: Path, home: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "tiny", vocabulary="smollm")
    value = json.loads((checkpoint / name).read_text())
    if "model" in value:
        value["model"] = {"type": "BPE", "vocab": value["model"].pop("vocab"), **value["model"]}
    text = json.dumps(value)
    assert place in text
    (checkpoint / name).write_text(text.replace(place, place + "\\ud800", 1))
    assert f"{name}` cannot be read as JSON: it holds half a character, \\ud800" in fails(checkpoint, home).message
    (checkpoint / name).write_text(text.replace(place, place + "\\ud83d\\ude00", 1))
    assert name != "config.json" or "half a char" not in fails(checkpoint, home).message, "a whole one is none of it"


def test_a_checkpoint_without_weights_or_tokenizer(tmp_path: Path, home: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "tiny")
    (checkpoint / "model.safetensors").unlink()
    assert "has no weights" in fails(checkpoint, home).message
    checkpoint = write_checkpoint(tmp_path / "other")
    (checkpoint / "tokenizer.model").unlink()
    assert "has no tokenizer" in fails(checkpoint, home).message
