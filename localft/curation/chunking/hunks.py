"""Hunks of a diff that are too long for a row: stretches, each with a header that says which lines it has."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

_HEADER = re.compile(r"@@ -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@(.*)")
# what the header of a stretch takes, in tokens
_HEADER_TOKENS = 24


class Stretches:
    """One hunk, of which a stretch is taken after the other.

    Attributes:
        left: tokens of what is left, with its header.
        n_gone: lines that were longer than any stretch.

    Args:
        hunk: its header, if it has one, and its lines.
        count: tokens of a text.
        most: tokens of the longest stretch.
    """

    def __init__(self, hunk: str, count: Callable[[str], int], most: int) -> None:
        lines = hunk.splitlines(keepends=True)
        header = _HEADER.match(lines[0]) if lines else None
        self._lines = lines[1:] if header else lines
        self._sizes, self._most = [count(line) for line in self._lines], most - _HEADER_TOKENS
        self._old, self._new = (int(header[i]) + (header[i + 1] == "0") for i in (1, 3)) if header else (0, 0)
        self._behind = header[5] if header else None
        self._at, self.n_gone = 0, 0
        self.left = sum(self._sizes) + _HEADER_TOKENS

    def __bool__(self) -> bool:
        return self._at < len(self._lines)

    def take(self, room: int) -> str:
        """As many lines as fit into so many tokens, "" where the first does not; one that fits nowhere is passed over.

        Lines that change together stay together where that costs little.
        """
        stop, left = self._at, room - _HEADER_TOKENS
        while stop < len(self._lines) and self._sizes[stop] <= left:
            left -= self._sizes[stop]
            stop += 1
        stop -= self._goes_with_rest(stop)
        text = self._advance(stop)
        if not text and self and self._sizes[self._at] > self._most:
            self._advance(self._at + 1)
            self.n_gone += 1
        return text

    def _goes_with_rest(self, stop: int) -> int:
        """How many of the lines before `stop` belong to the changed lines behind it, where they are few."""
        body, n_taken, n = self._lines, stop - self._at, 0
        if not n_taken or stop == len(body):
            return 0
        if body[stop][0] in "+-\\":
            while n < n_taken and body[stop - 1 - n][0] in "+-":
                n += 1
        return n if n <= n_taken // 3 else int(body[stop][0] == "\\" and n_taken > 1)

    def _advance(self, stop: int) -> str:
        """The lines up to `stop`, behind which it goes on."""
        lines = self._lines[self._at : stop]
        self.left -= sum(self._sizes[self._at : stop])
        text = _hunk(self._old, self._new, lines, self._behind)
        n_old, n_new = _counts(lines)
        self._at, self._old, self._new = stop, self._old + n_old, self._new + n_new
        return text


def _hunk(old: int, new: int, lines: Sequence[str], behind: str | None) -> str:
    """Lines under a header, where the hunk had one; of no lines git names the one before."""
    if not lines or behind is None:
        return "".join(lines)
    spans = (_span(start, n) for start, n in zip((old, new), _counts(lines), strict=True))
    return "@@ -{} +{} @@".format(*spans) + f"{behind}\n" + "".join(lines)


def _span(start: int, n: int) -> str:
    return f"{start - (not n)},{n}" if n != 1 else str(start)


def _counts(lines: Sequence[str]) -> tuple[int, int]:
    """Lines of the old file and of the new."""
    marks = [line[0] for line in lines]
    return sum(mark not in "+\\" for mark in marks), sum(mark not in "-\\" for mark in marks)
