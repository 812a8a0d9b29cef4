"""Text that comes in pieces, broken between words where it reaches the edge of the terminal."""

from __future__ import annotations

import unicodedata

_TAB = 8


class WordWrap:
    """Holds a word back until its end is seen; what has no spaces (Chinese, Japanese) is broken anywhere.

    Args:
        width: cells of a line.
    """

    def __init__(self, width: int) -> None:
        self.width = max(width - 1, 1)  # some terminals break a line that is just full
        self.column = 0
        self._space = ""
        self._word = ""
        self._goes_on = False

    def feed(self, piece: str) -> str:
        """Add a piece; return the text that is now certain."""
        return "".join(map(self._add, piece))

    def end(self) -> str:
        """Return the last word and the spaces around it."""
        text, self._space = self._end_word() + self._space, ""
        return text

    def _add(self, char: str) -> str:
        if char == "\n":
            text, self.column, self._space = self._end_word() + char, 0, ""
            return text
        if char in " \t":
            text = self._end_word()
            self._space += char
            return text
        if cells(char) > 1:
            text = self._end_word()
            self._word = char
            return text + self._end_word()
        self._word += char
        if len(self._word) < self.width:
            return ""
        text = self._end_word()
        self._goes_on = True  # the terminal breaks it, so that it can be copied whole
        return text

    def _end_word(self) -> str:
        """The held word behind its spaces, or in a new line in their place."""
        goes_on, self._goes_on = self._goes_on, False
        if not self._word:
            return ""
        word, space = self._word, self._space
        self._word = self._space = ""
        begin = self.column
        for char in space:
            begin += _TAB - begin % _TAB if char == "\t" else 1
        wide = sum(map(cells, word))
        if self.column and begin + wide > self.width and not goes_on:
            begin, space = 0, "\n"
        self.column = (begin + wide - 1) % (self.width + 1) + 1
        return space + word


def cells(char: str) -> int:
    """Cells that a character takes: 2 if it is wide, 0 if it is set on the one before."""
    if unicodedata.east_asian_width(char) in "WF":
        return 2
    return 0 if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me", "Cf") else 1
