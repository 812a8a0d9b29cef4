"""Reasoning is learned as the template words it, once, behind the prompt that chat gives; or the row is refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import chat_templates as ct
import pytest
import vocabs
import worded

from localft.data.rows.row import Message
from localft.data.tokens.prompt import prompt_ids
from localft.data.tokens.run_wording import RunWording
from localft.data.tokens.tokenize import encode
from localft.data.wording.chat_template import RenderError
from localft.data.wording.template import TemplateInfo, formatter
from localft.model.tokenizer import Tokenizer

ASKED = Message("user", "the thing")
THOUGHT = "<think>\nso\n</think>\n\nan answer"
OPEN = "<|im_start|>user\nthe thing<|im_end|>\n<|im_start|>assistant\n"
CHANNEL = "<|begin|>user<|msg|>the thing<|stop|><|begin|>assistant"


def answer(content: str, reasoning: str = "", trained: bool = True) -> Message:
    return Message("assistant", content, reasoning=reasoning, trained=trained)


@pytest.fixture(scope="module")
def bpe(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return vocabs.bpe(tmp_path_factory.mktemp("bpe"), controls=ct.CHANNEL_TOKENS)


@pytest.fixture(scope="module")
def channels(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return vocabs.bpe(tmp_path_factory.mktemp("channels"), controls=ct.CHANNEL_TOKENS, eos="<|return|>")


# An answer that carried <think>…</think> was put as it stands behind a prompt that had begun or ended one.
@pytest.mark.parametrize(
    ("name", "prompt", "learned"),
    [
        ("empty block", OPEN, "<think>\nso\n</think>\n\nan answer<|im_end|>"),
        ("empty block, open", f"{OPEN}<think>\n", "so\n</think>\n\nan answer<|im_end|>"),
        ("drops", f"{OPEN}<think>\n", "so\n</think>\n\nan answer<|im_end|>"),
        ("drops earlier", f"{OPEN}<think>\n", "so\n</think>\n\nan answer<|im_end|>"),
        ("by key", f"{OPEN}<think>", "so</think>an answer<|im_end|>"),
        ("own tag", OPEN, "<seed:think>so</seed:think>\nan answer<|im_end|>"),
    ],
)
def test_reasoning_in_the_content_is_begun_once(bpe: Tokenizer, name: str, prompt: str, learned: str) -> None:
    source = ct.THINKING[name]
    assert worded.rows(source, bpe, [ASKED, answer(THOUGHT)]) == [[(0, prompt), (1, learned)]]
    assert worded.prompt(source, bpe, [ASKED], thinking=True) == prompt


def test_reasoning_goes_into_the_templates_channel(channels: Tokenizer) -> None:
    learned = "<|chan|>analysis<|msg|>so<|stop|><|begin|>assistant<|chan|>final<|msg|>an answer<|return|>"
    for given in (answer(THOUGHT), answer("an answer", "so")):
        assert worded.rows(ct.CHANNELS, channels, [ASKED, given]) == [[(0, CHANNEL), (1, learned)]]
    assert worded.prompt(ct.CHANNELS, channels, [ASKED], thinking=True) == CHANNEL
    plain = worded.rows(ct.CHANNELS, channels, [ASKED, answer("an answer")])
    assert plain == [[(0, f"{CHANNEL}<|chan|>final<|msg|>"), (1, "an answer<|return|>")]]


@pytest.mark.parametrize(
    ("content", "learned"),
    [
        ("  <think>so</think>an answer ", "so</think>an answer <|im_end|>"),
        ("so\n</think>\n\nan answer", "so\n</think>\n\nan answer<|im_end|>"),
        ("<think>\n\n</think>\n\nan answer", "\n</think>\n\nan answer<|im_end|>"),
        ("<think>\nso </think> an answer", "so </think> an answer<|im_end|>"),
    ],
)
def test_what_the_prompt_has_written_is_left_out_and_nothing_else(bpe: Tokenizer, content: str, learned: str) -> None:
    (row,) = worded.rows(ct.DROPS, bpe, [ASKED, answer(content)])
    assert row == [(0, f"{OPEN}<think>\n"), (1, learned)]


@pytest.mark.parametrize(
    ("content", "learned"),
    [
        ("<think>so</think>an answer", "<think>\nso\n</think>\n\nan answer<|im_end|>"),
        ("<think>\n\nso\n\n\n</think>an answer", "<think>\nso\n</think>\n\nan answer<|im_end|>"),
        ("so</think>\nan answer", "<think>\nso\n</think>\n\nan answer<|im_end|>"),
    ],
)
def test_a_template_that_words_reasoning_anew_is_followed(bpe: Tokenizer, content: str, learned: str) -> None:
    assert worded.rows(ct.EMPTY_BLOCK, bpe, [ASKED, answer(content)]) == [[(0, OPEN), (1, learned)]]


def test_an_empty_block_is_the_templates_and_not_learned(bpe: Tokenizer) -> None:
    closed = f"{OPEN}<think>\n\n</think>\n\n"
    for content in ("an answer", "<think>\n\n</think>\n\nan answer", "<think></think>an answer"):
        row = worded.rows(ct.EMPTY_BLOCK, bpe, [ASKED, answer(content)])
        assert row == [[(0, closed), (1, "an answer<|im_end|>")]]
    assert worded.prompt(ct.EMPTY_BLOCK, bpe, [ASKED]) == closed


@pytest.mark.parametrize(
    ("source", "learned"),
    [
        (ct.EMPTY_BLOCK, "<think>\nso\n</think>\n\nan answer<|im_end|>"),
        (ct.BY_KEY, "so</think>an answer<|im_end|>"),
        (ct.BY_KEY.replace("reasoning", "thinking"), "so</think>an answer<|im_end|>"),
        (ct.OWN_TAG, "<seed:think>so</seed:think>\nan answer<|im_end|>"),
    ],
)
def test_reasoning_apart_goes_under_the_key_that_the_template_prints(bpe: Tokenizer, source: str, learned: str) -> None:
    (row,) = worded.rows(source, bpe, [ASKED, answer("an answer", "so")])
    assert row[-1] == (1, learned)


@pytest.mark.parametrize("source", [vocabs.CHATML, ct.DROPS, ct.DROPS_EARLIER, ct.CLOSED, vocabs.NO_END])
def test_reasoning_apart_that_is_not_printed_is_refused(bpe: Tokenizer, source: str) -> None:
    with pytest.raises(RenderError, match="does not print the reasoning") as caught:
        worded.rows(source, bpe, [ASKED, answer("an answer", "so")])
    assert "between <think> and </think>" in caught.value.hint


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (ct.CLOSED, "its prompt ends the thinking"),
        (ct.CLOSED.replace("<think></think>{%", "</think>{%"), "its prompt ends the thinking"),
        (vocabs.CHATML.replace("assistant\n' }}", "assistant\n<think>\n\n</think>\n' }}"), "ends the thinking"),
        (ct.NO_REASONING, "no place behind its prompt"),
        (ct.OWN_TAG.replace("{% if add_generation_prompt %}", "{% if add_generation_prompt %}!"), "no place"),
    ],
)
def test_reasoning_without_a_place_is_refused(bpe: Tokenizer, source: str, reason: str) -> None:
    with pytest.raises(RenderError, match=reason) as caught:
        worded.rows(source, bpe, [ASKED, answer(THOUGHT)])
    assert "leave the reasoning out" in caught.value.hint


# Chat ended at the second turn, and rows with reasoning in an earlier answer were refused.
@pytest.mark.parametrize("name", ct.THINKING)
def test_an_earlier_answer_stands_in_a_prompt_as_the_template_words_it(
    bpe: Tokenizer, channels: Tokenizer, name: str
) -> None:
    source, tokenizer = ct.THINKING[name], channels if name == "channels" else bpe
    talk = [ASKED, answer(THOUGHT), Message("user", "why"), answer("so</think>\n\nan end"), Message("user", "and")]
    prompt = worded.prompt(source, tokenizer, talk)
    if name not in ("by key", "channels", "own tag"):
        assert prompt.startswith(worded.rendered(source, talk))
    assert prompt.count("an answer") == prompt.count("an end") == 1
    read = [talk[0], talk[1]._replace(trained=False), talk[2], answer("the end")]
    ((before, learned),) = worded.last_answers(source, tokenizer, read)
    assert before == worded.prompt(source, tokenizer, read[:-1])
    assert learned in ("the end<|im_end|>", "the end<|return|>")


@pytest.mark.parametrize("name", ["empty block", "empty block, open", "drops", "drops earlier"])
def test_reasoning_that_is_dropped_later_gives_a_row_for_each_answer(bpe: Tokenizer, name: str) -> None:
    source = ct.THINKING[name]
    talk = [ASKED, answer(THOUGHT), Message("user", "why"), answer(THOUGHT.replace("so", "hence"))]
    found = worded.last_answers(source, bpe, talk)
    assert [learned.count("</think>") for _, learned in found] == [1, 1]
    assert ["so" in learned and "hence" not in learned for _, learned in found] == [True, False]
    for (before, _), n in zip(found, (1, 3), strict=True):
        assert before == worded.prompt(source, bpe, talk[:n], thinking=True)
        assert before == worded.rendered(source, talk[:n])


@pytest.mark.parametrize("source", [*ct.THINKING.values(), *vocabs.TEMPLATES.values(), ct.SWITCHES])
@pytest.mark.parametrize("think", [False, True])
def test_a_typed_control_token_stays_plain_in_every_turn(bpe: Tokenizer, source: str, think: bool) -> None:
    def control_ids(typed: str) -> list[list[int]]:
        earlier = f"<think>\nso {typed}\n</think>\n\nan answer {typed}" if think else f"an answer {typed}"
        asked = [Message("user", f"the /no_think {typed}{i}") for i in range(3)]
        talk = [asked[0], answer(earlier, trained=False), asked[1], answer(earlier, trained=False), asked[2]]
        made = formatter(worded.chat(source), bpe)
        ways = [made.prompt(talk), *made.rows([*talk, answer(f"so {typed}")])]
        return [worded.control_ids(bpe, encode(segments, bpe).ids.tolist()) for segments in ways]

    for typed in ("<|im_end|>", "</s><s>", "<|im_start|>system\nx<|im_end|>", "<|return|>"):
        assert control_ids(typed) == control_ids("xx")


def test_what_a_template_joins_is_no_control_token_either(bpe: Tokenizer) -> None:
    """It takes a switch out of a message, and what stood around it would be one."""
    talk = [Message("user", "a <|im_/no_thinkend|> b"), answer("an answer")]
    (row,) = formatter(worded.chat(ct.SWITCHES), bpe).rows(talk)
    tokens = encode(row, bpe)
    assert worded.prompt(ct.SWITCHES, bpe, talk[:1]) == worded.rendered(ct.SWITCHES, talk[:1])
    assert tokens.ids.tolist().count(bpe.encode("<|im_end|>", special=True)[0]) == 2
    assert worded.rows(ct.SWITCHES, bpe, talk)[0][-1] == (1, "an answer<|im_end|>")


def test_a_template_that_rewrites_an_answer_is_refused(bpe: Tokenizer) -> None:
    source = vocabs.CHATML.replace("message['content']", "message['content'].replace('a', 'b')")
    with pytest.raises(RenderError, match="rewrites a message") as caught:
        worded.rows(source, bpe, [ASKED, answer("an answer")])
    assert "another template" in caught.value.hint


@pytest.mark.parametrize(
    ("source", "content", "tag"),
    [
        (ct.DROPS, "an answer", "<think>"),
        (ct.DROPS_EARLIER, "an answer", "<think>"),
        (ct.DROPS.replace("<think>", "<|START_THINKING|>"), "an answer", "<|START_THINKING|>"),
        (ct.DROPS, THOUGHT, ""),
        (ct.EMPTY_BLOCK_OPEN, "an answer", ""),
        (ct.BY_KEY, "an answer", ""),
        (vocabs.CHATML, "an answer", ""),
    ],
)
def test_answers_behind_an_open_tag_are_noted(tmp_path: Path, source: str, content: str, tag: str) -> None:
    wording = RunWording(vocabs.bpe(tmp_path, template=source), None, False, worded.DATE, False)
    wording.formatters["messages"].rows([ASKED, answer(content)])
    notes = [note for note in wording.notes(Counter()) if "open tag" in note]
    assert wording.habits.open_tag == tag
    assert [f"`{tag}`" in note for note in notes] == [True] * bool(tag)


def test_chat_lets_the_model_think_where_rows_held_reasoning(tmp_path: Path) -> None:
    tokenizer = vocabs.bpe(tmp_path, template=ct.EMPTY_BLOCK)
    for content, thinking in ((THOUGHT, True), ("an answer", False)):
        wording = RunWording(tokenizer, None, False, worded.DATE, False)
        wording.formatters["messages"].rows([ASKED, answer(content)])
        info = wording.main(Counter(messages=1))
        assert info.thinking is thinking
        assert TemplateInfo.from_dict(info.to_dict()) == info
    old = worded.chat(ct.EMPTY_BLOCK).to_dict()
    del old["thinking"]
    assert TemplateInfo.from_dict(old) == worded.chat(ct.EMPTY_BLOCK)


@pytest.mark.parametrize(("contents", "said"), [([THOUGHT, "an answer"], 1), ([THOUGHT], 0), (["an answer"], 0)])
@pytest.mark.parametrize("source", [ct.EMPTY_BLOCK, ct.EMPTY_BLOCK_OPEN, ct.BY_KEY])
def test_rows_with_and_without_reasoning_are_noted(tmp_path: Path, source: str, contents: list[str], said: int) -> None:
    """Chat writes one prompt, and the template's differ."""
    wording = RunWording(vocabs.bpe(tmp_path, template=source), None, False, worded.DATE, False)
    for content in contents:
        wording.formatters["messages"].rows([ASKED, answer(content)])
    assert sum("some answers hold reasoning" in note for note in wording.notes(Counter())) == said


def test_reasoning_of_a_conversation_that_chat_is_given(bpe: Tokenizer) -> None:
    source = ct.EMPTY_BLOCK.replace("{% if loop.last %}", "{% if r %}")
    talk = [{"role": "user", "content": "the thing"}, {"role": "assistant", "content": "an answer", "reasoning": "so"}]
    ids = prompt_ids(worded.chat(source), bpe, [*talk, {"role": "user", "content": "why"}])
    assert "<think>\nso\n</think>\n\nan answer" in bpe.decode(ids)


def test_an_answer_that_is_only_read_is_not_learned(bpe: Tokenizer) -> None:
    talk = [
        ASKED,
        answer("one", trained=False),
        Message("user", "why"),
        answer("two"),
        ASKED,
        answer("x", trained=False),
    ]
    again = "<|im_end|>\n<|im_start|>user\nwhy<|im_end|>\n<|im_start|>assistant\n"
    assert worded.rows(vocabs.CHATML, bpe, talk) == [[(0, f"{OPEN}one{again}"), (1, "two<|im_end|>")]]
    ((_, first), *rest) = worded.rows(vocabs.CHATML, bpe, talk, train_on_prompt=True)[0][1:]
    assert first == OPEN.removeprefix("<|im_start|>")
    assert rest == [(0, "one<|im_end|>"), (1, f"{again.removeprefix('<|im_end|>')}two<|im_end|>")]
    assert len(worded.rows(ct.DROPS, bpe, talk)) == 1
    assert len(worded.rows(ct.DROPS, bpe, [m._replace(trained=True) for m in talk])) == 3
    with pytest.raises(RenderError, match="no answer in it is to be learned"):
        worded.rows(vocabs.CHATML, bpe, talk[:2])


def test_an_answer_without_end_token_that_is_only_read_gets_the_models_eos_unlearned(bpe: Tokenizer) -> None:
    talk = [ASKED, answer("one", trained=False), Message("user", "why"), answer("two")]
    ((before, learned),) = worded.last_answers(vocabs.NO_END, bpe, talk)
    assert (before, learned) == ("USER: the thing\nASSISTANT: one</s>\nUSER: why\nASSISTANT:", " two</s>")
    assert before == worded.prompt(vocabs.NO_END, bpe, talk[:3])


def test_a_long_conversation_with_answers_that_are_only_read(bpe: Tokenizer) -> None:
    talk = [m for i in range(40) for m in (Message("user", f"q{i}"), answer(f"a{i}", trained=i % 2 == 0))]
    (row,) = worded.rows(vocabs.CHATML, bpe, talk)
    assert [text for mask, text in row if mask] == [f"a{i}<|im_end|>" for i in range(0, 40, 2)]
