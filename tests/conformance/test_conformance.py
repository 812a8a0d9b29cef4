"""Our files against those of llama.cpp's own converter: the same tensors, bit for bit, and the same metadata.

Needs tests/conformance/setup.py to have run; LOCALFT_CONFORMANCE names its folder where that is not the default.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from checkpoints import random_tensors, write_checkpoint, write_safetensors

from localft.model.conversion.checkpoint_keys import by_name
from localft.model.convert import convert

pytestmark = pytest.mark.conformance

PRE = {"llama3": "llama-bpe", "smollm": "smollm", "gpt2": "gpt-2"}
LLAMA3 = {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
LINEAR = {"rope_type": "linear", "factor": 4.0}
CASES: dict[str, dict[str, Any]] = {
    "sentencepiece": {"vocabulary": "sentencepiece"},
    "sentencepiece-tied": {"vocabulary": "sentencepiece", "tied": True},
    "fallback": {"vocabulary": "fallback"},
    "fallback-tied": {"vocabulary": "fallback", "tied": True},
    "llama3": {"vocabulary": "llama3"},
    "llama3-tied-scaled": {
        "vocabulary": "llama3",
        "tied": True,
        "dtype": "BF16",
        "n_shards": 2,
        "rope_theta": 500000.0,
        "rope_scaling": LLAMA3 | {"original_max_position_embeddings": 64},
    },
    "smollm": {"vocabulary": "smollm"},
    "smollm-tied": {"vocabulary": "smollm", "tied": True, "dtype": "BF16"},
    "gpt2": {"vocabulary": "gpt2", "dtype": "F16"},
    "gpt2-tied": {"vocabulary": "gpt2", "tied": True},
    "mistral": {"architectures": ["MistralForCausalLM"], "model_type": "mistral", "sliding_window": 32},
    "linear-rope": {"rope_scaling": {"rope_type": "linear", "factor": 4.0}},
    "head-dim": {"head_dim": 32, "num_key_value_heads": 1},
    "padded": {"vocab_size": 600},
    "scaled-without-original": {"rope_scaling": LLAMA3},
    "two-scalings": {"rope_scaling": LINEAR, "rope_parameters": LLAMA3},
}

# Keys in which the two may differ, and why.
OURS_ONLY = {
    "tokenizer.ggml.eot_token_id": "llama.cpp looks for it in the vocabulary when it loads a file without it",
    "tokenizer.ggml.add_bos_token": "always said, so that llama.cpp's defaults do not matter",
    "tokenizer.ggml.add_eos_token": "the same",
    "tokenizer.ggml.add_space_prefix": "the same",
    "llama.rope.freq_base": "the same",
}
THEIRS_ONLY = {
    "tokenizer.ggml.add_sep_token": "of encoder models",
    "general.size_label": "written alike where theirs could tell",
    "general.basename": "cut out of the folder's name",
}


def converter() -> Path:
    default = Path(__file__).resolve().parents[2] / ".venv-conformance"
    folder = Path(os.environ.get("LOCALFT_CONFORMANCE", default))
    if not (folder / "ready").is_file():
        pytest.skip("run `python tests/conformance/setup.py` first (make conformance does)")
    return folder


def reference(checkpoint: Path, out: Path, outtype: str, pre: str | None) -> Path:
    folder = converter()
    command = [
        str(folder / "bin" / "python"),
        str(Path(__file__).with_name("run_converter.py")),
        str(folder / "source" / "vendor" / "llama.cpp"),
        str(checkpoint),
        str(out),
        outtype,
        *([pre] if pre else []),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return out


def read(path: Path) -> tuple[dict[str, Any], dict[str, gguf.ReaderTensor]]:
    reader = gguf.GGUFReader(path)
    values = {key: field.contents() for key, field in reader.fields.items() if not key.startswith("GGUF.")}
    return values, {tensor.name: tensor for tensor in reader.tensors}


def compare_tensors(ours: Path, theirs: Path) -> None:
    a, b = read(ours)[1], read(theirs)[1]
    assert a.keys() == b.keys()
    for name, tensor in a.items():
        assert tensor.tensor_type == b[name].tensor_type, name
        assert tensor.shape.tolist() == b[name].shape.tolist(), name
        # rope_freqs is computed in float32 by both, in another order of operations.
        if name == "rope_freqs.weight":
            np.testing.assert_allclose(tensor.data, b[name].data, rtol=1e-6)
        else:
            np.testing.assert_array_equal(tensor.data, b[name].data, err_msg=name)


def compare_metadata(ours: Path, theirs: Path, except_for: frozenset[str] = frozenset()) -> None:
    a = {key: value for key, value in read(ours)[0].items() if not key.startswith("localft.")}
    b = read(theirs)[0]
    assert a.keys() - b.keys() <= OURS_ONLY.keys()
    assert b.keys() - a.keys() <= THEIRS_ONLY.keys()
    for key in (a.keys() & b.keys()) - except_for - {"general.name"}:
        assert a[key] == b[key], key


@pytest.mark.parametrize("case", CASES)
def test_f32_equals_llama_cpps(case: str, tmp_path: Path) -> None:
    options = dict(CASES[case])
    checkpoint = write_checkpoint(tmp_path / case, **options)
    ours = convert(str(checkpoint), "f32").path
    theirs = reference(checkpoint, tmp_path / "theirs.gguf", "f32", PRE.get(options.get("vocabulary", "")))
    compare_tensors(ours, theirs)
    # llama.cpp's converter gives every token of such a tokenizer.json the same score and loses the merges' order:
    # test_convert_parity.py shows that ours tokenize as sentencepiece does.
    scores = frozenset({"tokenizer.ggml.scores"}) if options.get("vocabulary") == "fallback" else frozenset[str]()
    compare_metadata(ours, theirs, scores)


def test_another_head_beside_a_tied_embedding(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "m", tied=True)
    tensors = random_tensors(json.loads((checkpoint / "config.json").read_text()))
    head = -tensors["model.embed_tokens.weight"]
    write_safetensors(checkpoint, tensors | {"lm_head.weight": head})
    ours = convert(str(checkpoint), "f32").path
    compare_tensors(ours, reference(checkpoint, tmp_path / "theirs.gguf", "f32", None))


@pytest.mark.parametrize(
    ("vocabulary", "flags"),
    [
        ("llama3", {"add_bos_token": False}),
        ("smollm", {"add_bos_token": True, "pad_token": "<|im_start|>"}),
        ("fallback", {"add_bos_token": False, "add_prefix_space": False}),
        ("sentencepiece", {"add_bos_token": False, "add_prefix_space": False}),
    ],
)
def test_what_tokenizer_config_says(vocabulary: str, flags: dict[str, Any], tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "m", vocabulary=vocabulary)
    path = checkpoint / "tokenizer_config.json"
    path.write_text(json.dumps((json.loads(path.read_text()) if path.exists() else {}) | flags))
    ours = convert(str(checkpoint), "f32").path
    theirs = reference(checkpoint, tmp_path / "theirs.gguf", "f32", PRE.get(vocabulary))
    scores = frozenset({"tokenizer.ggml.scores"}) if vocabulary == "fallback" else frozenset[str]()
    compare_metadata(ours, theirs, scores)


def test_the_table_speaks_of_every_key_that_the_converter_reads() -> None:
    folder = converter() / "source" / "vendor" / "llama.cpp" / "conversion"
    text = "".join((folder / name).read_text(encoding="utf-8") for name in ("base.py", "llama.py"))
    lists = re.findall(r"find_hparam\(\[([^]]*)\]", text)
    names = re.findall(r"hparams(?:\.get\(|\[)[\"'](\w+)[\"']", text)
    read = {name for each in lists for name in re.findall(r'"(\w+)"', each)} | set(names)
    assert len(read) > 50
    assert read <= by_name("config.json").keys() | by_name("rope_parameters").keys()


@pytest.mark.parametrize("outtype", ["f16", "bf16", "q8_0"])
def test_types_equal_llama_cpps(outtype: str, tmp_path: Path) -> None:
    # Rows of 172 fit no block of q8_0: both fall back to f16 there.
    checkpoint = write_checkpoint(tmp_path / "m", intermediate_size=172, dtype="BF16")
    ours = convert(str(checkpoint), outtype).path
    theirs = reference(checkpoint, tmp_path / "theirs.gguf", outtype, None)
    compare_tensors(ours, theirs)
    compare_metadata(ours, theirs)


@pytest.mark.shared
def test_stories260k_equals_llama_cpps(shared: Path, tmp_path: Path) -> None:
    checkpoint = shared / "models" / "stories260K"
    ours = convert(str(checkpoint), "q8_0").path
    theirs = reference(checkpoint, tmp_path / "theirs.gguf", "q8_0", None)
    compare_tensors(ours, theirs)
    compare_metadata(ours, theirs)
