"""A document to rows: one where it fits; else a file's chunks, a page's sections, or the rows of a diff."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from localft.curation.chunking.chunks import Splitter
from localft.curation.chunking.diffs import diff_rows
from localft.curation.chunking.outline import find_headings
from localft.curation.document import Document, Heading, Line, is_blank, joined, trimmed


class Chunk(NamedTuple):
    """One row.

    Attributes:
        text: its head and its content.
        extra: what its "source" has beyond the document's.
        first, last: line numbers of its content.
        n_head: characters before the content.
    """

    text: str
    extra: dict[str, Any]
    first: int
    last: int
    n_head: int = 0


def lay_out(document: Document, lines: Sequence[Line], splitter: Splitter) -> Iterator[Chunk]:
    """Rows of a document.

    Args:
        lines: the document's, without secrets.
        splitter: says what fits; counts lines that it had to cut.
    """
    first, stop = trimmed(lines, 0, len(lines))
    lines = lines[first:stop]
    if not lines:
        return
    if document.layout == "diff":
        for text in diff_rows(lines, document.left_out, splitter.measure):
            yield Chunk(text, {}, lines[0].number, lines[-1].number)
    elif document.layout == "page":
        yield from _Page(document, lines, splitter).rows()
    else:
        headings = find_headings(lines, document.form)
        yield from _chunks(document, lines, splitter, headings, [document.title], {})


def _numbers(document: Document, first: int, last: int) -> dict[str, Any]:
    return {"lines": [first, last] if document.numbered else None}


def _chunks(
    document: Document,
    lines: Sequence[Line],
    splitter: Splitter,
    headings: Sequence[Heading],
    head: Sequence[str],
    extra: dict[str, Any],
) -> Iterator[Chunk]:
    """Lines under the lines of `head`; those that do not fit together in chunks, which say where they are from."""
    whole = "\n".join(head)
    if splitter.fits(whole, lines):
        yield _chunk(document, whole, lines, extra)
        return
    part = 0

    def chunk_head(first: int, last: int, is_first: bool) -> str:
        where = f"lines {first}-{last}" if document.numbered else f"part {part + 1}"
        return whole if is_first else "\n".join([f"{head[0]} ({where})", *head[1:]])

    for title, chosen in splitter.chunks(lines, chunk_head, document.layout, headings):
        yield _chunk(document, title, chosen, extra)
        part += 1


def _chunk(document: Document, head: str, lines: Sequence[Line], extra: dict[str, Any]) -> Chunk:
    first, last = lines[0].number, lines[-1].number
    return Chunk(f"{head}\n\n{joined(lines)}\n", {**extra, **_numbers(document, first, last)}, first, last, len(head))


class _Page:
    """A page by section: the largest sections that fit, each with the headings above it."""

    def __init__(self, document: Document, lines: Sequence[Line], splitter: Splitter) -> None:
        self.document, self.lines, self.splitter = document, lines, splitter
        self.headings = find_headings(lines, document.form)
        self.at = [heading.at for heading in self.headings]

    def rows(self) -> Iterator[Chunk]:
        stop = len(self.lines)
        first = self.headings[0] if self.headings else None
        # one heading over all of it is the page's title
        lone = first and first.at == 0 and all(heading.level > first.level for heading in self.headings[1:])
        yield from self._section(0, stop, 1 if lone else 0, [self.headings[0].text] if lone else [])

    def _section(self, start: int, stop: int, first: int, path: list[str]) -> Iterator[Chunk]:
        """Lines [start, stop), whose headings from `first` on are below those in `path`."""
        start, stop = trimmed(self.lines, start, stop)
        lines = self.lines[start:stop]
        if not lines:
            return
        head = [self.document.title, *([f"Section: {' > '.join(path)}"] if path else [])]
        last = bisect_left(self.at, stop)
        inside = list(enumerate(self.headings[first:last], first))
        if not inside or self.splitter.fits("\n".join(head), lines):
            yield from _chunks(self.document, lines, self.splitter, [], head, {"heading": path})
            return
        top = min(each.level for _, each in inside)
        tops = [(i, each) for i, each in inside if each.level == top]
        yield from self._intro(start, inside[0][1].at, head, path)
        if inside[0][0] < tops[0][0]:
            yield from self._section(inside[0][1].at, tops[0][1].at, inside[0][0], path)
        for (i, each), after in zip(tops, [*(each.at for _, each in tops[1:]), stop], strict=True):
            yield from self._section(each.at, after, i + 1, [*path, each.text])

    def _intro(self, start: int, stop: int, head: list[str], path: list[str]) -> Iterator[Chunk]:
        """What stands before the first heading inside; a heading alone is said by the headings' path already."""
        start, stop = trimmed(self.lines, start, stop)
        titled = bool(path) and start in self.at[(i := bisect_left(self.at, start)) : i + 1]
        words = [
            line
            for line in self.lines[start + titled : stop]
            if not is_blank(line) and any(map(str.isalnum, line.text))
        ]
        if words:
            yield from _chunks(self.document, self.lines[start:stop], self.splitter, [], head, {"heading": path})
