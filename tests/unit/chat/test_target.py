"""What stands after --lora and --model is found, or named for what it is."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import vocabs
from gguf import GGUFWriter
from safetensors.numpy import save_file
from tiny_llama import random_adapter, write_model

from localft.adapter import from_peft, read_adapter, to_peft, write_adapter
from localft.adapter.check import check_adapter
from localft.adapter.origin import BASE_PATH
from localft.chat.target import find_target
from localft.data.wording.template import choose_templates
from localft.errors import AdapterError, ConfigError, LocalftError, ModelError
from localft.model.gguf.check import check_gguf

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A base, an adapter in three forms, a run, and files that are none of these."""
    monkeypatch.chdir(tmp_path)
    base = write_model(tmp_path / "base.gguf", chat=True)
    write_adapter(tmp_path / "a.gguf", random_adapter(**{BASE_PATH: str(base)}))
    shutil.copy("a.gguf", "blob")
    to_peft(read_adapter("a.gguf"), "peft", base, base_model_name="org/base")
    Path("mlx").mkdir()
    Path("mlx/adapter_config.json").write_text('{"fine_tune_type": "lora"}')
    save_file({"model.layers.0.self_attn.q_proj.lora_a": np.ones((4, 4), np.float32)}, "mlx/adapters.safetensors")
    Path("run").mkdir()
    Path("run/config.json").write_text(json.dumps({"fingerprint": "f", "base": {"path": str(base)}}))
    Path("model").mkdir()
    Path("model/config.json").write_text('{"architectures": ["LlamaForCausalLM"]}')
    files = {"lfs.gguf": LFS, "page.gguf": b"<html>", "none.gguf": b"", "book.txt": b"It was.\n", "x.zip": b"PK\3\4"}
    for name, content in files.items():
        Path(name).write_bytes(content)


def refusal(lora: str | None, model: str | None, kind: type[LocalftError]) -> LocalftError:
    def tried() -> None:
        target = find_target(lora, model)
        check_adapter(target.adapter or Path(), target.model)

    with pytest.raises(kind) as caught:
        tried()
    assert caught.value.hint
    return caught.value


def test_adapters_and_models_under_any_name() -> None:
    for name in ("a.gguf", "blob"):
        target = find_target(name, None)
        assert (target.model.name, target.adapter) == ("base.gguf", Path(name))
        check_adapter(Path(name), target.model)
    shutil.copy("base.gguf", "sha256-" + "0a" * 32)
    assert find_target(None, "sha256-" + "0a" * 32).model == Path("sha256-" + "0a" * 32)


@pytest.mark.parametrize(
    ("lora", "message", "hint"),
    [
        ("peft", "`peft` is the folder of a PEFT adapter", "`org/base`"),
        ("peft/adapter_model.safetensors", "is an adapter as PEFT saves it", "from_peft"),
        ("peft/adapter_config.json", "is a text and no adapter", "from_peft"),
        ("mlx", "`mlx` is an adapter of MLX", "mlx_lm.fuse"),
        ("mlx/adapters.safetensors", "is an adapter of MLX", "mlx_lm.fuse"),
        ("model", "`model` is the folder of a model", "--model"),
        ("base.gguf", "`base.gguf` is no LoRA adapter: its general.type is 'model'", "--model"),
        ("lfs.gguf", "`lfs.gguf` is a Git LFS pointer", "git lfs pull"),
        ("page.gguf", "`page.gguf` is a web page", "download"),
        ("none.gguf", "`none.gguf` is empty", "again"),
        ("book.txt", "`book.txt` is a text and no adapter", "adapter file"),
        ("x.zip", "`x.zip` is a zip archive", "unpack"),
        ("nothing", "`nothing` is neither a run's folder nor an adapter file", "newest run"),
    ],
)
def test_what_is_no_adapter_is_named(lora: str, message: str, hint: str) -> None:
    error = refusal(lora, "base.gguf", AdapterError)
    assert message in error.message
    assert hint in error.hint
    assert "damaged" not in error.message


def test_a_run_and_its_checkpoint() -> None:
    run = refusal(None, "run", ModelError)
    assert run.message == "`run` is the folder of a run and not a model"
    assert "localft chat --lora" in run.hint
    assert "base.gguf" in run.hint
    with closing(GGUFWriter("run/checkpoint.gguf", "llama")) as writer:
        writer.add_type("checkpoint")
        writer.add_tensor("blk.0.attn_q.weight.lora_a", np.ones((4, 4), np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    as_adapter = refusal("run/checkpoint.gguf", "base.gguf", AdapterError)
    with pytest.raises(ModelError) as as_model:
        check_gguf(find_target(None, "run/checkpoint.gguf").model)
    for error in (as_adapter, as_model.value):
        assert error.message == "`run/checkpoint.gguf` is the checkpoint of a run, which only that run can go on from"
        assert "give the run's folder to --lora" in error.hint


def test_a_template_in_a_file(tmp_path: Path) -> None:
    """A byte order mark stood in every prompt."""
    tokenizer, path = vocabs.bpe(tmp_path), Path("t.jinja")
    for marks in ("", "\ufeff", "\ufeff\ufeff"):
        path.write_text(marks + "{{ messages[0].content }}", encoding="utf-8")
        assert choose_templates(tokenizer, "t.jinja")["messages"].source == "{{ messages[0].content }}"
    others = {LFS: "a Git LFS pointer", "{{ x }}".encode("utf-16"): "UTF-16", b"<html>": "a web page"}
    for content, words in others.items():
        path.write_bytes(content)
        with pytest.raises(ConfigError, match=f"--template `t.jinja` is {words}"):
            choose_templates(tokenizer, "t.jinja")


def test_the_files_of_peft_are_named_too(tmp_path: Path) -> None:
    write_adapter("back.gguf", from_peft("peft", "base.gguf"))
    assert read_adapter("back.gguf").tensors.keys() == read_adapter("a.gguf").tensors.keys()
    config = Path("peft/adapter_config.json")
    config.write_bytes(b"\xef\xbb\xbf" + config.read_bytes())
    assert from_peft("peft", "base.gguf").rank == read_adapter("a.gguf").rank
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        shutil.copytree("peft", name)
        Path(name, name).write_bytes(LFS)
        with pytest.raises(AdapterError, match="is a Git LFS pointer"):
            from_peft(name, "base.gguf")
    with pytest.raises(AdapterError, match="`mlx` is an adapter of MLX"):
        from_peft("mlx", "base.gguf")
