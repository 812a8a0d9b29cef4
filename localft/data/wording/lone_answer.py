"""One answer behind the prompt that chat would give, where no single text holds every answer of its conversation."""

from __future__ import annotations

from collections.abc import Mapping

from localft.data.wording.chat_template import RenderError
from localft.data.wording.cuts import Closing
from localft.data.wording.marked_texts import Opening
from localft.data.wording.placeholders import PLACEHOLDER, Key, placeholder
from localft.data.wording.segments import Segment, spans_of
from localft.data.wording.turns import Turn, behind_open_tag, has_tag, thinks_first
from localft.model.tokenizer import Span, Tokenizer

_WITHOUT = "leave the reasoning out of the rows, or use a template that prints it (--template)"


class LoneAnswer:
    """The last answer of a rendered conversation.

    Args:
        turn, i: which message it is.
        text: the conversation with placeholders, at least for this message.
        filled: what stands for them.
        closing: what the template writes behind it.
    """

    def __init__(
        self, tokenizer: Tokenizer, turn: Turn, i: int, text: str, filled: Mapping[Key, str], closing: Closing
    ) -> None:
        self._turn, self._i, self._text, self._filled = turn, i, text, filled
        here = placeholder(i, "content")
        self._at = text.rfind(here)
        self._end = self._at + len(here)
        end = closing.behind(tokenizer, text, self._end)
        self._stop, self._add_end = (self._end, True) if end is None else end

    def behind(self, prompt: str, opening: Opening) -> Segment:
        """It as what follows the prompt: as the template words it, but for a `<think>` that the prompt has written.

        Args:
            prompt: all that stands before it, with the placeholders of `text`.
            opening: the same, for what the template writes at its end.

        Raises:
            RenderError: the answer has reasoning, for which there is no place behind this prompt.
        """
        turn = self._turn
        between = self._text[len(prompt) : self._at] if self._text.startswith(prompt) else None
        if turn.reasoning or (turn.closing and opening.tag):
            return self._thought(prompt, between, opening)
        begun = thinks_first(turn.content) and not (between or "").strip() and has_tag(opening.tail)
        if begun and opening.tag != "<think>":
            raise _no_place(opening)
        if begun:
            return self._from_content(behind_open_tag(opening.text, self._filled[self._i, "content"]))
        joins = between is not None and not PLACEHOLDER.search(between)
        return self._segment(spans_of(self._text[len(prompt) if joins else self._at : self._stop], self._filled))

    def _thought(self, prompt: str, between: str | None, opening: Opening) -> Segment:
        turn = self._turn
        if between is not None and placeholder(self._i, "reasoning") in between:
            return self._segment(spans_of(self._text[len(prompt) : self._stop], self._filled))
        if turn.key or opening.tag != "<think>":
            raise _no_place(opening)
        said = f"{turn.opening}{turn.reasoning}{turn.closing}{self._filled[self._i, 'content']}"
        return self._from_content(behind_open_tag(opening.text, said))

    def _from_content(self, text: str) -> Segment:
        return self._segment((Span(text, False), *spans_of(self._text[self._end : self._stop], self._filled)))

    def _segment(self, spans: tuple[Span, ...]) -> Segment:
        return Segment(spans, True, self._add_end, True)


def _no_place(opening: Opening) -> RenderError:
    if has_tag(opening.tail) and not opening.tag:
        return RenderError("its prompt ends the thinking before an answer that begins with reasoning", _WITHOUT)
    return RenderError("it has no place behind its prompt for the reasoning of an answer that is learned", _WITHOUT)
