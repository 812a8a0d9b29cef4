"""A conversation to segments of text: which is the template's, which the user's, and which is an answer.

A template is rendered twice: with unique placeholders for the contents, which shows where each of them goes, and with
the contents themselves, which must give the same text once the placeholders are filled in. Only then is it known
exactly where an answer begins and ends, and that a `</s>` typed into a message is not the template's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from localft.data.rows.row import Message
from localft.data.wording.bounded.trace import UnsharedError
from localft.data.wording.chat_template import ChatTemplate, RenderError
from localft.data.wording.cuts import Cut, cut_behind, end_token, header_of
from localft.data.wording.long_conversation import Answer, MarkedConversation, follows_prompts
from localft.data.wording.placeholders import PLACEHOLDER, Key, fill, placeholder, split
from localft.model.tokenizer import Span, Tokenizer

_LONG = 16  # answers, from which on a conversation's prefixes are not rendered in full
_MOST_KNOWN = 1 << 24  # characters of renderings with placeholders that are remembered


@dataclass(frozen=True)
class Segment:
    """A stretch that is tokenized by itself.

    Attributes:
        spans: its text.
        supervised: it is an answer, from behind the generation prompt to the end token.
        add_end: the template writes no end token after this answer, so the model's EOS follows.
    """

    spans: tuple[Span, ...]
    supervised: bool
    add_end: bool = False


class Formatter:
    """Messages to segments, by one template; the vocabulary says what is a special token.

    Args:
        template: the wording.
        tokenizer: of the model.
        join_input: an Alpaca instruction's input goes into the user's message, below a blank line.

    Attributes:
        adds_end: an answer got an end token that the template does not write.
    """

    def __init__(self, template: ChatTemplate, tokenizer: Tokenizer, *, join_input: bool = False) -> None:
        self._template = template
        self._tokenizer = tokenizer
        self._join_input = join_input
        self._marked: dict[tuple[object, ...], str] = {}
        self._n_marked = 0
        self._cuts: dict[tuple[object, ...], list[Cut] | None] = {}
        self.adds_end = False

    def prompt(self, messages: Sequence[Message]) -> list[Segment]:
        """The conversation and the opening of the next answer.

        Raises:
            RenderError: the template refuses these messages or rewrites one of them.
        """
        self._template.begin()
        joined = self._joined(messages)
        return self._noted(self._prompt_segments(joined, self._prompt_cuts(joined)))

    def rows(self, messages: Sequence[Message], *, train_on_prompt: bool = False) -> list[list[Segment]]:
        """A conversation with every answer supervised once: the segments of one row, or of one per answer.

        A template may word an earlier turn otherwise than the one that is being answered (it may drop reasoning, say).
        Then no single text holds every answer behind the prompt that chat would give, and each gets a row of its own.
        Messages after the last answer are left out.

        Args:
            messages: the conversation.
            train_on_prompt: supervise prompts too; of a later row what stands behind the answer before it, or all
                of it where that answer cannot be told from the rest.

        Raises:
            RenderError: the template refuses these messages or rewrites one of them.
        """
        self._template.begin()
        joined = self._joined(messages)
        answers = [i for i, message in enumerate(joined) if message.role == "assistant"]
        whole = self._whole_segments(joined[: answers[-1] + 1])
        if whole is not None:
            return [self._noted(_supervised(whole) if train_on_prompt else whole)]
        rows = []
        for number, i in enumerate(answers):
            prompt = _supervised(self._prompt_segments(joined[:i], self._cut_text(joined[:i], True)), False)
            if train_on_prompt:
                n_seen = len(prompt) - 1 if number else 0
                prompt[n_seen:] = _supervised(prompt[n_seen:])
            rows.append(self._noted([*prompt, self._lone_answer(joined, i)]))
        return rows

    def _noted(self, segments: list[Segment]) -> list[Segment]:
        self.adds_end |= self._tokenizer.eos_id is not None and any(segment.add_end for segment in segments)
        return segments

    def _joined(self, messages: Sequence[Message]) -> list[Message]:
        if not self._join_input:
            return list(messages)
        return [Message(m.role, f"{m.content}\n\n{m.input}" if m.input else m.content) for m in messages]

    def _render(self, messages: Sequence[Message], generation_prompt: bool) -> str:
        return self._template.render(_plain(messages), generation_prompt=generation_prompt)

    def _marked_text(self, messages: Sequence[Message], generation_prompt: bool) -> str:
        key = (generation_prompt, *((m.role, bool(m.input)) for m in messages))
        if key not in self._marked:
            text = self._render(_placeholders(messages), generation_prompt)
            self._n_marked += len(text)
            if self._n_marked > _MOST_KNOWN:
                self._marked.clear()
                self._n_marked = len(text)
            self._marked[key] = text
        return self._marked[key]

    def _opening(self, messages: Sequence[Message]) -> tuple[str, str]:
        """The marked text before the next answer, and what of it the template writes with the answer only."""
        text = self._marked_text(messages, True)
        try:
            answered = self._marked_text([*messages, Message("assistant", "")], False)
        except RenderError:
            return text, ""
        header = header_of(text, answered, answered.find(placeholder(len(messages), "content")))
        return text + header, header

    def _cut_text(self, messages: Sequence[Message], generation_prompt: bool) -> list[Cut] | None:
        """Where each answer stands in the marked text; None where one cannot be told apart."""
        key = (generation_prompt, *((m.role, bool(m.input)) for m in messages))
        if key not in self._cuts:
            text = self._marked_text(messages, generation_prompt)
            cuts = [self._cut(messages, text, i) for i, m in enumerate(messages) if m.role == "assistant"]
            found = [cut for cut in cuts if cut is not None]
            self._cuts[key] = found if len(found) == len(cuts) else None
        return self._cuts[key]

    def _prompt_cuts(self, messages: Sequence[Message]) -> list[Cut] | None:
        """Where each answer stands in a prompt, by the short way where the conversation is long."""
        if not _is_long(messages):
            return self._cut_text(messages, True)
        try:
            _, answers = self._long_answers(messages, True)
        except UnsharedError:
            return self._cut_text(messages, True)
        return None if answers is None else [answer.cut for answer in answers]

    def _long_answers(self, messages: Sequence[Message], generation_prompt: bool) -> tuple[str, list[Answer] | None]:
        """The marked text of a long conversation and its answers.

        Raises:
            UnsharedError: its prefixes have to be rendered in full.
        """
        plain = _plain(_placeholders(messages))
        marked = MarkedConversation(self._template, self._tokenizer, plain, generation_prompt)
        return marked.text, marked.answers([i for i, m in enumerate(messages) if m.role == "assistant"])

    def _cut(self, messages: Sequence[Message], text: str, i: int) -> Cut | None:
        opening, _ = self._opening(messages[:i])
        here = placeholder(i, "content")
        at = text.find(here)
        if (
            not text.startswith(opening)
            or text.count(here) != 1
            or PLACEHOLDER.search(text, len(opening), at)
            or at < len(opening)
        ):
            return None
        return cut_behind(self._tokenizer, text, len(opening), at + len(here))

    def _whole_segments(self, messages: Sequence[Message]) -> list[Segment] | None:
        """One row for the whole conversation, if every answer in it follows the prompt that chat would give."""
        if _is_long(messages):
            with suppress(UnsharedError):
                return self._long_segments(messages)
        cuts = self._cut_text(messages, False)
        if cuts is None:
            return None
        text = self._marked_text(messages, False)
        filled = fill(split(text), messages, self._render(messages, False))
        if filled is None:
            return None
        for i in (i for i, m in enumerate(messages) if m.role == "assistant"):
            opening, header = self._opening(messages[:i])
            real = self._render(messages[:i], True) + header
            if "".join(span.text for span in _spans(opening, filled)) != real:
                return None
        return _segments(text, cuts, filled, keep_tail=False)

    def _long_segments(self, messages: Sequence[Message]) -> list[Segment] | None:
        """The same of a long conversation.

        Raises:
            UnsharedError: its prefixes have to be rendered in full.
        """
        text, answers = self._long_answers(messages, False)
        if answers is None:
            return None
        plain = _plain(messages)
        real = self._template.render(plain, generation_prompt=False)
        filled = fill(split(text), messages, real)
        if filled is None or not follows_prompts(self._template, plain, answers, text, filled, real):
            return None
        return _segments(text, [answer.cut for answer in answers], filled, keep_tail=False)

    def _prompt_segments(self, messages: Sequence[Message], cuts: list[Cut] | None) -> list[Segment]:
        text, header = self._opening(messages)
        filled = fill(split(text), messages, self._render(messages, True) + header)
        if filled is None:
            raise RenderError(
                "it rewrites a message or leaves it out, and then nobody knows what is the message's own text"
            )
        return _segments(text, self._last_answer(messages, text) if cuts is None else cuts, filled, keep_tail=True)

    def _last_answer(self, messages: Sequence[Message], text: str) -> list[Cut]:
        """The answer that ends last in a prompt where not every one can be told apart, if it has an end token."""
        at = max(
            (text.rfind(placeholder(i, "content")) for i, m in enumerate(messages) if m.role == "assistant"), default=-1
        )
        answer_placeholder = PLACEHOLDER.match(text, at) if at >= 0 else None
        end = end_token(self._tokenizer, text, answer_placeholder.end()) if answer_placeholder else None
        return [] if end is None else [Cut(at, end, False)]

    def _lone_answer(self, messages: Sequence[Message], i: int) -> Segment:
        """The answer as it stands in the file, and the end token that the template gives it."""
        text = self._marked_text(messages[: i + 1], False)
        here = placeholder(i, "content")
        cut = self._cut(messages[: i + 1], text, i)
        content = {(i, "content"): messages[i].content}
        if cut is not None:
            return _segments(text, [cut], content, keep_tail=False)[-1]
        at = text.rfind(here)
        end = end_token(self._tokenizer, text, at + len(here)) if at >= 0 else None
        tail = [Span(text[at + len(here) : end], True)] if end is not None else []
        return Segment((Span(messages[i].content, False), *tail), True, end is None)


def _is_long(messages: Sequence[Message]) -> bool:
    return sum(m.role == "assistant" for m in messages) >= _LONG


def _plain(messages: Sequence[Message]) -> list[dict[str, str]]:
    """As a template sees them."""
    return [{"role": m.role, "content": m.content, **({"input": m.input} if m.input else {})} for m in messages]


def _placeholders(messages: Sequence[Message]) -> list[Message]:
    return [
        Message(m.role, placeholder(i, "content"), placeholder(i, "input") if m.input else "")
        for i, m in enumerate(messages)
    ]


def _supervised(segments: Sequence[Segment], supervised: bool = True) -> list[Segment]:
    return [replace(segment, supervised=supervised) for segment in segments]


def _segments(text: str, cuts: Sequence[Cut], filled: dict[Key, str], *, keep_tail: bool) -> list[Segment]:
    """The text cut into prompts and answers, its placeholders filled in; what follows the last is optional."""
    segments, start = [], 0
    for cut in cuts:
        segments.append(Segment(_spans(text[start : cut.start], filled), False))
        segments.append(Segment(_spans(text[cut.start : cut.stop], filled), True, cut.add_end))
        start = cut.stop
    if keep_tail:
        segments.append(Segment(_spans(text[start:], filled), False))
    return segments


def _spans(text: str, filled: dict[Key, str]) -> tuple[Span, ...]:
    spans = (Span(filled.get(p, ""), False) if isinstance(p, tuple) else Span(p, True) for p in split(text))
    return tuple(span for span in spans if span.text)
