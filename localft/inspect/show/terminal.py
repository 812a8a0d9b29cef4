"""Rows for a terminal: colours where there are some, marks where there are none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from localft.inspect.show.token_spans import ShownRow, TokenSpan
from localft.units import count
from localft.visible import visible

Style = Callable[..., str]
END = "■"


@dataclass(frozen=True)
class Ink:
    """How to mark what a span is.

    Attributes:
        style: `click.style` on a terminal with colours, otherwise None.
        boundaries: a line between tokens.
    """

    style: Style | None
    boundaries: bool = False

    def paint(self, text: str, **looks: object) -> str:
        return self.style(text, **looks) if self.style and text else text

    def legend(self) -> str:
        """One line that explains the marks."""
        learned = self.paint("supervised", fg="green") if self.style else "«supervised»"
        special = self.paint("<special>", fg="cyan", bold=True)
        rest = f"{special} a special token · {END} the end of an answer · ⏎ a line break in the data"
        return f"{learned} · {rest}" + (" · │ between tokens" if self.boundaries else "")


def lines(row: ShownRow, ink: Ink) -> str:
    """A heading, and the row below it."""
    place = f"{row.source}:{row.line}"
    counts = f"{count(row.n_tokens, 'token')}, {row.n_supervised:,} supervised"
    facts = (f"row {row.number:,}", row.part, row.wording, "" if row.error else counts)
    heading = f"{ink.paint(place, bold=True)} · {' · '.join(filter(None, facts))}"
    if row.error:
        return f"{heading}\n{ink.paint('refused', fg='red')}: {visible(row.error)}"
    return f"{heading}\n{''.join(_painted(row.spans, ink))}"


def _painted(spans: Iterable[TokenSpan], ink: Ink) -> Iterator[str]:
    learned = False
    for number, span in enumerate(spans):
        if ink.boundaries and number:
            yield ink.paint("│", dim=True)
        if span.supervised != learned and ink.style is None:
            yield "«" if span.supervised else "»"
        learned = span.supervised
        yield _span(span, ink)
    if learned and ink.style is None:
        yield "»"


def _span(span: TokenSpan, ink: Ink) -> str:
    if span.special:
        text = ink.paint(visible(span.text), fg="cyan", bold=True, underline=span.supervised)
        return text + (ink.paint(END, fg="green") if span.end and span.supervised else "")
    colour = "green" if span.supervised else None
    broken = visible(span.text).split("\n")
    return f"{ink.paint('⏎', dim=True)}\n".join(ink.paint(part, fg=colour) for part in broken)
