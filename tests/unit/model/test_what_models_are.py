"""What is given as a model, or lies in one, is taken or named for what it is: never just "damaged"."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoints import CHAT_TEMPLATE, random_tensors, write_checkpoint, write_safetensors
from converted import config_of, tensors_of
from safetensors.numpy import save_file
from tiny_llama import random_adapter, write_model

from localft.adapter import read_adapter, to_peft, write_adapter
from localft.errors import ConfigError, LocalftError, ModelError
from localft.model.convert import ConvertResult, convert
from localft.model.gguf.header import read_header
from localft.model.huggingface import needed_files
from localft.model.source import resolve_model
from localft.settings.resolve import read_config_file

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
BOM = b"\xef\xbb\xbf"
Tensors = dict[str, np.ndarray]


def converted(folder: Path, out: str = "out.gguf") -> ConvertResult:
    return convert(str(folder), "f32", folder.parent / out)


def refusal(model: Path | str, kind: type[LocalftError] = ModelError) -> LocalftError:
    with pytest.raises(kind) as caught:
        convert(str(model), "f32", Path("refused.gguf"))
    assert caught.value.hint
    assert "damaged" not in caught.value.message
    assert not Path("refused.gguf").exists()
    return caught.value


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def changed(folder: Path, change: Callable[[Tensors], Tensors]) -> Path:
    """A checkpoint with other tensors."""
    write_checkpoint(folder, weights="none")
    write_safetensors(folder, change(random_tensors(config_of(folder))))
    return folder


def renamed(rename: Callable[[str], str]) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {rename(name): tensor for name, tensor in tensors.items()}


def joined(**more: tuple[int, ...]) -> Callable[[Tensors], Tensors]:
    layer = "model.layers.0.self_attn.q_proj"
    return lambda tensors: tensors | {f"{layer}.{name}": np.ones(shape, np.float32) for name, shape in more.items()}


def test_a_gguf_is_taken_whatever_its_name(tmp_path: Path) -> None:
    """Ollama keeps models under their hashes."""
    base = write_model(tmp_path / "base.gguf")
    for name in ("sha256-" + "8e" * 32, "model", "model.bin", "ggml-model.q4_0.bin.tmp"):
        blob = shutil.copy(base, tmp_path / name)
        result = convert(str(blob))
        assert (result.path, result.skipped, result.n_tensors) == (blob, True, convert(str(base)).n_tensors)
    assert resolve_model(str(tmp_path / ("sha256-" + "8e" * 32))).name == "sha256-8e8e8e8e8e8e"
    assert resolve_model(str(tmp_path / "model.bin")).name == "model.bin"


@pytest.mark.parametrize(
    ("name", "content", "message", "hint"),
    [
        ("m.gguf", LFS, "`{}` is a Git LFS pointer", "git lfs pull"),
        ("m.gguf", b"", "`{}` is empty", "download or copy it again"),
        ("m.gguf", b"<!DOCTYPE html><html>", "`{}` is a web page", "the address of the file itself"),
        ("m.gguf", b"tjgg\1\0\0\0", "`{}` is a model of ggml's old format", "GGUF"),
        ("m.gguf", b"words", "`{}` is no GGUF, whatever its name says", "again"),
        ("m.zip", b"PK\3\4" + bytes(60), "`{}` is a zip archive", "unpack it"),
        ("config.json", b'{"architectures": []}', "`{}` is neither a folder nor a .gguf file", "`."),
        ("rows.jsonl", b'{"text": "a"}\n' * 2, "`{}` is neither a folder nor a .gguf file", "--data"),
        ("blob", LFS, "`{}` is a Git LFS pointer", "git lfs pull"),
    ],
)
def test_files_that_are_no_model(name: str, content: bytes, message: str, hint: str) -> None:
    Path(name).write_bytes(content)
    error = refusal(name, ModelError)
    assert error.message.startswith(message.format(name))
    assert hint in error.hint


def test_parts_of_models_and_pipes(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "whole")
    error = refusal(folder / "model.safetensors", ModelError)
    assert error.message == f"`{folder / 'model.safetensors'}` is a file of weights"
    assert f"`{folder}`" in error.hint
    os.mkfifo("pipe.gguf")
    assert "is a pipe" in refusal("pipe.gguf", ModelError).message
    assert refusal("/dev/null", ModelError).message.startswith("`/dev/null` is a pipe or a device")


def test_adapters_and_runs_given_as_models(tmp_path: Path) -> None:
    base = write_model(tmp_path / "base.gguf")
    write_adapter(tmp_path / "a.gguf", random_adapter())
    to_peft(read_adapter(tmp_path / "a.gguf"), tmp_path / "peft", base, base_model_name="org/base")
    (tmp_path / "mlx").mkdir()
    (tmp_path / "mlx" / "adapter_config.json").write_text('{"fine_tune_type": "lora", "lora_parameters": {}}')
    save_file(
        {"model.layers.0.self_attn.q_proj.lora_a": np.ones((4, 4), np.float32)}, tmp_path / "mlx/adapters.safetensors"
    )
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text('{"fingerprint": "f", "base": {"path": "/m/base.gguf"}}')
    cases = {
        "peft": ("is the folder of a PEFT adapter and not a model", "`org/base`"),
        "peft/adapter_model.safetensors": ("is an adapter as PEFT saves it", "merge_and_unload"),
        "mlx": ("is an adapter of MLX and not a model", "mlx_lm.fuse"),
        "mlx/adapters.safetensors": ("is an adapter of MLX", "mlx_lm.fuse"),
        "run": ("is the folder of a run and not a model", "`/m/base.gguf`"),
    }
    for name, (message, hint) in cases.items():
        error = refusal(name, ModelError)
        assert error.message.startswith(f"`{name}` {message}")
        assert hint in error.hint
    assert "is a LoRA adapter, not a base model" in refusal("a.gguf").message


@pytest.mark.parametrize(
    ("rename", "prefix"),
    [
        (lambda name: f"module.{name}", "module."),
        (lambda name: f"_orig_mod.{name}", "_orig_mod."),
        (lambda name: f"module._orig_mod.{name}", "module._orig_mod."),
        (lambda name: f"_orig_mod.module.{name}" if "norm" in name else name, "_orig_mod.module."),
    ],
)
def test_prefixes_of_wrappers_are_stripped_and_said(tmp_path: Path, rename: Callable[[str], str], prefix: str) -> None:
    wrapped, plain = (
        changed(tmp_path / "wrapped", renamed(rename)),
        changed(tmp_path / "plain", lambda tensors: tensors),
    )
    result, expected = converted(wrapped), converted(plain, "plain.gguf")
    assert result.warnings == (f"the names of the tensors begin with `{prefix}`, which is left out", *expected.warnings)
    assert converted(wrapped).warnings == result.warnings, "of a file that is there already too"
    ours, theirs = tensors_of(result.path), tensors_of(expected.path)
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize(
    ("change", "message", "hint"),
    [
        (renamed(lambda name: f"base_model.model.{name}"), "still wrapped around it", "merge_and_unload"),
        (
            renamed(lambda name: name.replace("_proj.", "_proj.base_layer.")),
            "still wrapped around it",
            "merge it first",
        ),
        (renamed(lambda name: name.replace("_proj.", "_proj.lora_A.")), "is an adapter as PEFT saves it", "merge"),
        (
            lambda tensors: tensors | {"module.model.norm.weight": tensors["model.norm.weight"]},
            "tensors twice",
            "itself",
        ),
        (renamed(lambda name: name.replace("proj.weight", "proj.qweight")), "already quantised (AWQ or GPTQ)", "full-"),
        (joined(scales=(4,), biases=(4,)), "already quantised (MLX)", "full-precision"),
        (joined(**{"weight.absmax": (4,), "weight.quant_map": (16,)}), "already quantised (bitsandbytes)", "full-"),
        (joined(SCB=(4,)), "already quantised (bitsandbytes)", "full-precision"),
        (joined(weight_scale_inv=(1, 1)), "already quantised (FP8 or INT8)", "full-precision"),
    ],
)
def test_weights_of_other_kinds_are_named(
    tmp_path: Path, change: Callable[[Tensors], Tensors], message: str, hint: str
) -> None:
    error = refusal(changed(tmp_path / "odd", change))
    assert message in error.message
    assert hint in error.hint


def test_an_embedding_of_another_size_is_a_resized_vocabulary(tmp_path: Path) -> None:
    def resized(*names: str, n: int = 3) -> Callable[[Tensors], Tensors]:
        return lambda tensors: {
            name: np.concatenate([each, each[:n]]) if name in names else each for name, each in tensors.items()
        }

    n_vocab = config_of(write_checkpoint(tmp_path / "plain"))["vocab_size"]
    for i, names in enumerate([("model.embed_tokens.weight", "lm_head.weight"), ("lm_head.weight",)]):
        error = refusal(changed(tmp_path / f"{i}", resized(*names)))
        assert f"`{names[0]}`" in error.message
        assert f'has {n_vocab + 3} rows, one a token, and "vocab_size" in its config.json is {n_vocab}' in error.message
        assert f'set "vocab_size" to {n_vocab + 3}' in error.hint
    mended = changed(tmp_path / "mended", resized("model.embed_tokens.weight", "lm_head.weight"))
    (mended / "config.json").write_text(json.dumps(config_of(mended) | {"vocab_size": n_vocab + 3}))
    assert tensors_of(converted(mended).path)["token_embd.weight"].shape[0] == n_vocab + 3


def test_parts_without_their_index_are_read_or_missed(tmp_path: Path) -> None:
    whole, parts = write_checkpoint(tmp_path / "whole"), write_checkpoint(tmp_path / "parts", n_shards=3)
    (parts / "model.safetensors.index.json").unlink()
    ours, theirs = tensors_of(converted(parts).path), tensors_of(converted(whole, "whole.gguf").path)
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)
    for missing in (2, 1):
        (parts / f"model-0000{missing}-of-00003.safetensors").unlink()
        error = refusal(parts)
        assert error.message.endswith(f"of 3 parts of its weights: number {missing} is missing")
    names = ["config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    assert needed_files("org/name", names) == names


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer.model", "tokenizer_config.json", "model.safetensors", "chat_template.jinja"]
)
@pytest.mark.parametrize(("content", "words"), [(LFS, "a Git LFS pointer"), (b"<!doctype html><html>", "a web page")])
def test_files_of_a_checkpoint_that_are_not_there_themselves(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    folder = write_checkpoint(tmp_path / "a")
    (folder / name).write_bytes(content)
    error = refusal(folder)
    assert error.message.startswith(f"`{folder / name}` is {words}")


def test_a_checkpoint_in_utf16_is_named(tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        folder = write_checkpoint(tmp_path / name, vocabulary="smollm")
        (folder / name).write_text((folder / name).read_text(), encoding="utf-16")
        assert refusal(folder).message == f"`{folder / name}` is UTF-16, expected UTF-8"


@pytest.mark.parametrize("vocabulary", ["smollm", "fallback"])
def test_byte_order_marks_change_nothing(tmp_path: Path, vocabulary: str) -> None:
    """One in chat_template.jinja stood in every prompt."""
    plain, marked = tmp_path / "plain" / "m", tmp_path / "marked" / "m"
    for folder in (plain, marked):
        write_checkpoint(folder, vocabulary=vocabulary)
        (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE)
        (folder / "generation_config.json").write_text("{}")
    for path in marked.iterdir():
        if path.suffix in (".json", ".jinja"):
            path.write_bytes(BOM + path.read_bytes())
    ours, theirs = (read_header(converted(folder).path) for folder in (marked, plain))
    assert ours.values["tokenizer.chat_template"] == CHAT_TEMPLATE
    differ = {key for key in theirs.values if ours.values.get(key) != theirs.values[key]}
    assert differ <= {"localft.convert.origin", "localft.convert.digest"}


def test_a_mark_inside_the_value_of_a_template_is_left_out(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "a", vocabulary="smollm")
    path = folder / "tokenizer_config.json"
    values: dict[str, Any] = json.loads(path.read_text())
    path.write_text(json.dumps(values | {"chat_template": "\ufeff" + CHAT_TEMPLATE}))
    assert read_header(converted(folder).path).values["tokenizer.chat_template"] == CHAT_TEMPLATE


def test_settings_with_a_mark_or_as_something_else(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_bytes(BOM + b"lora_rank = 4\n")
    assert read_config_file(path) == {"lora_rank": 4}
    for content, words in ((LFS, "is a Git LFS pointer"), ("a = 1\n".encode("utf-16"), "is UTF-16")):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match=words):
            read_config_file(path)
