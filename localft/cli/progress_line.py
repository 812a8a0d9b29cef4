"""One line on stderr that says how far the work is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

from localft.report import Report
from localft.screen.border import columns, redraw, say


class ProgressLine:
    """A line that changes on a terminal; elsewhere a line now and then, or nothing.

    Args:
        every: seconds between lines where stderr is no terminal; None: no lines.
        pause: seconds for which a line stays on a terminal.
    """

    def __init__(self, every: float | None = None, pause: float = 0.0) -> None:
        self.on = columns() is not None
        self.pause = pause if self.on else every
        self.words = ""
        self.drawn = False
        self.last = -pause if self.on else time.monotonic()

    @property
    def due(self) -> bool:
        """Whether words would be shown now."""
        return self.pause is not None and time.monotonic() - self.last >= self.pause

    def show(self, words: str) -> None:
        """Put `words` in the place of what is there, if that has been there for long enough."""
        self.words = words.replace("\n", " ")
        if not self.due:
            return
        self.last = time.monotonic()
        if self.on:
            self._draw(self.words)
        else:
            say(self.words)

    def say(self, words: str) -> None:
        """A line that stays, above the one that says how far the work is."""
        drawn = self.drawn
        self.close()
        say(words)
        if drawn:
            self._draw(self.words)

    def report(self, what: str, done: int, total: int) -> None:
        """Show a percentage and its words."""
        self.show(f"{100 * done // total:3d} %  {what}" if total else f"{what} …")

    def close(self) -> None:
        """Take the line away."""
        if self.drawn:
            redraw()
        self.drawn = False

    def _draw(self, words: str) -> None:
        redraw(words)
        self.drawn = True


@contextmanager
def progress_line(pause: float = 0.0) -> Iterator[Report]:
    """What work that takes long reports to: a percentage and its words, on a terminal only."""
    with closing(ProgressLine(pause=pause)) as line:
        yield line.report
