"""Sections to texts of a row's length: whole sections where they fit, never a torn line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from localft.data.github.wording import Section
from localft.data.summary import count

_TITLE = 160
_LEAST = 200


@dataclass
class Parts:
    """The texts that one item became.

    Attributes:
        texts: in order; each but the first begins with the item's title and "(part 2)".
        n_cut_lines: lines of patches that were left out.
    """

    texts: list[str] = field(default_factory=list)
    n_cut_lines: int = 0


def split(sections: Sequence[Section], max_chars: int) -> Parts:
    """Put sections together to texts of at most `max_chars` characters.

    A section that does not fit any more begins the next text. One that is longer than a text on its own is cut at
    a line's end, with a line that says so, where it is a patch; else it goes on in the next text, from an empty line or
    at least a line's end. A single line that is longer than a text makes that text longer.

    Args:
        sections: of one item, its head first.
        max_chars: the most characters; 0 puts everything into one text.
    """
    parts = Parts()
    title = sections[0].heading
    title = title if len(title) <= _TITLE else title[: _TITLE - 1] + "…"
    room = max(_LEAST, max_chars - len(title) - 20) if max_chars else 0
    pieces: list[str] = []
    length = 0
    for section in sections:
        for piece in _pieces(section, room, parts):
            if pieces and room and length + 2 + len(piece) > max_chars:
                parts.texts.append("\n\n".join(pieces))
                pieces = [f"{title} (part {len(parts.texts) + 1})"]
                length = len(pieces[0])
            length += 2 + len(piece) if pieces else len(piece)
            pieces.append(piece)
    parts.texts.append("\n\n".join(pieces))
    return parts


def _pieces(section: Section, room: int, parts: Parts) -> Iterator[str]:
    whole = f"{section.heading}\n{section.body}" if section.body else section.heading
    if not room or len(whole) <= room:
        yield whole
    elif section.patch:
        yield _cut(section, room, parts)
    else:
        heading = section.heading
        for block in _blocks(section.body, max(_LEAST, room - len(heading) - 13)):
            yield f"{heading}\n{block}"
            heading = f"{section.name}, continued:"


def _cut(section: Section, room: int, parts: Parts) -> str:
    """A patch's heading and as many of its lines as there is room for."""
    left = room - len(section.heading) - 50
    lines = section.body.split("\n")
    kept = 0
    while kept < len(lines) and left > len(lines[kept]):
        left -= len(lines[kept]) + 1
        kept += 1
    n_cut = len(lines) - kept
    parts.n_cut_lines += n_cut
    return "\n".join([section.heading, *lines[:kept], f"(the patch is cut here: {count(n_cut, 'more line')})"])


def _blocks(text: str, room: int) -> Iterator[str]:
    """A long text in blocks of at most `room` characters: paragraphs where they fit, else lines."""
    block = ""
    for paragraph in re.split(r"\n{2,}", text):
        fits = len(paragraph) <= room
        for piece, between in [(paragraph, "\n\n")] if fits else _lines(paragraph):
            if block and len(block) + len(between) + len(piece) > room:
                yield block
                block = ""
            block = f"{block}{between}{piece}" if block else piece
    if block:
        yield block


def _lines(paragraph: str) -> list[tuple[str, str]]:
    first, *others = paragraph.split("\n")
    return [(first, "\n\n"), *((line, "\n") for line in others)]
