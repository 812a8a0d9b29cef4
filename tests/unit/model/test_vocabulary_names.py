"""The list of vocabularies against the llama.cpp that is installed: each known one loads and tokenizes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from gguf_file import File, text, u32
from gguf_mutations import whole_files

from localft.errors import ModelError
from localft.model.convert import convert
from localft.model.gguf.check import check_gguf, vocabulary_warnings
from localft.model.gguf.vocabulary_names import PRE_TOKENIZERS, TOKENIZER_MODELS
from localft.python_process import module_command


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, File]:
    return whole_files(tmp_path_factory.mktemp("whole"))


_EACH = """
import sys
from pathlib import Path
from localft.model.probe_process import TEXTS
from localft.model.tokenizer import Tokenizer
for path in sorted(Path(sys.argv[1]).glob("*.gguf")):
    tokenizer = Tokenizer(path)
    for text in TEXTS:
        tokenizer.decode(tokenizer.encode(text, special=True))
    tokenizer.close()
    print(path.stem, flush=True)
"""


def in_a_process(folder: Path, path: Path) -> subprocess.CompletedProcess[str]:
    """Load each file of a folder and tokenize with it; stdout names those that went well."""
    (path / "each_vocabulary.py").write_text(_EACH)
    command = module_command("each_vocabulary", str(folder))
    command[3] = f"{path}\n{command[3]}"
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env={"GGML_NO_BACKTRACE": "1"})


def test_every_known_name_loads_and_tokenizes(files: dict[str, File], tmp_path: Path) -> None:
    folder = tmp_path / "known"
    folder.mkdir()
    for pre in PRE_TOKENIZERS:
        (folder / f"{pre}.gguf").write_bytes(files["llama bpe"].set(tokenizer__ggml__pre=text(pre)).write())
    for model in TOKENIZER_MODELS - {"llama"}:
        (folder / f"+{model}.gguf").write_bytes(files["llama bpe"].set(tokenizer__ggml__model=text(model)).write())
    (folder / "+llama.gguf").write_bytes(files["llama spm"].write())
    (folder / "+no pre.gguf").write_bytes(files["llama bpe"].drop("tokenizer.ggml.pre").write())
    for path in folder.iterdir():
        check_gguf(path)
    done = in_a_process(folder, tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(PRE_TOKENIZERS) + len(TOKENIZER_MODELS) + 1


def test_what_is_left_out_ends_the_process(files: dict[str, File], tmp_path: Path) -> None:
    """The reason to refuse it, and a sign that it may come in where a later llama.cpp does not."""
    folder = tmp_path / "left out"
    folder.mkdir()
    (folder / "a.gguf").write_bytes(files["llama bpe"].set(tokenizer__ggml__pre=text("whitespace")).write())
    done = in_a_process(folder, tmp_path)
    assert "GGML_ASSERT(token_left.find(' ')" in done.stderr


MODELS = ["bert", "t5", "rwkv", "plamo2", "test", "whitespace", "Llama", "gpt2 ", "x" * 5000, "a\x1b[2Jb"]
PRES = ["whitespace", "Default", "gpt2", "x" * 5000, "\x1b]0;x\x07"]


@pytest.mark.parametrize("name", MODELS)
def test_another_kind_of_vocabulary_is_refused(name: str, files: dict[str, File], tmp_path: Path) -> None:
    for base in ("llama spm", "gpt2"):
        refused(files[base].set(tokenizer__ggml__model=text(name)), '"tokenizer.ggml.model" is ', tmp_path)


@pytest.mark.parametrize("name", PRES)
def test_another_pre_tokenizer_is_refused(name: str, files: dict[str, File], tmp_path: Path) -> None:
    for model in ("gpt2", "hybriddna"):
        file = files["qwen2"].set(tokenizer__ggml__model=text(model), tokenizer__ggml__pre=text(name))
        refused(file, '"tokenizer.ggml.pre" is ', tmp_path)


@pytest.mark.parametrize("pre", ["foo", "qwen99", "llama-bpe2", "Qwen2"])
def test_a_newer_pre_tokenizer_is_named_with_a_way_out(pre: str, files: dict[str, File], tmp_path: Path) -> None:
    path = tmp_path / "newer.gguf"
    path.write_bytes(files["qwen2"].set(tokenizer__ggml__pre=text(pre)).write())
    for act in (check_gguf, lambda path: convert(str(path))):
        with pytest.raises(
            ModelError, match=f"that localft does not know: \"tokenizer.ggml.pre\" is '{pre}'"
        ) as caught:
            act(path)
        assert caught.value.hint is not None
        assert "give the model's checkpoint" in caught.value.hint


@pytest.mark.parametrize("base", ["qwen2", "llama bpe", "gpt2"])
def test_a_missing_pre_tokenizer_is_said(base: str, files: dict[str, File], tmp_path: Path) -> None:
    """llama.cpp then cuts text by "default" and says so to its own log only."""
    path = tmp_path / "older.gguf"
    for file in (files[base].drop("tokenizer.ggml.pre"), files[base].set(tokenizer__ggml__pre=text(""))):
        path.write_bytes(file.write())
        (warning,) = convert(str(path)).warnings
        assert warning.startswith('the file names no pre-tokenizer ("tokenizer.ggml.pre"): llama.cpp cuts text by its')
    path.write_bytes(files[base].set(tokenizer__ggml__pre=text("qwen2")).write())
    assert convert(str(path)).warnings == ()
    path.write_bytes(files["llama spm"].drop("tokenizer.ggml.pre").write())
    assert vocabulary_warnings(check_gguf(path)) == []


@pytest.mark.parametrize("key", ["model", "pre"])
def test_a_name_that_is_no_text_is_refused(key: str, files: dict[str, File], tmp_path: Path) -> None:
    for base in ("llama spm", "llama bpe"):
        refused(files[base].set(**{f"tokenizer__ggml__{key}": u32(3)}), f"\"tokenizer.ggml.{key}\" is '3'", tmp_path)


def test_a_pre_tokenizer_means_nothing_to_sentencepiece(files: dict[str, File], tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    path.write_bytes(files["llama spm"].set(tokenizer__ggml__pre=text("whatever")).write())
    check_gguf(path)


@pytest.mark.parametrize("model", ["gemma4", "hybriddna"])
def test_byte_pair_encoding_needs_its_merges(model: str, files: dict[str, File], tmp_path: Path) -> None:
    file = files["llama bpe"].set(tokenizer__ggml__model=text(model)).drop("tokenizer.ggml.merges")
    refused(file, '"tokenizer.ggml.merges" is missing', tmp_path)


def refused(file: File, words: str, folder: Path) -> None:
    path = folder / "refused.gguf"
    path.write_bytes(file.write())
    with pytest.raises(ModelError) as caught:
        check_gguf(path)
    assert words in caught.value.message
    assert caught.value.message.isprintable()
    assert len(caught.value.message.replace(str(path), "")) < 400


def test_the_converter_writes_names_that_are_known() -> None:
    from localft.model.conversion.tokenizer_json import PRE_TOKENIZERS as CONVERTED

    assert {pre.key for pre in CONVERTED} <= PRE_TOKENIZERS
