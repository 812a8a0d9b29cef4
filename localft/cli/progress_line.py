"""One line on stderr that says how far the work is."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from localft.report import Report
from localft.visible import visible


class ProgressLine:
    """A line that changes on a terminal; elsewhere a line now and then, or nothing.

    Args:
        every: seconds between lines where stderr is no terminal; None: no lines.
        pause: seconds for which a line stays on a terminal.
    """

    def __init__(self, every: float | None = None, pause: float = 0.0) -> None:
        self.stream = sys.stderr
        self.on = self.stream.isatty()
        self.pause = pause if self.on else every
        self.words = ""
        self.last = -pause if self.on else time.monotonic()

    @property
    def due(self) -> bool:
        """Whether words would be shown now."""
        return self.pause is not None and time.monotonic() - self.last >= self.pause

    def show(self, words: str) -> None:
        """Put `words` in the place of what is there, if that has been there for long enough."""
        self.words = visible(words).replace("\n", " ")
        if not self.due:
            return
        self.last = time.monotonic()
        if self.on:
            self._draw()
        else:
            self._write(f"{self.words}\n")

    def say(self, words: str) -> None:
        """A line that stays, above the one that says how far the work is."""
        self.close()
        self._write(f"{words}\n")
        if self.on:
            self._draw()

    def close(self) -> None:
        """Take the line away."""
        if self.on:
            self._write("\r\x1b[K")

    def _draw(self) -> None:
        self._write(f"\r\x1b[K{self.words[: shutil.get_terminal_size().columns - 1]}")

    def _write(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()


@contextmanager
def progress_line(pause: float = 0.0) -> Iterator[Report]:
    """What work that takes long reports to: a percentage and its words, on a terminal only."""
    line = ProgressLine(pause=pause)

    def report(what: str, done: int, total: int) -> None:
        line.show(f"{100 * done // total:3d} %  {what}" if total else f"{what} …")

    try:
        yield report
    finally:
        line.close()
