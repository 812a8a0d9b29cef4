"""Rendered text with placeholders, cut into stretches that are tokenized by themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from localft.data.wording.cuts import Cut
from localft.data.wording.placeholders import Key, split
from localft.model.tokenizer import Span


@dataclass(frozen=True)
class Segment:
    """A stretch that is tokenized by itself.

    Attributes:
        spans: its text.
        supervised: it is learned.
        add_end: the template writes no end token after this answer, so the model's EOS follows.
        is_answer: it is an answer, from behind the generation prompt to the end token.
    """

    spans: tuple[Span, ...]
    supervised: bool
    add_end: bool = False
    is_answer: bool = False


def segments_of(
    text: str, cuts: Sequence[Cut], filled: Mapping[Key, str], trained: Sequence[bool] | None = None
) -> list[Segment]:
    """Prompts and answers in turns, the placeholders filled in.

    Args:
        text: with placeholders.
        cuts: its answers.
        filled: what stands for the placeholders.
        trained: for each answer whether it is learned, and what follows the last is left out; None: none is.
    """
    found, start = list[Segment](), 0
    for number, cut in enumerate(cuts):
        found.append(Segment(spans_of(text[start : cut.start], filled), False))
        learned = trained is not None and trained[number]
        found.append(Segment(spans_of(text[cut.start : cut.stop], filled), learned, cut.add_end, True))
        start = cut.stop
    if trained is None:
        found.append(Segment(spans_of(text[start:], filled), False))
    return found


def spans_of(text: str, filled: Mapping[Key, str]) -> tuple[Span, ...]:
    """A text with placeholders, filled in: only what the template wrote is literal."""
    spans = (Span(filled.get(p, ""), False) if isinstance(p, tuple) else Span(p, True) for p in split(text))
    return tuple(span for span in spans if span.text)


def fill_in(text: str, filled: Mapping[Key, str]) -> str:
    """The same as one string."""
    return "".join([filled.get(piece, "") if isinstance(piece, tuple) else piece for piece in split(text)])
