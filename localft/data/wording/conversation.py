"""A conversation to segments of text: which is the template's, which the user's, and which is an answer.

A template is rendered twice: with unique placeholders for the contents, which shows where each of them goes, and with
the contents themselves, which must give the same text once the placeholders are filled in. Only then is it known
exactly where an answer begins and ends, and that a `</s>` typed into a message is not the template's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from localft.data.rows.row import Message
from localft.data.wording.chat_template import ChatTemplate, RenderError
from localft.data.wording.placeholders import PLACEHOLDER, Key, fill, placeholder, split
from localft.model.tokenizer import Span, Tokenizer


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


@dataclass(frozen=True)
class _Cut:
    """Where one answer stands in a text with placeholders, and whether its end token has to be added."""

    start: int
    stop: int
    add_end: bool


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
        self._cuts: dict[tuple[object, ...], list[_Cut] | None] = {}
        self.adds_end = False

    def prompt(self, messages: Sequence[Message]) -> list[Segment]:
        """The conversation and the opening of the next answer.

        Raises:
            RenderError: the template refuses these messages or rewrites one of them.
        """
        return self._noted(self._prompt_segments(self._joined(messages)))

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
        joined = self._joined(messages)
        answers = [i for i, message in enumerate(joined) if message.role == "assistant"]
        whole = self._whole_segments(joined[: answers[-1] + 1])
        if whole is not None:
            return [self._noted(_supervised(whole) if train_on_prompt else whole)]
        rows = []
        for number, i in enumerate(answers):
            prompt = _supervised(self._prompt_segments(joined[:i]), False)
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
        plain = [m._asdict() if m.input else {"role": m.role, "content": m.content} for m in messages]
        return self._template.render(plain, generation_prompt=generation_prompt)

    def _marked_text(self, messages: Sequence[Message], generation_prompt: bool) -> str:
        key = (generation_prompt, *((m.role, bool(m.input)) for m in messages))
        if key not in self._marked:
            placeholders = [
                Message(m.role, placeholder(i, "content"), placeholder(i, "input") if m.input else "")
                for i, m in enumerate(messages)
            ]
            self._marked[key] = self._render(placeholders, generation_prompt)
        return self._marked[key]

    def _opening(self, messages: Sequence[Message]) -> tuple[str, str]:
        """The marked text that stands before the next answer, and what of it the template writes with the answer only.

        A template without a generation prompt writes the answer's header ("<|assistant|>") when the answer is there.
        Nobody should have to generate it, so it is the prompt's; mere whitespace is left to the answer.
        """
        text = self._marked_text(messages, True)
        try:
            answered = self._marked_text([*messages, Message("assistant", "")], False)
        except RenderError:
            return text, ""
        at = answered.find(placeholder(len(messages), "content"))
        header = answered[len(text) : at] if at >= 0 and answered.startswith(text) else ""
        if header.strip() and not PLACEHOLDER.search(header):
            return text + header, header
        return text, ""

    def _cut_text(self, messages: Sequence[Message], generation_prompt: bool) -> list[_Cut] | None:
        """Where each answer stands in the marked text; None where one cannot be told apart."""
        key = (generation_prompt, *((m.role, bool(m.input)) for m in messages))
        if key not in self._cuts:
            text = self._marked_text(messages, generation_prompt)
            cuts = [self._cut(messages, text, i) for i, m in enumerate(messages) if m.role == "assistant"]
            found = [cut for cut in cuts if cut is not None]
            self._cuts[key] = found if len(found) == len(cuts) else None
        return self._cuts[key]

    def _cut(self, messages: Sequence[Message], text: str, i: int) -> _Cut | None:
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
        end = self._end_token(text, at + len(here))
        return _Cut(len(opening), at + len(here) if end is None else end, end is None)

    def _end_token(self, text: str, start: int) -> int | None:
        """Where the end token behind an answer ends, if only whitespace stands between."""
        following = PLACEHOLDER.search(text, start)
        for fragment in self._tokenizer.split_special(text[start : following.start() if following else len(text)]):
            if isinstance(fragment, int):
                written = self._tokenizer.token_text(fragment)
                return text.index(written, start) + len(written) if fragment in self._tokenizer.end_ids else None
            if fragment.strip():
                return None
        return None

    def _whole_segments(self, messages: Sequence[Message]) -> list[Segment] | None:
        """One row for the whole conversation, if every answer in it follows the prompt that chat would give."""
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

    def _prompt_segments(self, messages: Sequence[Message]) -> list[Segment]:
        text, header = self._opening(messages)
        filled = fill(split(text), messages, self._render(messages, True) + header)
        if filled is None:
            raise RenderError(
                "it rewrites a message or leaves it out, and then nobody knows what is the message's own text"
            )
        cuts = self._cut_text(messages, True)
        return _segments(text, self._last_answer(messages, text) if cuts is None else cuts, filled, keep_tail=True)

    def _last_answer(self, messages: Sequence[Message], text: str) -> list[_Cut]:
        """The answer that ends last in a prompt where not every one can be told apart, if it has an end token."""
        at = max(
            (text.rfind(placeholder(i, "content")) for i, m in enumerate(messages) if m.role == "assistant"), default=-1
        )
        answer_placeholder = PLACEHOLDER.match(text, at) if at >= 0 else None
        end = self._end_token(text, answer_placeholder.end()) if answer_placeholder else None
        return [] if end is None else [_Cut(at, end, False)]

    def _lone_answer(self, messages: Sequence[Message], i: int) -> Segment:
        """The answer as it stands in the file, and the end token that the template gives it."""
        text = self._marked_text(messages[: i + 1], False)
        here = placeholder(i, "content")
        cut = self._cut(messages[: i + 1], text, i)
        content = {(i, "content"): messages[i].content}
        if cut is not None:
            return _segments(text, [cut], content, keep_tail=False)[-1]
        at = text.rfind(here)
        end = self._end_token(text, at + len(here)) if at >= 0 else None
        tail = [Span(text[at + len(here) : end], True)] if end is not None else []
        return Segment((Span(messages[i].content, False), *tail), True, end is None)


def _supervised(segments: Sequence[Segment], supervised: bool = True) -> list[Segment]:
    return [replace(segment, supervised=supervised) for segment in segments]


def _segments(text: str, cuts: Sequence[_Cut], filled: dict[Key, str], *, keep_tail: bool) -> list[Segment]:
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
