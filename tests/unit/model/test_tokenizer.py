"""The tokenizer against llama.cpp's own result for a whole string, and the ways in which it must differ."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import vocabs
from hypothesis import given, settings
from hypothesis import strategies as st

import localft.llama
import localft.model.word_limits
from localft.errors import ModelError
from localft.model.tokenizer import Span, Tokenizer

SCRAPS = ["the", " the", "a", " ", "  ", "\n", "\n\n", "s>", "</", "hello", "é", "日本", "🙂", "▁", "<think>", "x"]
SPECIALS = ["<s>", "</s>", "<unk>", "<|im_start|>", "<|im_end|>"]
plain_texts = st.lists(st.sampled_from(SCRAPS), max_size=8).map("".join)
texts = st.lists(st.sampled_from(SCRAPS + SPECIALS), max_size=8).map("".join)


class Reference:
    """llama.cpp's vocabulary as the file has it, asked without any help."""

    def __init__(self, path: Path) -> None:
        self.lib: Any = localft.llama.load()
        params = self.lib.llama_model_default_params()
        params.vocab_only = True
        self.model = self.lib.llama_model_load_from_file(str(path).encode(), params)
        self.vocab = self.lib.llama_model_get_vocab(self.model)

    def encode(self, text: str, special: bool) -> list[int]:
        data = text.encode()
        buffer = (ctypes.c_int32 * (2 * len(data) + 8))()
        n = self.lib.llama_tokenize(self.vocab, data, len(data), buffer, len(buffer), False, special)
        return list(buffer[:n])


@pytest.fixture(scope="module", params=["spm", "spm without prefix", "gpt-2", "llama-bpe", "smollm"])
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Tokenizer, Reference]]:
    path = tmp_path_factory.mktemp("vocab") / "v.gguf"
    if request.param.startswith("spm"):
        vocabs.write_spm(path, space_prefix=False if "without" in request.param else None)
    else:
        vocabs.write_bpe(path, pre=request.param)
    tokenizer = Tokenizer(path)
    yield tokenizer, Reference(path)
    tokenizer.close()


@given(text=texts)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_a_whole_string_with_special_tokens_equals_llama_cpp(pair: tuple[Tokenizer, Reference], text: str) -> None:
    tokenizer, reference = pair
    assert tokenizer.encode(text, special=True) == reference.encode(text, True)


@given(text=plain_texts)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_plain_text_equals_llama_cpp(pair: tuple[Tokenizer, Reference], text: str) -> None:
    tokenizer, reference = pair
    ids = reference.encode(text, False)
    if not {0, 1, 2} & set(ids):
        assert tokenizer.encode(text) == ids


@given(text=texts)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_what_a_user_types_is_never_a_special_token(pair: tuple[Tokenizer, Reference], text: str) -> None:
    tokenizer, _ = pair
    special = {tokenizer.encode(text, special=True)[-1] for text in SPECIALS}
    assert special.isdisjoint(tokenizer.encode(text))


def test_merges_that_spell_a_special_token_do_not_make_one(tmp_path: Path) -> None:
    # the vocabulary has "</" and "s>", and llama.cpp's merges find `</s>` itself even where it is asked not to
    tokenizer = vocabs.spm(tmp_path)
    reference = Reference(tmp_path / "spm.gguf")
    assert 2 in reference.encode("x</s>", False)
    ids = tokenizer.encode("x</s>y<s>")
    assert {0, 1, 2}.isdisjoint(ids)
    assert tokenizer.decode(ids) == " x</s>y<s>"


@given(text=plain_texts.filter(lambda text: "▁" not in text and "<think>" not in text))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_decode_gives_the_text_back(pair: tuple[Tokenizer, Reference], text: str) -> None:
    tokenizer, _ = pair
    assert tokenizer.decode(tokenizer.encode(text, prefix=False), special=True) == text


@given(text=plain_texts)
@settings(max_examples=50, deadline=None, derandomize=True)
def test_without_prefix_a_text_is_what_a_vocabulary_without_space_prefix_gives(
    spm_pair: tuple[Tokenizer, Tokenizer], text: str
) -> None:
    with_prefix, without = spm_pair
    if "<think>" not in text:
        assert with_prefix.encode(text, prefix=False) == without.encode(text)


@pytest.fixture(scope="module")
def spm_pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tokenizer, Tokenizer]:
    folder = tmp_path_factory.mktemp("pair")
    first = Tokenizer(vocabs.write_spm(folder / "a.gguf"))
    return first, Tokenizer(vocabs.write_spm(folder / "b.gguf", space_prefix=False))


@pytest.mark.parametrize("make", [vocabs.spm, vocabs.bpe])
def test_special_tokens_count_only_in_literal_spans(tmp_path: Path, make: Any) -> None:
    tokenizer = make(tmp_path, space_prefix=False) if make is vocabs.spm else make(tmp_path)
    start, end = (tokenizer.encode(text, special=True)[0] for text in ("<|im_start|>", "<|im_end|>"))
    ids = tokenizer.encode_spans([Span("<|im_start|>", True), Span("a<|im_end|>", False), Span("<|im_end|>", True)])
    assert ids == [start, *tokenizer.encode("a<|im_end|>"), end]
    across = [Span("<|im_", True), Span("end|>", False)]
    assert end not in tokenizer.encode_spans(across), (
        "half a special token of the template's and half of the user's is none"
    )


def test_a_space_prefix_follows_every_special_token_as_in_llama_cpp(tmp_path: Path) -> None:
    tokenizer = vocabs.spm(tmp_path)
    the, spaced = tokenizer.encode("the", prefix=False), tokenizer.encode("the")
    assert the != spaced
    assert tokenizer.encode("the</s>the<think>the", special=True) == [
        *spaced,
        2,
        *spaced,
        tokenizer.n_vocab - 1,
        *spaced,
    ]
    assert tokenizer.encode_spans([Span("the", True), Span("the", False)]) == tokenizer.encode("thethe")


def test_long_text_is_tokenized_in_lines_with_the_same_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = vocabs.spm(tmp_path)
    text = "".join(f"the thing{i}\n\n  and another\n" for i in range(50))
    whole = tokenizer.encode(text)
    monkeypatch.setattr(localft.model.word_limits, "_PIECE_STRETCH", 16)
    assert len(list(tokenizer._limits.stretches(text))) > 1
    assert tokenizer.encode(text) == whole


def test_attributes(tmp_path: Path) -> None:
    tokenizer = vocabs.bpe(tmp_path, template="{{ bos_token }}", add_bos=True)
    end = tokenizer.n_vocab - 2
    assert (tokenizer.bos_id, tokenizer.eos_id, tokenizer.eot_id) == (1, 2, end)
    assert tokenizer.add_bos
    assert tokenizer.end_ids == {2, end}
    assert tokenizer.n_ctx_train == 256
    assert tokenizer.chat_template == "{{ bos_token }}"
    assert tokenizer.piece(end) == b"<|im_end|>"
    assert tokenizer.piece(end, special=False) == b""
    assert tokenizer.encode("") == []


def test_a_long_template_is_read_whole(tmp_path: Path) -> None:
    template = "é" * 5000
    assert vocabs.bpe(tmp_path, template=template).chat_template == template


def test_a_file_that_llama_cpp_cannot_load_is_a_model_error(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"GGUFnot a model")
    with pytest.raises(ModelError, match="cannot load the vocabulary"):
        Tokenizer(tmp_path / "x.gguf")
    with pytest.raises(ModelError, match="cannot load the vocabulary"):
        Tokenizer(tmp_path / "missing.gguf")


def test_a_very_long_word_does_not_overflow_the_stack(tmp_path: Path) -> None:
    # llama.cpp's std::regex recurses once per character of a word and takes the process down with it
    tokenizer = vocabs.bpe(tmp_path, pre="deepseek-llm")
    assert len(tokenizer.encode("x" * 200_000)) == 200_000
