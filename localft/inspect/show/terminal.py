"""Rows for a terminal: colours where there are some, marks where there are none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from localft.inspect.show.token_spans import ShownRow, TokenSpan
from localft.units import count
from localft.visible import Styled, readable, visible

END = "■"


@dataclass(frozen=True)
class Ink:
    """How to mark what a span is.

    Attributes:
        coloured: the terminal has colours.
        boundaries: a line between tokens.
    """

    coloured: bool
    boundaries: bool = False

    def legend(self) -> Iterator[str | Styled]:
        """One line that explains the marks."""
        yield Styled("supervised", fg="green") if self.coloured else "«supervised»"
        yield " · "
        yield Styled("<special>", fg="cyan", bold=True)
        yield f" a special token · {END} the end of an answer · ⏎ a line break in the data"
        if self.boundaries:
            yield " · │ between tokens"


def lines(row: ShownRow, ink: Ink) -> Iterator[str | Styled]:
    """A heading, and the row below it; what is painted is painted where there are colours."""
    place = visible(f"{row.source}:{row.line}")
    counts = f"{count(row.n_tokens, 'token')}, {row.n_supervised:,} supervised"
    facts = (f"row {row.number:,}", row.part, row.wording, "" if row.error else counts)
    yield Styled(place, bold=True)
    yield visible(f" · {' · '.join(filter(None, facts))}\n")
    if row.error:
        yield Styled("refused", fg="red")
        yield visible(f": {row.error}")
    yield from _painted(row.spans, ink)


def _painted(spans: Iterable[TokenSpan], ink: Ink) -> Iterator[str | Styled]:
    learned = False
    for number, span in enumerate(spans):
        if ink.boundaries and number:
            yield Styled("│", dim=True)
        if span.supervised != learned and not ink.coloured:
            yield "«" if span.supervised else "»"
        learned = span.supervised
        yield from _span(span)
    if learned and not ink.coloured:
        yield "»"


def _span(span: TokenSpan) -> Iterator[str | Styled]:
    if span.special:
        yield Styled(readable(span.text), fg="cyan", bold=True, underline=span.supervised)
        if span.end and span.supervised:
            yield Styled(END, fg="green")
        return
    for number, part in enumerate(readable(span.text).split("\n")):
        if number:
            yield Styled("⏎", dim=True)
            yield "\n"
        yield Styled(part, fg="green" if span.supervised else None)
