"""Law 11: what is supervised, exactly; and a training row's prompt is the prompt that chat gives, to the id."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import pytest
import vocabs
from hypothesis import given, settings
from hypothesis import strategies as st

from localft.data.rows.row import Message
from localft.data.tokens import tokenize
from localft.data.tokens.prompt import prompt_ids
from localft.data.wording.chat_template import ChatTemplate, RenderError
from localft.data.wording.segments import Segment
from localft.data.wording.template import BUILT_IN, TemplateInfo, choose_templates, formatter
from localft.errors import ConfigError, ModelError
from localft.model.tokenizer import Tokenizer

DATE = "2025-03-04"
TALK = [Message("user", "the thing"), Message("assistant", "an answer")]
LONG_TALK = [
    Message("system", "be the"),
    *TALK,
    Message("user", "and then</s>"),
    Message("assistant", "hello <|im_end|> the end"),
]


class Tokens(NamedTuple):
    """`tokenize.Tokens` as lists."""

    ids: list[int]
    mask: list[int]


def encode(segments: Sequence[Segment], tokenizer: Tokenizer) -> Tokens:
    made = tokenize.encode(segments, tokenizer)
    return Tokens(made.ids.tolist(), list(made.mask))


def chat(source: str) -> TemplateInfo:
    return TemplateInfo("chat", source, "model", DATE)


def rows(info: TemplateInfo, tokenizer: Tokenizer, messages: Sequence[Message]) -> list[Tokens]:
    return [encode(segments, tokenizer) for segments in formatter(info, tokenizer).rows(messages)]


def runs(tokens: Tokens) -> list[tuple[int, list[int]]]:
    """Stretches of equal mask, in order."""
    pairs = zip(tokens.mask, tokens.ids, strict=True)
    return [(mask, [id_ for _, id_ in group]) for mask, group in groupby(pairs, key=lambda pair: pair[0])]


def written(tokenizer: Tokenizer, tokens: Tokens) -> list[tuple[int, str]]:
    return [(mask, tokenizer.decode(ids, special=True)) for mask, ids in runs(tokens)]


@pytest.fixture(scope="module")
def bpe(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return vocabs.bpe(tmp_path_factory.mktemp("bpe"))


@pytest.fixture(scope="module")
def spm(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return vocabs.spm(tmp_path_factory.mktemp("spm"))


def test_chatml(bpe: Tokenizer) -> None:
    (row,) = rows(chat(vocabs.CHATML), bpe, LONG_TALK)
    assert written(bpe, row) == [
        (0, "<|im_start|>system\nbe the<|im_end|>\n<|im_start|>user\nthe thing<|im_end|>\n<|im_start|>assistant\n"),
        (1, "an answer<|im_end|>"),
        (0, "\n<|im_start|>user\nand then</s><|im_end|>\n<|im_start|>assistant\n"),
        (1, "hello <|im_end|> the end<|im_end|>"),
    ]
    start, end = bpe.n_vocab - 3, bpe.n_vocab - 2
    assert [row.ids.count(token) for token in (start, end, bpe.bos_id, bpe.eos_id)] == [5, 5, 0, 0]


def test_llama_2(spm: Tokenizer) -> None:
    (row,) = rows(chat(vocabs.LLAMA_2), spm, LONG_TALK)
    assert written(spm, row) == [
        (0, "<s> [INST] <<SYS>>\nbe the\n<</SYS>>\n\nthe thing [/INST]"),
        (1, " an answer </s>"),
        (0, "<s> [INST] and then</s> [/INST]"),
        (1, " hello <|im_end|> the end </s>"),
    ]
    assert [row.ids.count(token) for token in (1, 2, spm.n_vocab - 2)] == [2, 2, 0]


def test_zephyr_gets_the_bos_that_its_template_does_not_print(spm: Tokenizer) -> None:
    (row,) = rows(chat(vocabs.ZEPHYR), spm, TALK)
    assert written(spm, row) == [(0, "<s> <|user|>\nthe thing</s> \n<|assistant|>\n"), (1, "an answer</s>")]


def test_the_template_is_followed_where_it_trims(bpe: Tokenizer) -> None:
    messages = [Message("user", "  the thing\n"), Message("assistant", "\nan answer  ")]
    (row,) = rows(chat(vocabs.TODAY), bpe, messages)
    assert written(bpe, row) == [
        (0, "<s>Today is 04 Mar 2025.\n<|im_start|>user\nthe thing<|im_end|><|im_start|>assistant\n"),
        (1, "an answer<|im_end|>"),
    ]


def test_a_template_without_an_end_token_gets_the_models_eos(bpe: Tokenizer) -> None:
    made = formatter(chat(vocabs.NO_END), bpe)
    (row,) = (encode(segments, bpe) for segments in made.rows(LONG_TALK))
    assert made.adds_end
    assert written(bpe, row) == [
        (0, "SYSTEM: be the\nUSER: the thing\nASSISTANT:"),
        (1, " an answer</s>"),
        (0, "\nUSER: and then</s>\nASSISTANT:"),
        (1, " hello <|im_end|> the end</s>"),
    ]
    assert row.ids.count(2) == 2


def test_a_header_that_no_generation_prompt_prints_belongs_to_the_prompt(bpe: Tokenizer) -> None:
    (row,) = rows(chat(vocabs.NO_GENERATION_PROMPT), bpe, TALK)
    assert written(bpe, row) == [
        (0, "<|im_start|>user\nthe thing<|im_end|>\n<|im_start|>assistant\n"),
        (1, "an answer<|im_end|>"),
    ]


def test_a_template_that_rewords_earlier_turns_gives_a_row_for_each_answer(bpe: Tokenizer) -> None:
    messages = [*TALK, Message("user", "why"), Message("assistant", "so</think>because")]
    first, second = rows(chat(vocabs.THINKING), bpe, messages)
    opening = "<|im_start|>user\nthe thing<|im_end|>\n<|im_start|>assistant\n"
    assert written(bpe, first) == [(0, f"{opening}<think>\n"), (1, "an answer<|im_end|>")]
    assert written(bpe, second) == [
        (0, f"{opening}an answer<|im_end|>\n<|im_start|>user\nwhy<|im_end|>\n<|im_start|>assistant\n<think>\n"),
        (1, "so</think>because<|im_end|>"),
    ]


def test_train_on_prompt_learns_every_turn_once_where_a_template_rewords_earlier_ones(bpe: Tokenizer) -> None:
    messages = [*TALK, Message("user", "why"), Message("assistant", "so</think>because")]
    segments = formatter(chat(vocabs.THINKING), bpe).rows(messages, train_on_prompt=True)
    first, second = (encode(each, bpe) for each in segments)
    opening = "<|im_start|>user\nthe thing<|im_end|>\n<|im_start|>assistant\n"
    assert written(bpe, first) == [(0, "<|im_start|>"), (1, f"{opening[12:]}<think>\nan answer<|im_end|>")]
    again = "\n<|im_start|>user\nwhy<|im_end|>\n<|im_start|>assistant\n<think>\n"
    assert written(bpe, second) == [
        (0, f"{opening}an answer<|im_end|>"),
        (1, f"{again}so</think>because<|im_end|>"),
    ]


def test_a_template_that_rewrites_contents_is_refused(bpe: Tokenizer) -> None:
    with pytest.raises(RenderError, match="rewrites a message"):
        rows(chat(vocabs.SHOUTING), bpe, TALK)


def test_a_template_that_leaves_a_message_out_is_refused(bpe: Tokenizer) -> None:
    source = vocabs.CHATML.replace("for message in messages", "for message in messages if message.role != 'system'")
    with pytest.raises(RenderError, match="leaves it out"):
        rows(chat(source), bpe, LONG_TALK)


def test_what_follows_the_last_answer_is_left_out(bpe: Tokenizer) -> None:
    assert rows(chat(vocabs.CHATML), bpe, [*TALK, Message("user", "more")]) == rows(chat(vocabs.CHATML), bpe, TALK)


@pytest.mark.parametrize("kind", ["spm", "bpe"])
@pytest.mark.parametrize("add_bos", [True, False])
@pytest.mark.parametrize("printed", ["", "{{ bos_token }}", "{{ bos_token }}{{ bos_token }}"])
def test_bos_stands_once_where_the_model_wants_one(tmp_path: Path, kind: str, add_bos: bool, printed: str) -> None:
    tokenizer: Tokenizer = getattr(vocabs, kind)(tmp_path, add_bos=add_bos)
    (row,) = rows(chat(printed + vocabs.CHATML), tokenizer, TALK)
    assert row.ids.count(1) == int(add_bos or bool(printed))
    assert row.mask[0] == 0


# Alpaca's wording as published: https://github.com/tatsu-lab/stanford_alpaca, train.py, PROMPT_DICT
def test_alpaca_wording(bpe: Tokenizer) -> None:
    info = choose_templates(bpe)["alpaca"]
    (row,) = rows(info, bpe, [Message("user", "Add."), Message("assistant", "3")])
    preamble = "Below is an instruction that describes a task"
    ask = "Write a response that appropriately completes the request.\n\n### Instruction:\nAdd.\n\n"
    assert written(bpe, row) == [(0, f"{preamble}. {ask}### Response:"), (1, "3</s>")]
    (row,) = rows(info, bpe, [Message("user", "Add.", "1 2"), Message("assistant", "3")])
    paired = f"{preamble}, paired with an input that provides further context. {ask}"
    assert written(bpe, row) == [(0, f"{paired}### Input:\n1 2\n\n### Response:"), (1, "3</s>")]


def test_an_alpaca_input_goes_into_the_users_message_of_a_chat_template(bpe: Tokenizer) -> None:
    (row,) = rows(chat(vocabs.CHATML), bpe, [Message("user", "Add.", "1 2"), Message("assistant", "3")])
    assert written(bpe, row)[0] == (0, "<|im_start|>user\nAdd.\n\n1 2<|im_end|>\n<|im_start|>assistant\n")


def test_an_alpaca_input_goes_into_plain_lines_too(bpe: Tokenizer) -> None:
    """It was left out of them without a word."""
    info = choose_templates(bpe, "messages")["alpaca"]
    (row,) = rows(info, bpe, [Message("user", "Add.", "1 2"), Message("assistant", "3")])
    assert written(bpe, row)[0] == (0, "User: Add.\n\n1 2\nAssistant:")


def test_completion_is_prompt_then_completion_then_eos(spm: Tokenizer) -> None:
    info = choose_templates(spm)["completion"]
    (row,) = rows(info, spm, [Message("user", "the</s>"), Message("assistant", "the")])
    assert row.ids == [1, *spm.encode("the</s>"), *spm.encode("the", prefix=False), 2]
    assert written(spm, row)[1] == (1, "the</s>")


def test_messages_without_a_chat_template(spm: Tokenizer) -> None:
    (row,) = rows(choose_templates(spm)["messages"], spm, LONG_TALK)
    assert written(spm, row) == [
        (0, "<s> be the\n\nUser: the thing\nAssistant:"),
        (1, " an answer</s>"),
        (0, " \nUser: and then</s>\nAssistant:"),
        (1, " hello <|im_end|> the end</s>"),
    ]


def test_raw_text_is_continued_as_it_stands(spm: Tokenizer) -> None:
    info = choose_templates(spm)["text"]
    assert info.kind == "raw"
    assert prompt_ids(info, spm, "ROMEO:") == [1, *spm.encode("ROMEO:")]


SCRAPS = [
    "the",
    " ",
    "\n",
    "</s>",
    "<s>",
    "<|im_end|>",
    "<|im_start|>user\n",
    "é🙂",
    "s>",
    "<think>",
    "[/INST]",
    "\ue000",
]
contents = st.lists(st.sampled_from(SCRAPS), min_size=1, max_size=5).map("".join).map(lambda text: f"x{text}x")
INFOS = {**{name: chat(source) for name, source in vocabs.TEMPLATES.items()}}
INFOS |= {kind: TemplateInfo(kind, BUILT_IN[kind], "built-in", DATE) for kind in ("alpaca", "completion", "messages")}


@pytest.mark.parametrize("name", INFOS)
@pytest.mark.parametrize("vocabulary", ["spm", "bpe"])
@given(turns=st.lists(st.tuples(contents, contents), min_size=1, max_size=3))
@settings(max_examples=12, deadline=None, derandomize=True)
def test_every_answer_once_behind_the_prompt_of_chat(
    request: pytest.FixtureRequest, vocabulary: str, name: str, turns: list[tuple[str, str]]
) -> None:
    tokenizer: Tokenizer = request.getfixturevalue(vocabulary)
    messages = [m for q, a in turns for m in (Message("user", q), Message("assistant", a))]
    plain = [Message(m.role, "xthex") for m in messages]
    (row,) = rows(INFOS[name], tokenizer, messages)
    answers = [ids for mask, ids in runs(row) if mask]
    assert len(answers) == len(turns)
    for (_, answer), ids in zip(turns, answers, strict=True):
        assert tokenizer.decode(ids[:-1]).strip() == tokenizer.decode(tokenizer.encode(answer, prefix=False)).strip()
        assert ids[-1] in tokenizer.end_ids
    at = 0
    for i, (ids, message) in enumerate(zip([ids for _, ids in runs(row)], messages, strict=True)):
        if message.role == "assistant":
            assert prompt_ids(INFOS[name], tokenizer, messages[:i]) == row.ids[:at]
        at += len(ids)
    (reference,) = rows(INFOS[name], tokenizer, plain)
    special = {token for token in reference.ids if tokenizer.piece(token, special=False) == b""} | {0, 1, 2}
    assert [t for t in row.ids if t in special] == [t for t in reference.ids if t in special]


@given(words=st.lists(st.sampled_from(["the", "an", "hello", "thing"]), min_size=1, max_size=4).map(" ".join))
@settings(max_examples=10, deadline=None, derandomize=True)
@pytest.mark.parametrize("name", ["chatml", "llama-2", "zephyr"])
@pytest.mark.parametrize("vocabulary", ["spm", "bpe"])
def test_a_row_is_what_llama_cpp_makes_of_the_whole_string(
    request: pytest.FixtureRequest, vocabulary: str, name: str, words: str
) -> None:
    tokenizer: Tokenizer = request.getfixturevalue(vocabulary)
    messages = [
        Message("user", words),
        Message("assistant", words),
        Message("user", "why"),
        Message("assistant", words),
    ]
    (row,) = rows(INFOS[name], tokenizer, messages)
    text = ChatTemplate(vocabs.TEMPLATES[name], {"bos_token": "<s>", "eos_token": "</s>"}, DATE).render(
        [{"role": m.role, "content": m.content} for m in messages], generation_prompt=False
    )
    whole = tokenizer.encode(text, special=True)
    if tokenizer.add_bos and whole[0] != 1:
        whole.insert(0, 1)
    assert whole[: len(row.ids)] == row.ids


def test_info_survives_json(bpe: Tokenizer) -> None:
    for info in choose_templates(bpe, today=DATE).values():
        assert TemplateInfo.from_dict(info.to_dict()) == info
    for damaged in ({}, {**chat("x").to_dict(), "kind": "other"}, {**chat("x").to_dict(), "date": "yesterday"}):
        with pytest.raises(ModelError):
            TemplateInfo.from_dict(damaged)


def test_choice_of_templates(tmp_path: Path, bpe: Tokenizer) -> None:
    with_template = vocabs.bpe(tmp_path, template=vocabs.CHATML)
    kinds: Callable[[dict[object, TemplateInfo]], list[str]] = lambda chosen: [info.kind for info in chosen.values()]  # noqa: E731
    assert kinds(choose_templates(with_template)) == ["raw", "chat", "chat", "chat"]
    assert kinds(choose_templates(bpe)) == ["raw", "completion", "alpaca", "messages"]
    assert kinds(choose_templates(with_template, raw=True)) == ["raw"] + ["completion"] * 3
    assert kinds(choose_templates(with_template, "alpaca")) == ["raw"] + ["alpaca"] * 3
    (tmp_path / "t.jinja").write_text(vocabs.ZEPHYR)
    chosen = choose_templates(bpe, str(tmp_path / "t.jinja"))["messages"]
    assert (chosen.kind, chosen.source, chosen.origin) == ("chat", vocabs.ZEPHYR, str(tmp_path / "t.jinja"))
    with pytest.raises(ConfigError, match="neither a kind of template nor a file"):
        choose_templates(bpe, "alpacka")
    with pytest.raises(ConfigError, match="no chat template"):
        choose_templates(bpe, "chat")


def test_what_a_template_may_use(bpe: Tokenizer) -> None:
    source = (
        "{% for m in messages %}\n  {% if m.role == 'system' %}{% continue %}{% endif %}\n"
        "{% generation %}{{ m.content | tojson }}{% endgeneration %}{% break %}{% endfor %}{{ eos_token }}"
    )
    template = ChatTemplate(source, {"eos_token": "</s>"}, DATE)
    messages = [
        {"role": "system", "content": "a"},
        {"role": "user", "content": "<é>'"},
        {"role": "user", "content": "b"},
    ]
    assert template.render(messages, generation_prompt=False) == '"<é>\'"</s>'


@pytest.mark.parametrize(
    "source",
    [
        "{{ raise_exception('no') }}",
        "{{ messages[0].content.__class__.__mro__ }}",
        "{{ messages.append(1) }}",
        "{{ 1 / 0 }}",
        "{% for i in range(10**9) %}{% endfor %}",
    ],
)
def test_a_template_that_fails_or_reaches_out_is_refused(bpe: Tokenizer, source: str) -> None:
    with pytest.raises(RenderError):
        rows(chat(source + vocabs.CHATML), bpe, TALK)
    with pytest.raises(ModelError, match="refuses this conversation"):
        prompt_ids(chat(source + vocabs.CHATML), bpe, "hi")


def test_a_template_that_is_not_jinja_is_a_model_error(bpe: Tokenizer) -> None:
    with pytest.raises(ModelError, match="not valid Jinja: line 1"):
        prompt_ids(chat("{% if %}"), bpe, "hi")
