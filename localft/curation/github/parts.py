"""Sections to texts of a row's length: whole sections where they fit, never a torn line where one fits at all."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from localft.curation.chunking.hunks import Stretches
from localft.curation.github.sections import Section
from localft.curation.text_length import Measure
from localft.units import count

_TITLE = 160
_HUNK = re.compile(r"^(?=@@ -)", re.MULTILINE)
# An empty line between two sections, and what tokens at the joint may differ by.
_JOINT = 3
# Of a token, on average, in any text that is longer than a few rows.
_MOST_CHARACTERS = 8


@dataclass
class Parts:
    """The texts that one item became.

    Attributes:
        texts: in order; each but the first begins with the item's title and "(part 2)".
        n_cut_lines: lines of patches that are longer than a text, and left out.
        n_torn: lines of prose that were longer than a text by themselves and had to be torn.
    """

    texts: list[str] = field(default_factory=list)
    n_cut_lines: int = 0
    n_torn: int = 0


def split(sections: Sequence[Section], measure: Measure) -> Parts:
    """Put sections together to texts of at most `measure.limit` tokens.

    A section that does not fit any more begins the next text. One that is longer than a text on its own goes on in the
    next: a patch from a hunk or a line of one, whose header then says which lines follow; another one from an empty
    line, or at least a line's end, or at least a space.

    Args:
        sections: of one item, its head first.
        measure: counts tokens and says how many a row may have.
    """
    whole = "\n\n".join(_whole(section) for section in sections)
    if len(whole) <= _MOST_CHARACTERS * measure.limit and measure.fits(whole):
        return Parts([whole])
    return _Splitter(measure, sections[0].heading).split(sections)


def _whole(section: Section) -> str:
    return f"{section.heading}\n{section.body}" if section.body else section.heading


class _Splitter:
    """Splits one item. `room` is what a text holds, in tokens, below the title that each has."""

    def __init__(self, measure: Measure, title: str) -> None:
        self.measure = measure
        self.title = title if len(title) <= _TITLE else title[: _TITLE - 1] + "…"
        self.n_title = measure.row(f"{self.title} (part 99)") + _JOINT
        self.room = max(measure.limit - self.n_title - _JOINT, measure.limit // 4)
        self.parts = Parts()

    def split(self, sections: Sequence[Section]) -> Parts:
        texts = self.parts.texts
        pieces: list[str] = []
        left = self.measure.limit - self.measure.around
        for section in sections:
            for piece in self._pieces(section):
                size = self._size(piece) + _JOINT
                if pieces and size > left:
                    texts.append("\n\n".join(pieces))
                    pieces = [f"{self.title} (part {len(texts) + 1})"]
                    left = self.measure.limit - self.n_title
                left -= size
                pieces.append(piece)
        texts.append("\n\n".join(pieces))
        return self.parts

    def _size(self, text: str) -> int:
        """Tokens; not asked of a tokenizer where it is plain that they are more than a row has."""
        if len(text) > _MOST_CHARACTERS * self.measure.limit:
            return self.measure.limit + 1
        return self.measure.count(text)

    def _pieces(self, section: Section) -> Iterator[str]:
        whole = _whole(section)
        if self._size(whole) <= self.room:
            yield whole
        else:
            heading, again = section.heading, f"{section.name}, continued:"
            room = self.room - max(self._size(f"{heading}\n"), self._size(f"{again}\n")) - 1
            cut = self._patch if section.patch else self._blocks
            for block in cut(section.body, max(room, self.room // 4)):
                yield f"{heading}\n{block}"
                heading = again

    def _patch(self, patch: str, room: int) -> Iterator[str]:
        """A patch in stretches of at most `room` tokens, each with the headers of the hunks that it has."""
        block, left, n_long = list[str](), room, 0
        for hunk in _HUNK.split(patch):
            rest = Stretches(hunk, self._size, room)
            while rest:
                n_gone = rest.n_gone
                text = rest.take(left) if rest.left <= left or rest.left > room or left > room // 2 else ""
                if text:
                    block.append(text.rstrip("\n"))
                    left -= self._size(text)
                elif rest.n_gone == n_gone:
                    if not block:
                        break
                    yield "\n".join(block)
                    block, left = [], room
            n_long += rest.n_gone
        self.parts.n_cut_lines += n_long
        if n_long:
            block.append(f"(left out: {count(n_long, 'line')} longer than a row)")
        if block:
            yield "\n".join(block)

    def _blocks(self, text: str, room: int) -> Iterator[str]:
        """A long text in blocks of at most `room` tokens: paragraphs where they fit, else lines, else words."""
        block, left = "", room
        for piece, between in self._paragraphs(text, room):
            size = self._size(f"{between}{piece}")
            if block and size > left:
                yield block
                block, left = "", room
            block = f"{block}{between}{piece}" if block else piece
            left -= size
        if block:
            yield block

    def _paragraphs(self, text: str, room: int) -> Iterator[tuple[str, str]]:
        """Stretches that fit, each with what stands before it where it does not begin a block."""
        for paragraph in re.split(r"\n{2,}", text):
            between = "\n\n"
            if self._size(f"{between}{paragraph}") <= room:
                yield paragraph, between
                continue
            for line in paragraph.split("\n"):
                words = [line] if self._size(f"{between}{line}") <= room else list(self._torn(line, room - 2))
                self.parts.n_torn += len(words) > 1
                for part in words:
                    yield part, between
                    between = ""
                between = "\n"

    def _torn(self, line: str, room: int) -> Iterator[str]:
        """A line that is longer than a text in parts, which end at spaces where it has some."""
        first = 0
        while first < len(line):
            stop = min(len(line), first + _MOST_CHARACTERS * room)
            while stop > first + 1 and self.measure.count(line[first:stop]) > room:
                stop = first + int((stop - first) * 0.9)
            space = line.rfind(" ", (first + stop) // 2, stop) if stop < len(line) else -1
            stop = space + 1 if space > 0 else stop
            yield line[first:stop]
            first = stop
