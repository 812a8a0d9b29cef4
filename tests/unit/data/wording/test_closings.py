"""An answer is learned with its whole closing, trimmed as the template trims it, and may stand first."""

from __future__ import annotations

import re

import chat_templates as ct
import pytest
import vocabs
import worded

from localft.data.rows.row import Message
from localft.data.wording.chat_template import RenderError
from localft.data.wording.template import formatter
from localft.model.tokenizer import Tokenizer

ASKED, ANSWER = Message("user", "the thing"), Message("assistant", "an answer")
TALK = [ASKED, ANSWER, Message("user", "why"), Message("assistant", " so\n")]
GREETED = [Message("assistant", "hello"), ASKED, ANSWER]


@pytest.fixture(scope="module")
def bpe(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return vocabs.bpe(tmp_path_factory.mktemp("bpe"))


@pytest.fixture(scope="module")
def marks(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return vocabs.bpe(tmp_path_factory.mktemp("marks"), controls=ct.MARK_TOKENS, eos="<|END_OF_TURN|>")


@pytest.fixture(scope="module")
def channels(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return vocabs.bpe(tmp_path_factory.mktemp("channels"), controls=ct.CHANNEL_TOKENS, eos="<|return|>")


# The marks were lost, or the model's EOS was put in front of them.
@pytest.mark.parametrize(
    ("source", "opening", "closing"),
    [
        (ct.MARKS, "<|START_RESPONSE|>", "<|END_RESPONSE|><|END_OF_TURN|>"),
        (ct.WORDED_MARKS, "<|START_RESPONSE|>", "<|close|>response<|sep|><|END_OF_TURN|>"),
        (ct.MARKS.replace("<|END_RESPONSE|>", "\n---\n"), "<|START_RESPONSE|>", "\n---\n<|END_OF_TURN|>"),
        (ct.OTHER_PROMPT, "<|think|><|end_think|><|START_RESPONSE|>", "<|END_RESPONSE|><|END_OF_TURN|>"),
    ],
)
def test_the_whole_closing_is_learned(marks: Tokenizer, source: str, opening: str, closing: str) -> None:
    first, second = f"<|turn|>userthe thing<|END_OF_TURN|><|turn|>assistant{opening}", "why<|END_OF_TURN|><|turn|>"
    answers = [text for row in worded.rows(source, marks, TALK) for mask, text in row if mask]
    assert answers == [f"an answer{closing}", f"so{closing}"]
    row = worded.rows(source, marks, TALK[:2])
    assert row == [[(0, first), (1, f"an answer{closing}")]]
    assert worded.prompt(source, marks, TALK[:3]).endswith(f"{second}assistant{opening}")
    made = formatter(worded.chat(source), marks)
    made.rows(TALK)
    assert not made.adds_end


def test_eos_follows_a_closing_that_has_no_end_token(marks: Tokenizer) -> None:
    """Marks of the template's own, at none of which chat stops."""
    made = formatter(worded.chat(ct.MARKS_ONLY), marks)
    made.rows(TALK)
    assert made.adds_end
    (row,) = worded.rows(ct.MARKS_ONLY, marks, TALK)
    closing = "<|END_RESPONSE|><|END_OF_TURN|>"
    assert [text for mask, text in row if mask] == [f"an answer{closing}", f"so{closing}"]
    before = "".join(text for _, text in row[:-1])
    assert before == worded.prompt(ct.MARKS_ONLY, marks, TALK[:3])


def test_a_template_that_always_opens_the_next_answer_gets_eos_behind_the_content(bpe: Tokenizer) -> None:
    source = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:"
    ((_, learned),) = worded.last_answers(source, bpe, TALK[:2])
    assert learned.endswith("an answer</s>")


def test_the_last_answers_own_end_is_the_one_that_is_learned(channels: Tokenizer) -> None:
    found = worded.last_answers(ct.CHANNELS, channels, TALK)
    assert [learned for _, learned in found] == ["an answer<|return|>", " so\n<|return|>"]
    assert "an answer<|stop|><|begin|>user" in found[1][0]


def test_a_long_conversation_closes_as_a_short_one(marks: Tokenizer, channels: Tokenizer) -> None:
    long = [m for i in range(30) for m in (Message("user", f"q{i}"), Message("assistant", f" a{i} "))]
    for source in (ct.MARKS, ct.WORDED_MARKS, ct.MARKS_ONLY):
        closing = worded.rows(source, marks, TALK[:2])[0][-1][1].removeprefix("an answer")
        (row,) = worded.rows(source, marks, long)
        assert [text for mask, text in row if mask] == [f"a{i}{closing}" for i in range(30)]
    assert len(worded.rows(ct.CHANNELS, channels, long)) == 30


TRIMS = ["trim", "rstrip", "lstrip", "strip('\n')", "rstrip('\n')"]


@pytest.mark.parametrize("trim", TRIMS)
@pytest.mark.parametrize("content", [" so \n", "\n\nso", "so\n", "\n so \n\n"])
def test_white_space_that_is_trimmed_is_not_learned_in_rows_of_one_answer_either(
    bpe: Tokenizer, trim: str, content: str
) -> None:
    how = "m.content | trim" if trim == "trim" else f"m.content.{trim}" + ("" if "(" in trim else "()")
    inner = ct.DROPS_EARLIER.replace("m.content if loop.last", f"({how}) if loop.last")
    kept = {"trim": str.strip, "rstrip": str.rstrip, "lstrip": str.lstrip}.get(trim)
    kept = kept or (lambda text: text.strip("\n") if trim.startswith("strip") else text.rstrip("\n"))
    for talk in (TALK[:1], TALK[:3]):
        found = worded.last_answers(inner, bpe, [*talk, Message("assistant", content)])
        assert len(found) == (len(talk) + 1) // 2
        assert found[-1][1] == f"{kept(content)}<|im_end|>"


# "list object has no element 0" was all that was said.
@pytest.mark.parametrize(
    "looks",
    [
        ct.LOOKS,
        "{{ bos_token }}{% if messages[0].role == 'system' %}!{% endif %}",
        "{% if messages[-1]['role'] == 'user' %}{% endif %}{{ messages[0]['role'][:0] }}",
        "{% if not messages %}{{ raise_exception('no messages') }}{% endif %}",
    ],
)
def test_a_conversation_may_begin_with_the_assistant(bpe: Tokenizer, looks: str) -> None:
    begins = "<s>" if "bos_token" in looks else ""
    expected = [
        (0, f"{begins}<|im_start|>assistant\n"),
        (1, "hello<|im_end|>"),
        (0, "\n<|im_start|>user\nthe thing<|im_end|>\n<|im_start|>assistant\n"),
        (1, "an answer<|im_end|>"),
    ]
    assert worded.rows(looks + vocabs.CHATML, bpe, GREETED) == [expected]
    assert worded.prompt(looks + vocabs.CHATML, bpe, GREETED[:2]) == "".join(text for _, text in expected[:3])


def test_it_is_learned_as_by_other_templates_where_each_answer_has_a_row(bpe: Tokenizer) -> None:
    source = ct.DROPS_EARLIER.replace("<think>\n", "<think>")
    first, second = worded.rows(ct.LOOKS + source, bpe, GREETED)
    assert first == [(0, "<s><|im_start|>assistant\n"), (1, "hello<|im_end|>")]
    assert second[-1] == (1, "an answer<|im_end|>")


def test_a_long_conversation_may_begin_with_the_assistant(bpe: Tokenizer) -> None:
    talk = [m for i in range(30) for m in (Message("assistant", f"a{i}"), Message("user", f"q{i}"))]
    (row,) = worded.rows(ct.LOOKS + vocabs.CHATML, bpe, talk)
    assert [text for mask, text in row if mask] == [f"a{i}<|im_end|>" for i in range(30)]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{{ messages[9].content }}", "list object has no element 9"),
        ("{% for t in tools %}{% endfor %}", "'NoneType' object is not iterable"),
        ("{{ functions.x }}", "'functions' is undefined"),
        ("{{ messages[0].content + 1 }}", "concatenate"),
    ],
)
def test_messages_of_jinja_are_never_the_whole_error(bpe: Tokenizer, source: str, said: str) -> None:
    with pytest.raises(RenderError) as caught:
        worded.rows(source + vocabs.CHATML, bpe, TALK)
    assert re.match(rf'it fails on these messages \(".*{said}', str(caught.value))
    assert "system messages" not in caught.value.hint
    assert "another template" in caught.value.hint


def test_what_a_template_says_itself_is_kept(bpe: Tokenizer) -> None:
    with pytest.raises(RenderError, match=r"^roles must alternate$") as caught:
        worded.rows("{{ raise_exception('roles must alternate') }}", bpe, TALK)
    assert "take turns" in caught.value.hint
