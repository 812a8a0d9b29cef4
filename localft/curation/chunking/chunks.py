"""A document's lines to chunks of at most so many tokens, cut at the best places."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from localft.curation.chunking.boundaries import OUTER, PLAIN, depths, strengths
from localft.curation.document import Heading, Layout, Line, joined, trimmed
from localft.curation.text_length import Measure

Head = Callable[[int, int, bool], str]
# How good a cut before a line is, and how deep the line stands.
Place = tuple[int, int]

# Room for what a chunk's own tokens and those of its lines may differ by: pieces at the joints.
_SLACK = 2
# Of a token, on average, in any text longer than a few chunks.
_MOST_CHARACTERS = 8


@dataclass
class Splitter:
    """Cuts lines into chunks.

    Attributes:
        measure: counts, and says how many tokens a row may have.
        n_split_lines: lines that were longer than a chunk by themselves and had to be cut.
    """

    measure: Measure
    n_split_lines: int = 0

    def fits(self, head: str, lines: Sequence[Line]) -> bool:
        """Whether lines under a head are one row; not asked of a tokenizer where it is plain that they are not."""
        text = f"{head}\n\n{joined(lines)}"
        return len(text) <= _MOST_CHARACTERS * self.measure.limit and self.measure.fits(text)

    def chunks(
        self, lines: Sequence[Line], head: Head, layout: Layout, headings: Sequence[Heading] = ()
    ) -> Iterator[tuple[str, Sequence[Line]]]:
        """Yield the head and the lines of each chunk.

        No chunk begins or ends with a blank line, and no line is in two chunks. A line that is too long for any chunk
        is cut, at white space where it has some, and counted.

        Args:
            lines: of a document.
            head: first lines of a chunk, given its first and last line number and whether it is the first one.
            layout, headings: see `strengths`.
        """
        n_head = self.measure.row(f"{head(lines[-1].number, lines[-1].number, False)}\n\n")
        room = max(self.measure.limit - n_head - _SLACK, self.measure.limit // 4)
        pieces, sizes = self._sized(lines, room)
        moved = _moved(headings, lines, pieces)
        best = [*zip(strengths(pieces, layout, moved), depths(pieces, layout), strict=True), (PLAIN, 0)]
        until = [0, *accumulate(sizes)]
        begin, end = trimmed(pieces, 0, len(pieces))
        start, until = begin, until[: end + 1]
        while start < end:
            stop = self._stop(pieces, start, until, best, room, lambda a, b: head(a, b, start == begin))  # noqa: B023
            _, last = trimmed(pieces, start, stop)
            yield head(pieces[start].number, pieces[last - 1].number, start == begin), pieces[start:last]
            start, _ = trimmed(pieces, stop, end)

    def _stop(
        self,
        pieces: Sequence[Line],
        start: int,
        until: Sequence[int],
        best: Sequence[Place],
        room: int,
        head: Callable[[int, int], str],
    ) -> int:
        """Where the chunk that begins at `start` stops."""
        while True:
            stop = _choose(start, until, best, room)
            _, last = trimmed(pieces, start, stop)
            text = f"{head(pieces[start].number, pieces[last - 1].number)}\n\n{joined(pieces[start:last])}"
            if stop == start + 1 or self.measure.fits(text):
                return stop
            # the lines' own counts promised too much
            room = min(until[stop] - until[start] - 1, int(room * 0.95))

    def _sized(self, lines: Sequence[Line], room: int) -> tuple[list[Line], list[int]]:
        """Lines and their tokens, those longer than `room` in parts."""
        pieces: list[Line] = []
        sizes: list[int] = []
        for line in lines:
            size = self.measure.count(line.text) if line.text.strip() else 1
            parts = [line] if size <= room else list(self._parts(line, room))
            self.n_split_lines += len(parts) > 1
            pieces += parts
            sizes += [size] if len(parts) == 1 else [self.measure.count(part.text) for part in parts]
        return pieces, sizes

    def _parts(self, line: Line, room: int) -> Iterator[Line]:
        text, first = line.text, 0
        length = max(1, int(room * 2))
        while first < len(text):
            part = text[first : first + length]
            while len(part) > 1 and self.measure.count(part) > room:
                part = part[: int(len(part) * 0.8) or 1]
            space = part.rfind(" ", len(part) // 2)
            if first + len(part) < len(text) and space > 0:
                part = part[: space + 1]
            yield Line(line.number, part)
            first += len(part)


def _choose(start: int, until: Sequence[int], best: Sequence[Place], room: int) -> int:
    """The best place to end a chunk that begins at `start`: all that is left, or a boundary that leaves even parts."""
    last = len(until) - 1
    left = until[last] - until[start]
    if left <= room:
        return last
    even = left / -(-left // room)
    far = max(bisect_right(until, until[start] + room) - 1, start + 1)

    def between(share: float) -> int:
        near = min(max(bisect_left(until, until[start] + even * share), start + 1), far)
        return max(range(near, far + 1), key=lambda i: (*_rank(best[i]), -abs(until[i] - until[start] - even)))

    found = between(0.5)
    early = found if best[found][0] >= OUTER else between(0.2)
    # a chunk is short rather than cut where nothing begins
    return early if best[early][0] >= OUTER else found


def _rank(place: Place) -> tuple[int, int, int]:
    """Inside of what is defined a shallower line is a better place, before what else is good about it."""
    strength, depth = place
    return strength if strength >= OUTER or strength < PLAIN else PLAIN, -depth, strength


def _moved(headings: Sequence[Heading], lines: Sequence[Line], pieces: Sequence[Line]) -> Sequence[Heading]:
    """Headings by their index after long lines were cut."""
    if len(lines) == len(pieces) or not headings:
        return headings
    first: dict[int, int] = {}
    for i, piece in enumerate(pieces):
        first.setdefault(piece.number, i)
    return [heading._replace(at=first[lines[heading.at].number]) for heading in headings]
