"""A conversation to segments of text: which is the template's, which the user's, and which is an answer.

A template is rendered twice: with unique placeholders for the contents, which shows where each of them goes, and with
the contents themselves, which must give the same text once the placeholders are filled in. Only then is it known
exactly where an answer begins and ends, and that a `</s>` typed into a message is not the template's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property

from localft.data.rows.row import Message
from localft.data.wording.bounded.trace import UnsharedError
from localft.data.wording.chat_template import ChatTemplate, RenderError
from localft.data.wording.cuts import Cut, end_token
from localft.data.wording.guard import Guard
from localft.data.wording.lone_answer import LoneAnswer
from localft.data.wording.long_conversation import follows_prompts
from localft.data.wording.marked_texts import MarkedTexts, Opening, is_long
from localft.data.wording.placeholders import PLACEHOLDER, fill, holds, placeholder, split
from localft.data.wording.segments import Segment, fill_in, segments_of, spans_of
from localft.data.wording.turns import Reasoning, Turn, contents, has_tag, plain, thinks_first
from localft.model.tokenizer import Tokenizer

_OTHER = "use another template (--template), or none (--raw)"


class Formatter:
    """Messages to segments, by one template; the vocabulary says what is a special token.

    Args:
        template: the wording.
        tokenizer: of the model.
        join_input: an Alpaca instruction's input goes into the user's message, below a blank line.
        thinking: a prompt leaves it to the model to think first, also where the template, of answers without
            reasoning, writes that there is none.

    Attributes:
        adds_end: an answer got an end token that the template does not write.
        thinks: an answer was learned with its reasoning.
        open_tag: the tag with which the prompt begins the model's thinking, behind which an answer without reasoning
            was learned; else "".
        closed: such an answer was learned behind an empty block of the template's.
    """

    def __init__(
        self, template: ChatTemplate, tokenizer: Tokenizer, *, join_input: bool = False, thinking: bool = False
    ) -> None:
        self._template, self._tokenizer = template, tokenizer
        self._join_input, self._thinking = join_input, thinking
        self._reasoning = Reasoning(template)
        self._marked = MarkedTexts(template, tokenizer, self._reasoning)
        self.adds_end = False
        self.thinks = False
        self.open_tag = ""
        self.closed = False

    def prompt(self, messages: Sequence[Message]) -> list[Segment]:
        """The conversation and the opening of the next answer.

        Raises:
            RenderError: the template refuses these messages or leaves one of them out.
        """
        self._template.begin()
        return self._noted(self._prompt(self._joined(messages), self._thinking))

    def rows(self, messages: Sequence[Message], *, train_on_prompt: bool = False) -> list[list[Segment]]:
        """A conversation with every answer that is trained supervised once: the segments of one row, or one per answer.

        A template may word an earlier turn otherwise than the one that is being answered (it may drop reasoning, say).
        Then no single text holds every answer behind the prompt that chat would give, and each gets a row of its own.
        Messages after the last answer are left out.

        Args:
            messages: the conversation.
            train_on_prompt: supervise prompts too; of a later row what stands behind the answer before it, or all
                of it where that answer cannot be told from the rest.

        Raises:
            RenderError: the template refuses these messages or rewrites an answer.
        """
        self._template.begin()
        joined = self._joined(messages)
        trained = [i for i, message in enumerate(joined) if message.role == "assistant" and message.trained]
        if not trained:
            raise RenderError("no answer in it is to be learned", "leave the row out")
        turns = self._reasoning.readings(joined[: trained[-1] + 1])[0]
        self.thinks = self.thinks or any(turns[i].thinks for i in trained)
        whole = self._whole(turns)
        if whole is not None:
            return [self._noted(_with_prompts(whole) if train_on_prompt else whole)]
        rows, n_seen = list[list[Segment]](), 0
        for i in trained:
            prompt = self._prompt(joined[:i], turns[i].thinks, long=False)
            answer = self._lone_answer(joined[: i + 1])
            if train_on_prompt:
                n_seen = min(n_seen, len(prompt) - 1)
                prompt[n_seen:] = _with_prompts(prompt[n_seen:])
                n_seen = 2 * sum(message.role == "assistant" for message in joined[: i + 1])
            rows.append(self._noted([*prompt, answer]))
        return rows

    def _noted(self, segments: list[Segment]) -> list[Segment]:
        self.adds_end |= self._tokenizer.eos_id is not None and any(segment.add_end for segment in segments)
        return segments

    def _note_tag(self, turn: Turn, tag: str, closes: bool) -> None:
        if not turn.trained or turn.thinks or not (tag or closes):
            return
        if "</think>" not in turn.content and not turn.closing:
            self.open_tag = tag or self.open_tag
        self.closed = self.closed or closes

    def _joined(self, messages: Sequence[Message]) -> Sequence[Message]:
        if not self._join_input:
            return messages
        return [m._replace(content=f"{m.content}\n\n{m.input}", input="") if m.input else m for m in messages]

    def _render(self, turns: Sequence[Turn], generation_prompt: bool) -> str:
        return self._template.render(plain(turns), generation_prompt=generation_prompt)

    def _real(self, turns: Sequence[Turn], opening: Opening) -> str:
        """What stands before the next answer, as chat gives it."""
        return (self._render(turns, True) if opening.given else "") + opening.header

    def _whole(self, turns: Sequence[Turn]) -> list[Segment] | None:
        """One row for the whole conversation, if every answer in it follows the prompt that chat would give."""
        if is_long(turns):
            if self._marked.is_too_long(turns):
                return None
            with suppress(UnsharedError):
                return self._long(turns)
        layout = self._marked.layout(turns)
        if layout is None:
            return None
        text, places = layout
        filled = fill(split(text), contents(turns), self._render(turns, False))
        if filled is None:
            return None
        for i, cut, opening, tag, closes in places:
            if turns[i].trained and not _stands(turns[i], i, text[cut.start : cut.stop], opening):
                return None
            if fill_in(opening.text, filled) != self._real(turns[:i], opening):
                return None
            self._note_tag(turns[i], tag, closes)
        return segments_of(text, [place.cut for place in places], filled, [turns[place.i].trained for place in places])

    def _long(self, turns: Sequence[Turn]) -> list[Segment] | None:
        """The same of a long conversation.

        Raises:
            UnsharedError: its prefixes have to be rendered in full.
        """
        text, answers = self._marked.long_answers(turns, False)
        if answers is None:
            return None
        messages = plain(turns)
        real = self._template.render(messages, generation_prompt=False)
        filled = fill(split(text), contents(turns), real)
        if filled is None or not follows_prompts(self._template, messages, answers, text, filled, real):
            return None
        first = Opening(text[: answers[0].cut.start].removesuffix(answers[0].header), answers[0].header)
        for answer in answers:
            self._note_tag(turns[answer.number], first.tag, first.closes)
        return segments_of(text, [a.cut for a in answers], filled, [turns[a.number].trained for a in answers])

    def _prompt(self, messages: Sequence[Message], thinks: bool, long: bool = True) -> list[Segment]:
        """What chat puts before the next answer, none of it supervised.

        Args:
            thinks: the answer begins with reasoning.
            long: take the short way to the answers of a long conversation.
        """
        readings = self._reasoning.readings(messages)
        for turns in readings:
            opening = self._marked.opening(turns, thinks)
            filled = fill(split(opening.text), contents(turns), self._real(turns, opening))
            if filled is not None:
                cuts = self._marked.prompt_cuts(turns, long) if opening.given else []
                return segments_of(opening.text, self._last_answer(turns, opening) if cuts is None else cuts, filled)
        opening, text = self._guarded_prompt(readings[0], thinks)
        if not self._guard.fits(text, self._real(readings[0], opening)):
            raise _rewritten()
        return [Segment(spans_of(text, self._guard.table), False)]

    def _guarded_prompt(self, turns: Sequence[Turn], thinks: bool) -> tuple[Opening, str]:
        """The opening of an answer behind messages that the template rewrites, and all of the prompt."""
        opening = self._marked.opening(turns, thinks)
        if not holds(split(opening.text), contents(turns)):
            raise _rewritten()
        return opening, self._real(self._guard.turns(turns), opening)

    @cached_property
    def _guard(self) -> Guard:
        return Guard(self._tokenizer)

    def _last_answer(self, turns: Sequence[Turn], opening: Opening) -> list[Cut]:
        """The answer that ends last in a prompt where not every one can be told apart, if it has an end token."""
        text = opening.text
        at = max(
            (text.rfind(placeholder(i, "content")) for i, t in enumerate(turns) if t.role == "assistant"), default=-1
        )
        answer_placeholder = PLACEHOLDER.match(text, at) if at >= 0 else None
        end = end_token(self._tokenizer, text, answer_placeholder.end()) if answer_placeholder else None
        return [] if end is None else [Cut(at, end, False)]

    def _lone_answer(self, messages: Sequence[Message]) -> Segment:
        """The answer with which these messages end, as the template words it, and its closing."""
        i = len(messages) - 1
        readings = self._reasoning.readings(messages)
        for turns in readings:
            text = self._marked.text(turns, False)
            filled = fill(split(text), contents(turns), self._render(turns, False))
            if filled is not None:
                opening = self._marked.opening(turns[:i], turns[i].thinks)
                self._note_tag(turns[i], opening.tag, opening.closes)
                closing = self._marked.closing(turns)
                return LoneAnswer(self._tokenizer, turns[i], i, text, filled, closing).behind(opening.text, opening)
        return self._guarded_answer(readings[0])

    def _guarded_answer(self, turns: Sequence[Turn]) -> Segment:
        """The same behind messages that the template rewrites."""
        i, answer = len(turns) - 1, turns[-1]
        opening, prompt = self._guarded_prompt(turns[:i], answer.thinks)
        before = plain(self._guard.turns(turns[:i]))
        text = self._template.render([*before, answer.marked(i)], generation_prompt=False)
        own = {(i, name): value for (_, name), value in contents([answer]).items()}
        filled = fill(split(text), {**self._guard.table, **own}, self._render(turns, False))
        if filled is None:
            raise _rewritten()
        self._note_tag(answer, opening.tag, opening.closes)
        closing = self._marked.closing(turns)
        return LoneAnswer(self._tokenizer, answer, i, text, filled, closing).behind(prompt, opening)


def _stands(turn: Turn, i: int, answer: str, opening: Opening) -> bool:
    """Whether an answer's reasoning is in it, and no second time begun."""
    if turn.reasoning:
        return placeholder(i, "reasoning") in answer
    return not (thinks_first(turn.content) and has_tag(opening.tail))


def _with_prompts(segments: Sequence[Segment]) -> list[Segment]:
    """Supervised, all but the answers that are not trained."""
    return [segment if segment.is_answer else replace(segment, supervised=True) for segment in segments]


def _rewritten() -> RenderError:
    reason = "it rewrites a message or leaves it out, and then nobody knows what is the message's own text"
    return RenderError(reason, _OTHER)
