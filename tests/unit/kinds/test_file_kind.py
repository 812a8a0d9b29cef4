"""What files and folders are, by their bytes: each kind once, under names that say nothing or something else."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save
from tiny_llama import random_adapter, write_model

from localft.adapter import write_adapter
from localft.kinds.file_kind import HEAD, Kind, file_kind, head_kind, tensors_kind, unfit
from localft.kinds.folder_kind import folder_kind
from localft.kinds.text_kind import TextForm, holder_key, text_form

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32\nsize 9\n"


def zipped(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return file.getvalue()


def tarred() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("train.jsonl"))
    return file.getvalue()


def tensors(*names: str) -> bytes:
    return bytes(save({name: np.zeros((2, 2), np.float32) for name in names}))


def gguf(kind: str, key: str = "general.type") -> bytes:
    name, value = key.encode(), kind.encode()
    pairs = struct.pack("<Q", len(name)) + name + struct.pack("<IQ", 8, len(value)) + value
    return b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + pairs


@pytest.mark.parametrize(
    ("data", "kind", "words"),
    [
        (b"", Kind.EMPTY, "empty"),
        (LFS, Kind.POINTER, "a Git LFS pointer"),
        (LFS.replace(b"git-lfs", b"hawser"), Kind.POINTER, "a Git LFS pointer"),
        (b"/annex/objects/MD5E-s9--d41d.jsonl\n", Kind.POINTER, "a git-annex pointer"),
        (gzip.compress(b"x", mtime=0), Kind.GZIP, ""),
        (b"\x28\xb5\x2f\xfd\x04", Kind.ZSTANDARD, ""),
        (b"PAR1\x15\x04", Kind.PARQUET, ""),
        (b"ARROW1\0\0", Kind.BINARY, "an Arrow file"),
        (b"\xff\xff\xff\xff\x28\1\0\0\x10\0\0\0\0\0\x0a\0", Kind.BINARY, "an Arrow file"),
        (b"\xff" * 64, Kind.TEXT, ""),
        (bz2.compress(b"x"), Kind.BINARY, "a bzip2 file"),
        (lzma.compress(b"x"), Kind.BINARY, "an xz file"),
        (tarred(), Kind.BINARY, "a tar archive"),
        (zipped("a.txt"), Kind.BINARY, "a zip archive"),
        (zipped("[Content_Types].xml", "word/document.xml"), Kind.BINARY, "an Office document"),
        (zipped("archive/data.pkl"), Kind.WEIGHTS, "a file of weights"),
        (pickle.dumps({"a": 1}), Kind.BINARY, "a pickle of Python"),
        (b"%PDF-1.7\n", Kind.BINARY, "a PDF"),
        (b"{\\rtf1\\ansi", Kind.BINARY, "a document in RTF"),
        (b"SQLite format 3\0", Kind.BINARY, "an SQLite database"),
        (b"\x89PNG\r\n\x1a\n", Kind.BINARY, "a picture"),
        (b"tjgg\x01\0\0\0", Kind.BINARY, "a model of ggml's old format"),
        (b"<!DOCTYPE html>\n<html>", Kind.WEB_PAGE, "a web page"),
        (b"\n  <HTML lang='en'>", Kind.WEB_PAGE, "a web page"),
        ('{"a": 1}'.encode("utf-16"), Kind.UTF16, "UTF-16"),
        ('{"a": 1}'.encode("utf-16-le"), Kind.UTF16, "UTF-16"),
        ('{"a": 1}'.encode("utf-16-be"), Kind.UTF16, "UTF-16"),
        (b"\0\1\2\3 unknown", Kind.UNKNOWN, "a file of no format"),
        (b"plain words", Kind.TEXT, ""),
        ("größer".encode("latin-1"), Kind.TEXT, ""),
        (gguf("model"), Kind.MODEL, "a model (GGUF)"),
        (gguf("llama", "general.architecture"), Kind.MODEL, "a model (GGUF)"),
        (gguf("adapter"), Kind.ADAPTER, "a LoRA adapter"),
        (gguf("checkpoint"), Kind.CHECKPOINT, "the checkpoint of a run"),
        (gguf("mmproj"), Kind.BINARY, "the vision part"),
        (gguf("clip", "general.architecture"), Kind.BINARY, "the vision part"),
        (gguf("imatrix"), Kind.BINARY, "an importance matrix"),
        (tensors("model.embed_tokens.weight"), Kind.WEIGHTS, "a file of weights"),
        (tensors("base_model.model.m.layers.0.q.lora_A.weight"), Kind.ADAPTER_WEIGHTS, "an adapter as PEFT saves it"),
        (tensors("model.layers.0.q_proj.lora_a"), Kind.ADAPTER_WEIGHTS, "an adapter of MLX"),
        (tensors("model.layers.0.q_proj.qweight"), Kind.WEIGHTS, "already quantised (AWQ or GPTQ)"),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else None,
)
def test_files_by_their_bytes(data: bytes, kind: Kind, words: str) -> None:
    found = head_kind(data[:HEAD], len(data))
    assert found.kind is kind
    assert found.what.startswith(words)
    assert bool(found.hint) == bool(found.what), "what is named has a way out"
    assert not (found.what + found.hint).endswith("."), "no final period"


def test_files_of_our_own_and_pipes(tmp_path: Path) -> None:
    write_adapter(tmp_path / "blob", random_adapter())
    assert file_kind(tmp_path / "blob").kind is Kind.ADAPTER
    assert file_kind(write_model(tmp_path / "sha256-0123")).kind is Kind.MODEL
    os.mkfifo(tmp_path / "pipe.jsonl")
    assert file_kind(tmp_path / "pipe.jsonl").kind is Kind.PIPE
    assert file_kind(Path("/dev/null")).kind is Kind.PIPE
    assert unfit(tmp_path / "missing") is None
    assert unfit(tmp_path / "blob") is None
    assert unfit(tmp_path / "blob", Kind.ADAPTER)
    with pytest.raises(OSError, match="directory"):
        file_kind(tmp_path)


WEIGHT = "model.layers.0.self_attn.q_proj.weight"


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ((WEIGHT, "lm_head.weight", "module." + WEIGHT), None),
        ((WEIGHT, WEIGHT + ".absmax", WEIGHT + ".quant_state.bitsandbytes__nf4"), "bitsandbytes"),
        ((WEIGHT, WEIGHT.replace("weight", "SCB")), "bitsandbytes"),
        ((WEIGHT.replace("weight", "qweight"), WEIGHT.replace("weight", "scales")), "AWQ or GPTQ"),
        ((WEIGHT, WEIGHT + "_scale_inv"), "FP8 or INT8"),
        ((WEIGHT, WEIGHT.replace("weight", "scales"), WEIGHT.replace("weight", "biases")), "MLX"),
        (("model.layers.0.mlp.experts.gate_up_proj_blocks",), "MXFP4"),
        (("base_model.model." + WEIGHT,), "still wrapped"),
        ((WEIGHT.replace("weight", "base_layer.weight"), WEIGHT.replace("weight", "lora_A.default.weight")), "wrapped"),
        ((WEIGHT.replace("weight", "lora_A.weight"), "base_model.model.lm_head.weight"), "as PEFT saves it"),
    ],
)
def test_weights_by_their_names(names: tuple[str, ...], words: str | None) -> None:
    found = tensors_kind(names)
    assert (found is None) == (words is None)
    assert words is None or (found and words in found.what)
    assert tensors_kind([WEIGHT], ["F8_E4M3"]), "or by their types"


def test_folders(tmp_path: Path) -> None:
    def folder(name: str, **files: str | dict[str, object]) -> Path:
        (tmp_path / name).mkdir()
        for file, content in files.items():
            text = content if isinstance(content, str) else json.dumps(content)
            (tmp_path / name / file.replace("__", ".")).write_text("\ufeff" + text)
        return tmp_path / name

    config: dict[str, object] = {"architectures": ["LlamaForCausalLM"]}
    peft: dict[str, object] = {"peft_type": "LORA", "base_model_name_or_path": "org/base"}
    run: dict[str, object] = {"fingerprint": "f", "base": {"path": "/models/base.gguf"}}
    cases = {
        folder("run", config__json=run): (Kind.RUN, "`/models/base.gguf`"),
        folder("peft", adapter_config__json=peft): (Kind.ADAPTER_FOLDER, "`org/base`"),
        folder("peft2", adapter_config__json=peft, config__json=config): (Kind.ADAPTER_FOLDER, "merge"),
        folder("both", adapter_config__json=peft, config__json=config, model__safetensors="x"): (Kind.MODEL_FOLDER, ""),
        folder("mlx", adapter_config__json={"fine_tune_type": "lora"}): (Kind.ADAPTER_FOLDER, "mlx_lm.fuse"),
        folder("saved", dataset_dict__json={"splits": ["train"]}): (Kind.SAVED_ROWS, "to_json"),
        folder("saved2", state__json="{}", data__arrow="x"): (Kind.SAVED_ROWS, "to_parquet"),
    }
    for path, (kind, words) in cases.items():
        found = folder_kind(path)
        assert found, path
        assert found.kind is kind, path
        assert words in found.hint, path
    assert folder_kind(folder("plain", config__json={"port": 80}, README__md="x")) is None


ROW = '{"prompt": "a", "completion": "b"}\n'


@pytest.mark.parametrize(
    ("text", "form"),
    [
        (ROW * 3, TextForm.LINES),
        (ROW, TextForm.OBJECT),
        (ROW + "\n\n", TextForm.OBJECT),
        (ROW.strip() * 2, TextForm.LINES),
        (ROW * 3 + '{"prompt": "cut', TextForm.LINES),
        ("\ufeff\n\n" + ROW * 2, TextForm.LINES),
        (ROW.replace("\n", ",\n") * 2, TextForm.LINES),
        ("{'prompt': 'a'}\n{'prompt': 'b'}\n", TextForm.LINES),
        (f"[{ROW},{ROW}]", TextForm.ARRAY),
        ('[\n  {\n    "a": 1\n  }\n]', TextForm.ARRAY),
        ('{\n "a": 1\n}\n{\n "a": 2\n}\n', TextForm.SPREAD),
        ('{"data": [' + ROW + "]}", TextForm.HOLDER),
        ('{"version": 1.1, "name": "x", "rows": [\n[1, 2]]}', TextForm.HOLDER),
        ('{"a": 1,}\n{"a": 2}\n', TextForm.LINES),
        ('{"a": "x\ty"}\n', TextForm.LINES),
        ('{\n "a": 1,\n}\n', TextForm.SPREAD),
        ('[{"a": 1,}]', TextForm.ARRAY),
        ('{"cells": [\n {"cell_type": "code"}\n]}', TextForm.NOTEBOOK),
        ("prompt,completion\na,b\n", TextForm.COMMAS),
        ('q,a\n"x\ny",z\n', TextForm.COMMAS),
        ("prompt\tcompletion\na\tb\n", TextForm.TABS),
        ("", TextForm.PLAIN),
        ("Once upon a time, there\nwas a king, so\n", TextForm.PLAIN),
        ("one, two\nthree\n", TextForm.PLAIN),
        ("[![badge](https://x)](y)\n", TextForm.PLAIN),
        ("[1, 2]\n", TextForm.PLAIN),
        ("{curly} words\n", TextForm.PLAIN),
        (ROW + "and so on: a format of lines\n", TextForm.PLAIN),
        ('{"a": 1} is an object\n', TextForm.PLAIN),
        ('{"a": ' + "[" * 100_000, TextForm.PLAIN),
        ('{"a": ' + "9" * 5000 + "}", TextForm.LINES),
        ('{"id": 1, "data": [{"x": 1}], "text": "a"}\n' * 2, TextForm.LINES),
        ('{"data": [{"x": 1,}]}', TextForm.HOLDER),
        ('{"text": "one\u2028two\x85"}\n' * 2, TextForm.LINES),
        ("a,b\none\u2028two,three\n", TextForm.COMMAS),
    ],
)
def test_texts_by_their_beginning(text: str, form: TextForm) -> None:
    assert text_form(text, whole=not text.endswith("cut")) is form


def test_the_holder_is_named() -> None:
    assert holder_key('{"version": "1.1", "data": [{"q": 1}]}') == "data"
    assert holder_key('{"data": "x"}') == ""


@pytest.mark.parametrize(
    "odd",
    [
        lambda n: '{"a": 1, ' * n,
        lambda n: '{"k": "v", "k": ' + '"v", "k": ' * n,
        lambda n: "a,b\n" * n + '"',
        lambda n: "[" + " " * n,
        lambda n: '{"' + "\\" * n,
    ],
)
def test_no_text_takes_long(odd: Callable[[int], str]) -> None:
    """All of a head, which is the most that is looked at, is judged in a moment."""
    import time

    start = time.process_time()
    text_form(odd(HEAD)[:HEAD], whole=False)
    assert time.process_time() - start < 1
