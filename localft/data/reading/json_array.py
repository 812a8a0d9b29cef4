"""One JSON array, a few of its values at a time, however long it is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from localft.data.reading.data_file import OnProblem
from localft.data.reading.not_json import not_json
from localft.errors import DatasetError

_SPACE = re.compile(r"[ \t\r\n]*")
_LITERAL = 16  # characters; no literal is longer, so that a mistake before them is none that more text mends


def array_values(path: Path, texts: Iterator[str], most: int, on_problem: OnProblem) -> Iterator[tuple[int, Any]]:
    """Each value of an array with the line that it starts on; nothing where the text does not begin with one.

    Args:
        path: for messages.
        texts: the file's text, stretch after stretch.
        most: characters of one value.
        on_problem: told of what follows cannot be read.
    """
    window = _Window(texts)
    if not window.opens():
        return
    expect_value = False
    while True:
        window.skip_space()
        if window.next == "]" and not expect_value:
            break
        line = window.line()
        try:
            value, length = window.value(most)
        except (ValueError, RecursionError) as error:
            where = line
            if isinstance(error, json.JSONDecodeError):
                where = window.place(error)
            on_problem(where, not_json(path, where, error, in_array=True))
            return
        if length > most:
            message = f"the row on line {line} of `{path}` is longer than {most:,} characters, which are the most"
            on_problem(line, DatasetError(message, "a row that is longer is no row but a broken file"))
            if value is None:
                return
        else:
            yield line, value
        window.skip_space()
        expect_value = window.next == ","
        if not expect_value and (window.next != "]" or window.goes_on()):
            where = window.line()
            message = f"line {where} of `{path}` breaks its JSON array: expected `,` or the closing `]`"
            on_problem(where, DatasetError(message, "mend it there, or save the rows as JSON lines"))
            return
        if not expect_value:
            break
        window.at += 1


class _Window:
    """The part of a text that is looked at; what was read of it is let go of, what is not yet needed not read.

    Attributes:
        at: where to go on.
    """

    def __init__(self, texts: Iterator[str]) -> None:
        self._texts = texts
        self._text = ""
        self.at = 0
        self._start = 1, 0  # line and column of the window's first character, 1-based and 0-based
        self._seen = 0, 1  # a place before `at`, and its line

    @property
    def next(self) -> str:
        return self._text[self.at : self.at + 1]

    def opens(self) -> bool:
        """Go behind the bracket that an array begins with; False where it begins with none."""
        while not (text := self._text.lstrip()) and self._more():
            pass
        self.at = self._text.find("[") + 1
        return text.startswith("[")

    def skip_space(self) -> None:
        while True:
            match = _SPACE.match(self._text, self.at)
            assert match is not None
            self.at = match.end()
            if self.at < len(self._text) or not self._more():
                return

    def goes_on(self) -> bool:
        """Whether anything but white space follows the character at `at`."""
        return bool(self._text[self.at + 1 :].strip()) or any(text.strip() for text in self._texts)

    def line(self) -> int:
        """The line of `at`."""
        seen, line = self._seen
        self._seen = self.at, line + self._text.count("\n", seen, self.at)
        return self._seen[1]

    def place(self, error: json.JSONDecodeError) -> int:
        """The line of a mistake; its column becomes the line's."""
        line, column = self._start
        error.colno += column if error.lineno == 1 else 0
        return line + error.lineno - 1

    def value(self, most: int) -> tuple[Any, int]:
        """The value at `at` and how many characters it takes; None and more than `most` where it does not end.

        Raises:
            ValueError, RecursionError: it is no JSON.
        """
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self.at)
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated string") or error.pos >= len(self._text) - _LITERAL
                if cut and len(self._text) - self.at > most:
                    return None, len(self._text) - self.at
                if not (cut and self._more()):
                    raise
                continue
            # the digits of a number may go on
            if isinstance(value, (int, float)) and end >= len(self._text) - _LITERAL and self._more():
                continue
            start, self.at = self.at, end
            return value, end - start

    def _more(self) -> bool:
        """Let go of what stands before `at`, and read as much again as is left; False where there is no more."""
        parts, n, wanted = list[str](), 0, max(len(self._text) - self.at, 1)
        for text in self._texts:
            parts.append(text)
            n += len(text)
            if n >= wanted:
                break
        if not n:
            return False
        line, (first_line, column) = self.line(), self._start
        last = self._text.rfind("\n", 0, self.at)
        self._start = line, (self.at - last - 1 if line > first_line else column + self.at)
        self._text, self.at, self._seen = "".join([self._text[self.at :], *parts]), 0, (0, line)
        return True


_DECODER = json.JSONDecoder()
