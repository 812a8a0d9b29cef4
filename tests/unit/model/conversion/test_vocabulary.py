"""Vocabularies: tokens equal the original tokenizer's, and what cannot be imitated is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from checkpoints import HARD_STRINGS, VOCABULARIES, write_checkpoint
from convert_tokens import GOLDEN as GOLDEN_FILE

from localft.errors import ModelError
from localft.model.conversion.hparams import read_hparams
from localft.model.conversion.sentencepiece import parse
from localft.model.conversion.vocabulary import Vocabulary, read_vocabulary
from localft.model.convert import convert
from localft.model.gguf.header import read_header

GOLDEN = json.loads(GOLDEN_FILE.read_text(encoding="utf-8"))


def tokenize(gguf: Path, texts: tuple[str, ...]) -> list[list[int]]:
    from llama_cpp import Llama

    model = Llama(str(gguf), vocab_only=True, verbose=False)
    try:
        return [model.tokenize(text.encode(), add_bos=False, special=False) for text in texts]
    finally:
        model.close()


def read(folder: Path) -> Vocabulary:
    return read_vocabulary(folder, read_hparams(folder))


def edit(path: Path, **changes: Any) -> None:
    values = json.loads(path.read_text(encoding="utf-8"))
    values.update(changes)
    path.write_text(json.dumps(values), encoding="utf-8")


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
def test_tokens_equal_the_original_tokenizers(vocabulary: str, tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / vocabulary, vocabulary=vocabulary)
    result = convert(str(checkpoint), "f32")
    ours = tokenize(result.path, HARD_STRINGS)
    for text, mine, theirs in zip(HARD_STRINGS, ours, GOLDEN[vocabulary], strict=True):
        assert mine == theirs, text


@pytest.mark.parametrize(
    ("vocabulary", "model", "pre", "add_bos"),
    [
        ("sentencepiece", "llama", "default", True),
        ("fallback", "llama", "default", True),
        ("llama3", "gpt2", "llama-bpe", True),
        ("smollm", "gpt2", "smollm", False),
        ("gpt2", "gpt2", "gpt-2", False),
    ],
)
def test_metadata_of_each_kind(vocabulary: str, model: str, pre: str, add_bos: bool, tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / vocabulary, vocabulary=vocabulary)
    header = read_header(convert(str(checkpoint), "f32").path)
    values = header.values
    assert values["tokenizer.ggml.model"] == model
    assert values["tokenizer.ggml.pre"] == pre
    assert values["tokenizer.ggml.add_bos_token"] is add_bos
    assert values["tokenizer.ggml.add_eos_token"] is False
    tokens = header.arrays["tokenizer.ggml.tokens"].values
    if model == "llama":
        assert (values["tokenizer.ggml.bos_token_id"], values["tokenizer.ggml.eos_token_id"]) == (1, 2)
        assert values["tokenizer.ggml.add_space_prefix"] is True
        return
    assert tokens[int(values["tokenizer.ggml.bos_token_id"])] == b"<|begin_of_text|>"
    assert tokens[int(values["tokenizer.ggml.eos_token_id"])] == b"<|im_end|>"
    assert tokens[int(values["tokenizer.ggml.eot_token_id"])] == b"<|im_end|>"
    assert "<|im_start|>" in str(values["tokenizer.chat_template"])
    types = header.arrays["tokenizer.ggml.token_type"].values
    assert [int(kind) for kind in types[-3:]] == [3, 3, 3]


def test_rows_without_a_token_are_unused(tmp_path: Path) -> None:
    plain = write_checkpoint(tmp_path / "a", vocabulary="llama3")
    n_vocab = len(read(plain).tokens)
    padded = read(
        write_checkpoint(tmp_path / "b", vocabulary="llama3", vocab_size=n_vocab + 2, eos_token_id=n_vocab - 1)
    )
    assert padded.tokens[-2:] == (f"[PAD{n_vocab}]", f"[PAD{n_vocab + 1}]")
    assert [int(kind) for kind in padded.types[-2:]] == [5, 5]


def test_tokens_without_a_row_are_left_out_with_a_warning(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "a")
    n_vocab = len(read(checkpoint).tokens)
    (checkpoint / "added_tokens.json").write_text(json.dumps({"<extra>": n_vocab}))
    vocabulary = read(checkpoint)
    assert len(vocabulary.tokens) == n_vocab
    assert vocabulary.warnings == ("1 token has no row in the model's embedding and is left out: `<extra>`",)


def test_an_added_token_takes_its_place(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "a", vocab_size=600)
    config = {
        "added_tokens_decoder": {
            "599": {"content": "<|user|>", "special": False},
            "598": {"content": "▁x", "special": False},
        }
    }
    (checkpoint / "tokenizer_config.json").write_text(json.dumps(config))
    vocabulary = read(checkpoint)
    assert (vocabulary.tokens[599], int(vocabulary.types[599])) == ("<|user|>", 3)
    assert (vocabulary.tokens[598], int(vocabulary.types[598])) == (" x", 4)


def test_ids_come_from_the_tokenizer_before_the_config(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "a", vocabulary="llama3", eos_token_id=5, bos_token_id=7)
    vocabulary = read(checkpoint)
    assert vocabulary.tokens[vocabulary.special_ids["bos"]] == "<|begin_of_text|>"
    assert vocabulary.tokens[vocabulary.special_ids["eos"]] == "<|im_end|>"


def test_sentencepieces_own_ids_serve_where_nothing_else_names_them(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "a", bos_token_id=None, eos_token_id=None)
    assert read(checkpoint).special_ids == {"bos": 1, "eos": 2}


def test_no_end_token_is_an_error(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "a", vocabulary="smollm", eos_token_id=None)
    edit(checkpoint / "tokenizer_config.json", eos_token=None)
    with pytest.raises(ModelError, match="names no end-of-sequence token"):
        read(checkpoint)


@pytest.mark.parametrize(("vocabulary", "added"), [("llama3", True), ("smollm", False), ("fallback", True)])
@pytest.mark.parametrize("stated", [True, False, None])
def test_the_post_processor_says_whether_bos_is_added(
    vocabulary: str, added: bool, stated: bool | None, tmp_path: Path
) -> None:
    """tokenizer_config.json's word was taken, which transformers and llama.cpp's converter do not beside one."""
    checkpoint = write_checkpoint(tmp_path / "a", vocabulary=vocabulary)
    edit(checkpoint / "tokenizer_config.json", add_bos_token=stated, add_eos_token=True)
    assert (read(checkpoint).add_bos, read(checkpoint).add_eos) == (added, False)
    edit(checkpoint / "tokenizer.json", post_processor=None)
    default = vocabulary == "fallback"
    assert (read(checkpoint).add_bos, read(checkpoint).add_eos) == (default if stated is None else stated, True)


def test_chat_template_from_its_own_file(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "a")
    (checkpoint / "chat_template.jinja").write_text("{{ messages[0]['content'] }}", encoding="utf-8")
    assert read(checkpoint).chat_template == "{{ messages[0]['content'] }}"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pre_tokenizer": {"type": "Whitespace"}}, 'the pre-tokenizer `{"type": "Whitespace"}`'),
        ({"pre_tokenizer": None}, "the pre-tokenizer `null`"),
        ({"normalizer": {"type": "NFC"}}, 'the normalizer `{"type": "NFC"}`'),
        ({"model": {"type": "WordPiece", "vocab": {}}}, "a tokenizer of the kind `WordPiece`"),
        (
            {"model": {"type": "BPE", "vocab": {"a": 0, "b": 0}, "merges": []}},
            "vocabulary or merges cannot be understood",
        ),
        (
            {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a b c"]}},
            "vocabulary or merges cannot be understood",
        ),
        ({"model": {"type": "BPE", "vocab": {"a": -1}, "merges": []}}, "vocabulary or merges cannot be understood"),
        ({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [], "end_of_word_suffix": "</w>"}}, "cannot imitate"),
        ({"added_tokens": [{"id": 0}]}, "vocabulary or merges cannot be understood"),
    ],
)
def test_unknown_tokenizers_are_refused_by_name(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "a", vocabulary="smollm")
    edit(checkpoint / "tokenizer.json", **changes)
    with pytest.raises(ModelError) as caught:
        read(checkpoint)
    assert message in caught.value.message
    assert str(checkpoint / "tokenizer.json") in caught.value.message


NAMED = {"name": "default", "template": "{{ messages }}"}


@pytest.mark.parametrize(
    "template",
    [
        *(
            3,
            {"default": 3},
            [3],
            [None],
            [[]],
            [{}],
            [NAMED, NAMED],
            [NAMED, {"name": "x"}],
            [{"name": 3, "template": "x"}],
        ),
        [{"name": name, "template": "x"} for name in ("tool use", "tool_use")],
    ],
)
def test_a_chat_template_that_is_none(template: Any, tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "a", vocabulary="smollm")
    edit(checkpoint / "tokenizer_config.json", chat_template=template)
    with pytest.raises(ModelError, match=r"the chat template of .* expected text, or a list"):
        read(checkpoint)
    edit(checkpoint / "tokenizer_config.json", chat_template=[NAMED, {"name": "tool_use", "template": "x"}])
    assert read(checkpoint).chat_template == [NAMED, {"name": "tool_use", "template": "x"}]


def test_a_changed_regex_is_no_known_pre_tokenizer(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "a", vocabulary="llama3")
    path = checkpoint / "tokenizer.json"
    path.write_text(path.read_text(encoding="utf-8").replace("{1,3}", "{1,2}"), encoding="utf-8")
    with pytest.raises(ModelError, match=r"(?s)the pre-tokenizer .* is not known") as caught:
        read(checkpoint)
    assert "llama-bpe" in caught.value.hint


def test_two_tokens_of_one_spelling_are_refused(tmp_path: Path) -> None:
    # llama.cpp asserts that spellings differ, and so would abort on such a file.
    checkpoint = write_checkpoint(tmp_path / "a")
    (checkpoint / "added_tokens.json").write_text(json.dumps({"<s>": 300}))
    with pytest.raises(ModelError, match="2 tokens spelled `<s>`"):
        read(checkpoint)


@pytest.mark.parametrize("extra", ["<s>\0x", "[EMPTY_301]"])
def test_two_tokens_that_llama_cpp_spells_alike_are_refused(extra: str, tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "a", vocab_size=600)
    (checkpoint / "added_tokens.json").write_text(json.dumps({extra: 300, "\0y": 301}))
    with pytest.raises(ModelError, match="2 tokens spelled `") as caught:
        read(checkpoint)
    assert caught.value.hint


@pytest.mark.parametrize("id_", [-5, 10**12, 2**24 - 1, 300.7, True, None, "x", "-5", "9" * 5000, [300]])
def test_ids_that_are_none_are_refused(id_: Any, tmp_path: Path) -> None:
    """-5 took the place of the fifth token from the end, 300.7 that of token 300, true that of token 1."""
    checkpoint = write_checkpoint(tmp_path / "a", vocab_size=600)
    (checkpoint / "added_tokens.json").write_text(json.dumps({"<x>": id_}))
    with pytest.raises(ModelError, match=r"the added tokens in .*added_tokens.json` cannot be understood") as caught:
        read(checkpoint)
    assert f"the id {id_}"[:80] in caught.value.message
    assert len(caught.value.message) < 400
    checkpoint = write_checkpoint(tmp_path / "b", vocabulary="llama3", vocab_size=600)
    path = checkpoint / "tokenizer.json"
    values = json.loads(path.read_text())
    values["added_tokens"].append({"id": id_, "content": "<x>", "special": True})
    path.write_text(json.dumps(values))
    with pytest.raises(ModelError, match="is damaged: its vocabulary or merges cannot be understood"):
        read(checkpoint)


def test_two_added_tokens_of_one_id_are_refused(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "b", vocabulary="llama3")
    path = checkpoint / "tokenizer.json"
    values = json.loads(path.read_text())
    values["added_tokens"].append({**values["added_tokens"][0], "content": "<x>"})
    path.write_text(json.dumps(values))
    with pytest.raises(ModelError, match="is damaged"):
        read(checkpoint)


@pytest.mark.parametrize(
    "data", [b"", b"\x0a", b"\x0a\xff\xff\xff\xff\x0f", b"\xff" * 40, b"\x0a\x03\x0a\x01\xff", b"\x08\x01"]
)
def test_damaged_sentencepiece_models_are_refused(data: bytes, tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "a")
    (checkpoint / "tokenizer.model").write_bytes(data)
    with pytest.raises(ModelError, match="is no sentencepiece model" if data else "is empty"):
        read(checkpoint)


def test_a_truncated_sentencepiece_model_never_crashes(tmp_path: Path) -> None:
    data = (write_checkpoint(tmp_path / "a") / "tokenizer.model").read_bytes()
    for end in range(0, len(data), 7):
        try:
            parse(data[:end])
        except ValueError:
            continue


def test_a_unigram_model_is_refused_by_name(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "a")
    path = checkpoint / "tokenizer.model"
    path.write_bytes(path.read_bytes() + b"\x12\x02\x18\x01")  # a later trainer_spec {model_type: UNIGRAM} wins
    with pytest.raises(ModelError, match="of the kind `unigram`"):
        read(checkpoint)


@pytest.mark.shared
def test_stories260k(shared: Path) -> None:
    vocabulary = read(shared / "models" / "stories260K")
    assert len(vocabulary.tokens) == 512
    assert vocabulary.warnings == ("the tokenizer joins repeated spaces into one; llama.cpp keeps them",)


@pytest.mark.shared
def test_both_files_of_llama_2s_vocabulary_tokenize_alike(shared: Path, tmp_path: Path) -> None:
    # llama.cpp's own converter gives every token of a tokenizer.json the score -1000 and loses the merges' order.
    text = (shared / "data" / "wikitext2_test.txt").read_text(encoding="utf-8")[:60_000]
    lines = tuple(line for line in text.split("\n") if line) + HARD_STRINGS
    ids = []
    for name, file in (("m", "llama2/tokenizer.model"), ("j", "tinyllama/tokenizer.json")):
        checkpoint = write_checkpoint(tmp_path / name, vocab_size=32000, tied=True)
        (checkpoint / "tokenizer.model").unlink()
        source = shared / "models" / "tokenizers" / file
        (checkpoint / source.name).write_bytes(source.read_bytes())
        ids.append(tokenize(convert(str(checkpoint), "q8_0").path, lines))
    assert ids[0] == ids[1]
