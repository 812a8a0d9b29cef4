"""The border to the terminal: every text on its way there passes this file, and is cleaned in it.

`guard` replaces stdout and stderr, where they are a terminal, by streams that take text alone: what comes to them by
another way (a library's warning, a forgotten `print`) loses whatever a terminal would obey. The functions below write
beside those streams: they clean what they are given, and only then add colours and movements of their own.
"""

from __future__ import annotations

import codecs
import io
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import click

from localft.screen.word_wrap import WordWrap
from localft.visible import Speech, Styled, spoken, visible

_ERRORS = "localft"
_ERASE_LINE = "\r\x1b[K"
_COLOUR = r"(?:[0-4]|[34][0-7]|9[0-7]|10[0-7]|[34]8;5;\d{1,3}|[34]8;2;\d{1,3};\d{1,3};\d{1,3})"
# What rich draws panels, tables and its bar with: colours, a line erased, the line above, the cursor hidden and shown.
_DRAWING = re.compile(rf"(\r|\x1b\[(?:{_COLOUR}(?:;{_COLOUR})*m|2K|1A|\?25[hl]))")


class Terminal(io.TextIOBase):
    """A terminal that takes nothing but text: the rest of what is written is left out.

    Args:
        beside: the stream itself.
    """

    def __init__(self, beside: TextIO) -> None:
        self.beside = beside

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.beside.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        return self.beside.errors

    def write(self, text: str) -> int:
        self.beside.write(spoken(text))
        return len(text)

    def writable(self) -> bool:
        return True

    def flush(self) -> None:
        self.beside.flush()

    def isatty(self) -> bool:
        return self.beside.isatty()

    def fileno(self) -> int:
        return self.beside.fileno()


class Canvas(Terminal):
    """A terminal that rich draws on: `_DRAWING` passes too."""

    def write(self, text: str) -> int:
        parts = _DRAWING.split(text)
        self.beside.write("".join(part if i % 2 else spoken(part) for i, part in enumerate(parts)))
        return len(text)


def guard() -> None:
    """Let nothing but text through to a terminal; elsewhere names of files are read and written byte for byte.

    Streams that whoever started the program has closed are opened on nothing: else the next file that is opened would
    take their place, and get what is written to them.
    """
    _open_closed()
    codecs.register_error(_ERRORS, _encodable)
    for name in ("stdin", "stdout", "stderr"):
        stream = getattr(sys, name)
        if not isinstance(stream, io.TextIOWrapper):
            continue
        if codecs.lookup(stream.encoding).name == "ascii":
            stream.reconfigure(encoding="utf-8")
        if name == "stdin":
            stream.reconfigure(errors="surrogateescape")
        elif stream.isatty():
            stream.reconfigure(errors="backslashreplace")
            setattr(sys, name, Terminal(stream))
        elif name == "stdout":
            stream.reconfigure(errors=_ERRORS)


def _open_closed() -> None:
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # gets the lowest number that is free: this one
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", encoding="utf-8", closefd=False))


def _encodable(error: UnicodeError) -> tuple[str | bytes, int]:
    """Bytes of a file's name as they are, and what an encoding has not as an escape."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    part = error.object[error.start : error.end]
    if all("\udc80" <= each <= "\udcff" for each in part):
        return part.encode("utf-8", "surrogateescape"), error.end
    return part.encode("ascii", "backslashreplace").decode(), error.end


def say(*parts: str | Styled, end: str = "\n", out: bool = False, clean: Callable[[str], str] = visible) -> None:
    """Write a line of messages and names.

    Args:
        parts: texts from anywhere; those with looks are painted where there are colours.
        out: to stdout; otherwise to stderr.
        clean: what is done to each part.
    """
    painted = has_colours(out)
    _write(out, "".join(_painted(part, clean, painted) for part in parts) + end)


def put(text: str, end: str = "\n") -> None:
    """Write what programs read (a path, JSON) to stdout: as it is, or on a terminal as a message."""
    _write(True, (visible(text) if _is_terminal(sys.stdout) else text) + end)


@contextmanager
def speech(out: bool = True, wrapped: bool = True) -> Iterator[Callable[[str], None]]:
    """What writes one text of a conversation, piece by piece and at once: as it is, or on a terminal as `spoken`.

    Args:
        out: to stdout; otherwise to stderr.
        wrapped: on a terminal break lines between words; the text begins in the first column.
    """
    width = columns(out)
    if width is None:
        yield lambda piece: _write(out, piece)
        return
    words = Speech()
    lines = WordWrap(width if wrapped else sys.maxsize)
    try:
        yield lambda piece: _write(out, lines.feed(words.feed(piece)))
    finally:
        _write(out, lines.feed(words.end()) + lines.end())


def redraw(words: str = "") -> None:
    """Put one line of words, cut to the terminal's width, in the place of the line on stderr that the cursor is in."""
    line = visible(words).replace("\n", " ").replace("\t", " ")
    _write(False, _ERASE_LINE + line[: shutil.get_terminal_size().columns - 1])


def canvas() -> TextIO:
    """Stderr, for rich to draw on."""
    return Canvas(_beside(sys.stderr))  # type: ignore[return-value]


def columns(out: bool = False) -> int | None:
    """Width of the terminal behind stderr or stdout; None where there is none."""
    return shutil.get_terminal_size().columns if _is_terminal(sys.stdout if out else sys.stderr) else None


def has_colours(out: bool = False) -> bool:
    """Whether stderr or stdout is a terminal with colours."""
    wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return wanted and _is_terminal(sys.stdout if out else sys.stderr)


def forget(number: int = 1) -> None:
    """Keep Python from failing once more on what stdout (or stderr, 2) could not take."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), number)


def _painted(part: str | Styled, clean: Callable[[str], str], painted: bool) -> str:
    text = clean(str(part))
    if isinstance(part, str) or not painted or not text:
        return text
    return click.style(text, part.fg, bold=part.bold or None, dim=part.dim or None, underline=part.underline or None)


def _write(out: bool, text: str) -> None:
    stream = sys.stdout if out else sys.stderr
    if stream is not None:  # closed by who started the program
        beside = _beside(stream)
        try:
            beside.write(text)
            beside.flush()
        except BrokenPipeError:
            raise
        except OSError:
            if out:
                raise
            forget(2)  # the disk that messages go to is full: the work goes on without them


def _beside(stream: Any) -> TextIO:
    beside: TextIO = stream.beside if isinstance(stream, Terminal) else stream
    return beside


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()
