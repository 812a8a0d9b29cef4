"""Which tokens begin and end texts and answers, and which no user's text may give."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from checkpoints import CHAT_TEMPLATE, write_checkpoint

from localft.errors import ModelError
from localft.model.conversion.hparams import read_hparams
from localft.model.conversion.vocabulary import Vocabulary, read_vocabulary
from localft.model.convert import convert
from localft.model.tokenizer import Span, Tokenizer

CONTROL, USER_DEFINED = 3, 4
SPARE = 12  # tokens of the vocabulary without a text, which a test may name


def write(folder: Path, vocabulary: str = "smollm", **config: Any) -> Path:
    """A checkpoint with spare rows in its embedding."""
    n = read_hparams(write_checkpoint(folder, vocabulary=vocabulary, weights="none")).n_vocab
    return write_checkpoint(folder, vocabulary=vocabulary, **{"vocab_size": n + SPARE, **ids_of(folder), **config})


def ids_of(folder: Path) -> dict[str, Any]:
    values = json.loads((folder / "config.json").read_text())
    return {key: values[key] for key in ("bos_token_id", "eos_token_id")}


def edit(path: Path, **changes: Any) -> None:
    values = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    path.write_text(json.dumps(values | changes), encoding="utf-8")


def read(folder: Path) -> Vocabulary:
    return read_vocabulary(folder, read_hparams(folder))


def texts(vocabulary: Vocabulary) -> dict[str, str]:
    return {name: vocabulary.tokens[id_] for name, id_ in vocabulary.special_ids.items()}


def ends_of(gguf: Path) -> set[str]:
    """What llama.cpp ends an answer at."""
    tokenizer = Tokenizer(gguf)
    try:
        return {tokenizer.token_text(id_) for id_ in tokenizer.end_ids}
    finally:
        tokenizer.close()


def with_spare(folder: Path, names: list[str], special: bool = True) -> list[int]:
    """Give spare tokens a text; their ids."""
    n = read_hparams(folder).n_vocab
    ids = list(range(n - len(names), n))
    decoder = {str(id_): {"content": name, "special": special} for id_, name in zip(ids, names, strict=True)}
    edit(folder / "tokenizer_config.json", added_tokens_decoder=decoder)
    return ids


@pytest.mark.parametrize("place", ["config.json", "generation_config.json", "both"])
@pytest.mark.parametrize("listed", [False, True])
def test_the_end_may_be_a_list_or_stand_in_generation_config(place: str, listed: bool, tmp_path: Path) -> None:
    """Such checkpoints were refused: "names no end-of-sequence token"."""
    checkpoint = write(tmp_path / "a", eos_token_id=None)
    edit(checkpoint / "tokenizer_config.json", eos_token=None, chat_template=None)
    (end,) = with_spare(checkpoint, ["<END>"])
    for file in ("config.json", "generation_config.json"):
        if place in (file, "both"):
            edit(checkpoint / file, eos_token_id=[end] if listed else end)
    assert texts(read(checkpoint))["eos"] == "<END>"
    assert "<END>" in ends_of(convert(str(checkpoint)).path)


@pytest.mark.parametrize(
    ("template", "eos"),
    [
        (None, "<A>"),
        ("{{ messages[0].content }}<C>", "<C>"),
        ("{{ messages[0].content }}<B><C>", "<B>"),
        ([{"name": "default", "template": "<C>"}, {"name": "tool_use", "template": "<B>"}], "<C>"),
        ("{{ messages[0].content + eos_token }}", "<A>"),
    ],
)
def test_of_several_ends_the_one_that_the_template_writes(template: Any, eos: str, tmp_path: Path) -> None:
    checkpoint = write(tmp_path / "a")
    edit(checkpoint / "tokenizer_config.json", eos_token=None, chat_template=template)
    a, b, c = with_spare(checkpoint, ["<A>", "<B>", "<C>"])
    edit(checkpoint / "config.json", eos_token_id=[a, b])
    edit(checkpoint / "generation_config.json", eos_token_id=[b, c])
    assert texts(read(checkpoint))["eos"] == eos
    assert ends_of(convert(str(checkpoint)).path) >= {"<A>", "<B>", "<C>"}


def test_the_tokenizers_end_comes_first_and_a_disagreement_is_said(tmp_path: Path) -> None:
    checkpoint = write(tmp_path / "a")
    a, b = with_spare(checkpoint, ["<A>", "<B>"])
    edit(checkpoint / "config.json", eos_token_id=[a, b], bos_token_id=a)
    result = convert(str(checkpoint))
    assert texts(read(checkpoint))["eos"] == "<|im_end|>"
    assert ends_of(result.path) >= {"<|im_end|>", "<A>", "<B>"}
    assert result.warnings == (
        'the tokenizer\'s "bos_token" is `<|begin_of_text|>`, "bos_token_id" says `<A>`: texts begin with the first',
        'the tokenizer\'s "eos_token" is `<|im_end|>`, "eos_token_id" says `<A>`, `<B>`: texts and answers without an '
        "end of their own end with the first, and all of them end an answer",
    )


def test_ends_that_llama_cpp_knows_by_spelling_need_no_place(tmp_path: Path) -> None:
    checkpoint = write(tmp_path / "a")
    names = ["<|eot_id|>", "<|eom_id|>", "<|endoftext|>", "<A>"]
    edit(checkpoint / "config.json", eos_token_id=with_spare(checkpoint, names))
    assert ends_of(convert(str(checkpoint)).path) >= {"<|im_end|>", *names}


@pytest.mark.parametrize("template", [CHAT_TEMPLATE, None])
def test_more_ends_than_llama_cpp_has_places_for_are_refused(template: str | None, tmp_path: Path) -> None:
    checkpoint = write(tmp_path / "a")
    edit(checkpoint / "tokenizer_config.json", chat_template=template)
    ids = with_spare(checkpoint, ["<A>", "<B>", "<C>"])
    edit(checkpoint / "config.json", eos_token_id=ids)
    with pytest.raises(
        ModelError, match=r"has 4 tokens that end an answer, more than llama.cpp has places for: `<|im_end"
    ):
        read(checkpoint)


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        (
            "config.json",
            {"eos_token_id": "2"},
            '"eos_token_id" in `.*`; a token\'s number, or a list of them, is needed',
        ),
        ("config.json", {"eos_token_id": [2, None]}, '"eos_token_id" in `'),
        ("config.json", {"eos_token_id": True}, '"eos_token_id" in `'),
        ("config.json", {"bos_token_id": [1]}, '"bos_token_id" in `.*`; a token\'s number is needed'),
        ("config.json", {"pad_token_id": 1.5}, '"pad_token_id" in `'),
        ("generation_config.json", {"pad_token_id": "x"}, "generation_config.json` is `'x'`"),
        ("tokenizer_config.json", {"eos_token": 5}, '"eos_token" in `.*` is `5`; a token\'s text'),
        ("tokenizer_config.json", {"pad_token": {"text": "x"}}, '"pad_token" in `'),
        ("tokenizer_config.json", {"additional_special_tokens": [None]}, '"additional_special_tokens" in `'),
        ("special_tokens_map.json", {"bos_token": []}, '"bos_token" in `.*special_tokens_map.json` is `.*`'),
    ],
)
def test_what_is_no_token_is_refused_by_name(file: str, changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    checkpoint = write(tmp_path / "a")
    edit(checkpoint / file, **changes)
    with pytest.raises(ModelError, match=message):
        read(checkpoint)


@pytest.mark.parametrize("pad", [-1, -100, 10**6])
def test_a_pad_token_that_is_none(pad: int, tmp_path: Path) -> None:
    vocabulary = read(write(tmp_path / "a", pad_token_id=pad))
    assert "pad" not in vocabulary.special_ids
    assert len(vocabulary.warnings) == (pad > 0)


def test_names_that_the_vocabulary_lacks_are_said(tmp_path: Path) -> None:
    checkpoint = write(tmp_path / "a")
    edit(checkpoint / "tokenizer_config.json", eos_token="</s>")
    vocabulary = read(checkpoint)
    assert texts(vocabulary)["eos"] == "<|im_end|>"
    assert vocabulary.warnings == ('the tokenizer\'s "eos_token" `</s>` is no token of the model and is left out',)


@pytest.mark.parametrize("vocabulary", ["sentencepiece", "fallback"])
@pytest.mark.parametrize("plain", [{"<s>": 1, "</s>": 2}, {"<unk>": 0, "<s>": 1}, {"</s>": 2, "<user>": 300}])
def test_added_tokens_that_repeat_control_tokens_leave_them_so(
    vocabulary: str, plain: dict[str, int], tmp_path: Path
) -> None:
    """A typed `<s>` became the real BOS: old checkpoints list all special tokens in added_tokens.json."""
    checkpoint = write(tmp_path / "a", vocabulary)
    (checkpoint / "added_tokens.json").write_text(json.dumps(plain))
    kinds = [int(kind) for kind in read(checkpoint).types]
    assert (kinds[1], kinds[2]) == (CONTROL, CONTROL)
    assert kinds[300] == (USER_DEFINED if "<user>" in plain else 1)
    tokenizer = Tokenizer(convert(str(checkpoint)).path)
    typed = tokenizer.encode_spans([Span("a <s></s> b", False)])
    tokenizer.close()
    assert not {1, 2} & set(typed)


@pytest.mark.parametrize(
    "where", ["additional_special_tokens", "extra_special_tokens", "image_token", "eos_token", "map"]
)
@pytest.mark.parametrize("vocabulary", ["sentencepiece", "fallback", "llama3"])
def test_tokens_that_are_called_special_are_given_by_no_text(where: str, vocabulary: str, tmp_path: Path) -> None:
    """They are, in transformers; only the flag in the list of added tokens was looked at."""
    checkpoint = write(tmp_path / "a", vocabulary)
    n = read_hparams(checkpoint).n_vocab
    (checkpoint / "added_tokens.json").write_text(json.dumps({"[X]": n - 1}))
    value = ["[X]"] if where.endswith("s") else "[X]"
    if where == "map":
        edit(checkpoint / "special_tokens_map.json", eos_token={"content": "[X]", "lstrip": False})
    else:
        edit(checkpoint / "tokenizer_config.json", **{where: value})
    made = read(checkpoint)
    assert (made.tokens[n - 1], int(made.types[n - 1])) == ("[X]", CONTROL)
    assert (texts(made)["eos"] == "[X]") is (where in ("eos_token", "map"))


def test_white_space_that_a_token_takes_along_is_said(tmp_path: Path) -> None:
    checkpoint = write(tmp_path / "a")
    decoder = {"455": {"content": "<x>", "special": True, "rstrip": True}}
    edit(checkpoint / "tokenizer_config.json", added_tokens_decoder=decoder)
    (warning,) = read(checkpoint).warnings
    assert warning.startswith("the tokenizer takes the white space around `<x>` along")


@pytest.mark.parametrize(
    ("vocabulary", "stated", "kind", "expected"),
    [
        ("sentencepiece", False, None, False),
        ("sentencepiece", True, "LlamaTokenizer", True),
        ("fallback", False, "LlamaTokenizer", False),
        ("fallback", False, "PreTrainedTokenizerFast", None),
        ("fallback", None, "PreTrainedTokenizerFast", True),
        ("llama3", True, "PreTrainedTokenizerFast", ...),
        ("llama3", True, "GPT2Tokenizer", None),
        ("llama3", False, "GPT2Tokenizer", ...),
    ],
)
def test_the_space_in_front(
    vocabulary: str, stated: bool | None, kind: str | None, expected: Any, tmp_path: Path
) -> None:
    """`add_prefix_space` was not looked at; None: what transformers and llama.cpp's converter differ in is refused."""
    checkpoint = write(tmp_path / "a", vocabulary)
    edit(checkpoint / "tokenizer_config.json", add_prefix_space=stated, tokenizer_class=kind)
    if expected is None:
        with pytest.raises(ModelError, match=f'"add_prefix_space" in .* is `{stated}`'):
            read(checkpoint)
    else:
        assert read(checkpoint).add_space_prefix is (None if expected is ... else expected)


@pytest.mark.parametrize(
    ("single", "message"),
    [
        (["<|im_start|>", None], "puts `<|im_start|>` around a text, and its BOS is `<|begin_of_text|>`"),
        ([None, "<|im_start|>"], "puts `<|im_start|>` around a text, and its EOS is `<|im_end|>`"),
        (["<|im_start|>", "<|begin_of_text|>", None], "puts 2 tokens before a text and 0 behind it"),
        ([None, "<|im_end|>", "<|im_end|>"], "puts 0 tokens before a text and 2 behind it"),
    ],
)
def test_texts_that_begin_or_end_otherwise_are_refused(single: list[str | None], message: str, tmp_path: Path) -> None:
    checkpoint = write(tmp_path / "a")
    entries = [{"SpecialToken": {"id": text}} if text else {"Sequence": {"id": "A"}} for text in single]
    edit(checkpoint / "tokenizer.json", post_processor={"type": "TemplateProcessing", "single": entries})
    with pytest.raises(ModelError) as caught:
        read(checkpoint)
    assert message in caught.value.message


def test_the_templates_own_file_wins_over_tokenizer_config(tmp_path: Path) -> None:
    # as in transformers; tokenizer_config.json's won, as in llama.cpp's converter
    checkpoint = write(tmp_path / "a")
    (checkpoint / "chat_template.json").write_text(json.dumps({"chat_template": "older"}))
    assert read(checkpoint).chat_template == CHAT_TEMPLATE
    (checkpoint / "chat_template.jinja").write_text("own", encoding="utf-8")
    assert read(checkpoint).chat_template == "own"
    (checkpoint / "chat_template.jinja").unlink()
    edit(checkpoint / "tokenizer_config.json", chat_template=None)
    assert read(checkpoint).chat_template == "older"


def test_a_list_of_templates_without_a_default_is_said(tmp_path: Path) -> None:
    checkpoint = write(tmp_path / "a")
    named = [{"name": name, "template": "<|im_end|>"} for name in ("tool_use", "rag")]
    edit(checkpoint / "tokenizer_config.json", chat_template=named)
    result = convert(str(checkpoint))
    assert result.warnings == (
        "the chat templates of tokenizer_config.json are `tool_use`, `rag`, and none is called `default`: none is "
        "used; write the one that you want to a file and name it with --template",
    )
    edit(checkpoint / "tokenizer_config.json", chat_template=[*named, {"name": "default", "template": "x"}])
    assert convert(str(checkpoint)).warnings == ()


def test_every_named_token_reaches_the_template(tmp_path: Path) -> None:
    """`pad_token` and `unk_token` printed nothing, transformers prints them."""
    checkpoint = write(tmp_path / "a")
    with_spare(checkpoint, ["<unk>", "<pad>", "<sep>", "<mask>"])
    names = {name: f"<{name.removesuffix('_token')}>" for name in ("unk_token", "pad_token", "sep_token", "mask_token")}
    edit(checkpoint / "tokenizer_config.json", **names)
    tokenizer = Tokenizer(convert(str(checkpoint)).path)
    assert tokenizer.template_tokens() == {"bos_token": "<|begin_of_text|>", "eos_token": "<|im_end|>", **names}
    tokenizer.close()
