"""Conversations rendered with placeholders for their contents, and where their answers stand in that text."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from localft.data.wording.bounded.trace import UnsharedError
from localft.data.wording.chat_template import ChatTemplate, RenderError
from localft.data.wording.cuts import OPEN, Closing, Cut, closing_of, header_of
from localft.data.wording.long_conversation import Answer, MarkedConversation
from localft.data.wording.placeholders import PLACEHOLDER, placeholder
from localft.data.wording.turns import Reasoning, Turn, has_tag, marked, open_tag
from localft.model.tokenizer import Tokenizer

_LONG = 16  # answers, from which on a conversation's prefixes are not rendered in full
_MOST_LAYOUTS = 1 << 12
_MOST_KNOWN = 1 << 24  # characters of renderings with placeholders that are remembered


class Opening(NamedTuple):
    """What stands before an answer: what the template writes for it, and its header, which comes with answers only.

    Attributes:
        given: the template renders the turns before the answer by themselves.
    """

    prompt: str
    header: str
    given: bool = True

    @property
    def text(self) -> str:
        return self.prompt + self.header

    @property
    def tail(self) -> str:
        """What the template writes behind the last content."""
        return self.text[self.text.rfind("\ue001") + 1 :]

    @property
    def tag(self) -> str:
        """The tag that lets the model begin to think, if the prompt ends within it."""
        return open_tag(self.tail) if has_tag(self.tail) else ""

    @property
    def closes(self) -> bool:
        """The header says that there is no thinking."""
        return bool(self.header) and has_tag(self.header) and not self.tag


class Place(NamedTuple):
    """Where an answer stands: which message it is, its cut, what stands before it, and what that says of thinking."""

    i: int
    cut: Cut
    opening: Opening
    tag: str
    closes: bool


class Layout(NamedTuple):
    """A conversation with placeholders, and its answers."""

    text: str
    places: list[Place]


class MarkedTexts:
    """Renderings with placeholders by one template; those of conversations of the same shape are made once."""

    def __init__(self, template: ChatTemplate, tokenizer: Tokenizer, reasoning: Reasoning) -> None:
        self._template, self._tokenizer, self._reasoning = template, tokenizer, reasoning
        self._texts: dict[tuple[object, ...], str] = {}
        self._n_characters = 0
        self._cuts: dict[tuple[object, ...], list[Cut] | None] = {}
        self._layouts: dict[tuple[object, ...], Layout | None] = {}

    def text(self, turns: Sequence[Turn], generation_prompt: bool) -> str:
        """The conversation as a string.

        Raises:
            RenderError: the template refuses it.
        """
        key = (generation_prompt, *(turn.shape for turn in turns))
        if key not in self._texts:
            text = self._template.render(marked(turns), generation_prompt=generation_prompt)
            self._n_characters += len(text)
            if self._n_characters > _MOST_KNOWN:
                self._texts.clear()
                self._n_characters = len(text)
            self._texts[key] = text
        return self._texts[key]

    def opening(self, turns: Sequence[Turn], thinks: bool = False) -> Opening:
        """What stands before the next answer.

        Args:
            turns: before it.
            thinks: the answer begins with reasoning, which belongs to the answer from its tag on.

        Raises:
            RenderError: the template refuses the turns.
        """
        given = True
        try:
            prompt = self.text(turns, True)
        except RenderError:
            if turns:
                raise
            prompt, given = "", False
        try:
            answered = self.text([*turns, Turn("assistant", "")], False)
        except RenderError:
            return Opening(prompt, "", given)
        header = header_of(prompt, answered, answered.find(placeholder(len(turns), "content")))
        if thinks and header:
            header = self._common_header(turns, prompt, header)
        return Opening(prompt, header, given)

    def _common_header(self, turns: Sequence[Turn], prompt: str, header: str) -> str:
        """What of a header stands before an answer that begins with reasoning too."""
        thought = self._reasoning.sample
        if thought is None or self.text([*turns, thought], False).startswith(prompt + header):
            return header
        asks = bool(prompt) and (not turns or self.text(turns, False) != prompt)
        return "" if asks else header[: _first_tag(header)]

    def closing(self, turns: Sequence[Turn]) -> Closing:
        """What the template writes behind the answer with which these turns end."""
        try:
            text = self.text(turns, False)
        except RenderError:
            return OPEN
        here = placeholder(len(turns) - 1, "content")
        at = text.rfind(here)
        found = closing_of(self._tokenizer, text[at + len(here) :]) if at >= 0 else OPEN
        return found if found.ends or not found.text or self._stops(turns, text) else OPEN

    def _stops(self, turns: Sequence[Turn], text: str) -> bool:
        """Whether the opening of another answer is written only where it is asked for."""
        try:
            return self.text(turns, True) != text
        except RenderError:
            return True

    def cuts(self, turns: Sequence[Turn], generation_prompt: bool) -> list[Cut] | None:
        """Where each answer stands; None where one cannot be told apart.

        Raises:
            RenderError: the template refuses the turns.
        """
        key = (generation_prompt, *(turn.shape for turn in turns))
        if key not in self._cuts:
            text = self.text(turns, generation_prompt)
            cuts = [self._cut(turns, text, i) for i, turn in enumerate(turns) if turn.role == "assistant"]
            found = [cut for cut in cuts if cut is not None]
            self._cuts[key] = found if len(found) == len(cuts) else None
        return self._cuts[key]

    def _cut(self, turns: Sequence[Turn], text: str, i: int) -> Cut | None:
        opening = self.opening(turns[:i], turns[i].thinks).text
        here = placeholder(i, "content")
        at = text.find(here)
        if not text.startswith(opening) or text.count(here) != 1 or at < len(opening):
            return None
        own = placeholder(i, "reasoning")
        if any(match[0] != own for match in PLACEHOLDER.finditer(text, len(opening), at)):
            return None
        end = self.closing(turns[: i + 1]).behind(self._tokenizer, text, at + len(here))
        return None if end is None else Cut(len(opening), *end)

    def layout(self, turns: Sequence[Turn]) -> Layout | None:
        """Where everything stands in an answered conversation; None where an answer cannot be told apart.

        Raises:
            RenderError: the template refuses the turns.
        """
        key = tuple([turn.shape for turn in turns])
        if key not in self._layouts:
            cuts = self.cuts(turns, False)
            if len(self._layouts) >= _MOST_LAYOUTS:
                self._layouts.clear()
            self._layouts[key] = None if cuts is None else self._layout(turns, cuts)
        return self._layouts[key]

    def _layout(self, turns: Sequence[Turn], cuts: list[Cut]) -> Layout:
        answers = [i for i, turn in enumerate(turns) if turn.role == "assistant"]
        openings = [self.opening(turns[:i], turns[i].thinks) for i in answers]
        places = [Place(i, cut, o, o.tag, o.closes) for i, cut, o in zip(answers, cuts, openings, strict=True)]
        return Layout(self.text(turns, False), places)

    def prompt_cuts(self, turns: Sequence[Turn], shared: bool) -> list[Cut] | None:
        """The same of a prompt.

        Args:
            turns: before the next answer.
            shared: take the short way where the conversation is long.
        """
        if is_long(turns) and self.is_too_long(turns):
            return []
        if is_long(turns) and shared:
            with suppress(UnsharedError):
                _, answers = self.long_answers(turns, True)
                return None if answers is None else [answer.cut for answer in answers]
        return self.cuts(turns, True)

    def is_too_long(self, turns: Sequence[Turn]) -> bool:
        """Whether a long conversation's prefixes have to be rendered in full: its answers hold reasoning."""
        thinks = any(turn.thinks or turn.closing for turn in turns)
        return thinks and self._reasoning.sample is not None

    def long_answers(self, turns: Sequence[Turn], generation_prompt: bool) -> tuple[str, list[Answer] | None]:
        """The marked text of a long conversation and its answers.

        Raises:
            UnsharedError: its prefixes have to be rendered in full.
        """
        conversation = MarkedConversation(self._template, self._tokenizer, marked(turns), generation_prompt)
        return conversation.text, conversation.answers([i for i, t in enumerate(turns) if t.role == "assistant"])


def is_long(turns: Sequence[Turn]) -> bool:
    """Whether the prefixes of a conversation are too many to render each in full."""
    return len(turns) >= _LONG and sum(turn.role == "assistant" for turn in turns) >= _LONG


def _first_tag(header: str) -> int:
    """Where the first tag stands that has to do with thinking."""
    at = 0
    while at < len(header):
        tag = header.find("<", at)
        if tag < 0:
            break
        if has_tag(header[tag : header.find(">", tag) + 1]):
            return tag
        at = tag + 1
    return len(header)
