"""Questions about pages and their sections; the answer is what the page says, as it says it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from localft.curation.synthetic.documents import Document, Piece
from localft.curation.synthetic.templates import phrasings
from localft.curation.synthetic.templates.questions import Question, is_plural, places


def page_questions(document: Document) -> Iterator[Question]:
    """A walk through the page where it is one row, else through each section of it."""
    pieces = [piece for piece in document.pieces if piece.path]
    if len(pieces) == 1 and pieces[0].is_whole and len(pieces[0].headings) < 2:
        piece = pieces[0]
        title = f"{_quoted(piece.headings)} ({piece.path})" if piece.headings else piece.path
        yield Question(piece, "page", phrasings.PAGE, piece.body, {"name": piece.name, "title": title})
        return
    sections: dict[tuple[str, ...], list[Piece]] = defaultdict(list)
    for piece in pieces:
        sections[piece.headings].append(piece)
    last = Counter(headings[-1] for headings in sections if headings)
    for headings, parts in sections.items():
        title = _quoted(headings if headings and last[headings[-1]] > 1 else headings[-1:])
        yield from _section_questions(parts, title, any(_is_above(headings, other) for other in sections))


def _section_questions(parts: Sequence[Piece], title: str, has_more: bool) -> Iterator[Question]:
    """Questions about the rows that stand under the same headings.

    Args:
        title: of the section, "" above the first heading.
        has_more: other rows hold the sections below it.
    """
    for piece, where in zip(parts, places(parts), strict=True):
        fields = {"name": piece.name, "path": piece.path, "title": title, "where": where}
        fields["do"] = "do" if is_plural(where) else "does"
        chosen: Sequence[str]
        if len(parts) > 1 or piece.is_part:
            chosen = phrasings.SECTION_PART if title else phrasings.PAGE_PART
        elif has_more:
            chosen = phrasings.SECTION_START if title else phrasings.PAGE_START
        else:
            chosen = phrasings.SECTION if title else phrasings.PAGE_PART
        yield Question(piece, "section", chosen, piece.body, fields)


def _quoted(headings: Sequence[str]) -> str:
    return f"“{' > '.join(headings)}”" if headings else ""


def _is_above(headings: tuple[str, ...], other: tuple[str, ...]) -> bool:
    return len(other) > len(headings) and other[: len(headings)] == headings
