"""What every kind of source gives: a document in lines, and the one shape in which it goes on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

Layout = Literal["code", "page", "text", "diff"]


class Line(NamedTuple):
    """One line, or a part of one that is too long for any chunk.

    Attributes:
        number: in the file, 1-based.
        text: with its "\\n", which only the parts of a split line (all but its last) and a file's last line lack.
    """

    number: int
    text: str


@dataclass(frozen=True)
class Document:
    """One file, page, commit, pull request or issue, before secrets are taken out and it is cut into chunks.

    Attributes:
        doc: its id; every row made from it has the same.
        source: the row's "source" without the keys that differ from chunk to chunk ("lines", "heading").
        path: what messages and reasons call it.
        title: first line of every chunk, such as "File: src/app.py".
        layout: how it is cut: "code" at definitions, "page" by section, "text" at blank lines, a "diff" at hunks.
        lines: its content.
        form: "markdown" or "rst" where it has headings of that kind.
        numbered: the line numbers are those of the file that the user has.
        left_out: what a diff had and its lines have not.
    """

    doc: str
    source: dict[str, Any]
    path: str
    title: str
    layout: Layout
    lines: Sequence[Line]
    form: str = ""
    numbered: bool = True
    left_out: Sequence[str] = ()


class Heading(NamedTuple):
    """A heading of a page: `at` is an index into its lines, `level` counts from 1 at the top."""

    at: int
    level: int
    text: str


def to_lines(text: str) -> list[Line]:
    """Lines of a text; Windows' and old Macs' line ends become "\\n"."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    parts = text.split("\n")
    last = parts.pop()
    lines = [Line(number, part + "\n") for number, part in enumerate(parts, 1)]
    return [*lines, Line(len(lines) + 1, last)] if last else lines


def joined(lines: Iterable[Line]) -> str:
    """The text of lines, without line ends at its end."""
    return "".join(line.text for line in lines).rstrip("\n")


def is_blank(line: Line) -> bool:
    return not line.text or line.text.isspace()


def trimmed(lines: Sequence[Line], first: int, stop: int) -> tuple[int, int]:
    """[first, stop) without blank lines at its ends; an empty range where all are blank."""
    while first < stop and is_blank(lines[first]):
        first += 1
    while stop > first and is_blank(lines[stop - 1]):
        stop -= 1
    return first, stop


_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


def odd_name(path: str) -> str:
    """Why a path cannot stand in a row, or ""."""
    found = _CONTROL.search(path)
    if not found:
        return ""
    return "name with control characters" if found.group() < "\x80" else "name that is not UTF-8"


def shown_name(path: str) -> str:
    """A path for a table: escapes in place of what a terminal would obey."""
    return _CONTROL.sub(lambda found: ascii(found.group())[1:-1], path)
