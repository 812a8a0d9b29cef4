"""Questions about pages and their sections; the answer is what the page says, as it says it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from localft.curation.synthetic.source_documents import Passage, SourceDocument
from localft.curation.synthetic.templates import phrasings
from localft.curation.synthetic.templates.questions import Question, is_plural, places


def page_questions(document: SourceDocument) -> Iterator[Question]:
    """A walk through the page where it is one row, else through each section of it."""
    passages = [passage for passage in document.passages if passage.path]
    if len(passages) == 1 and passages[0].is_whole and len(passages[0].headings) < 2:
        passage = passages[0]
        title = f"{_quoted(passage.headings)} ({passage.path})" if passage.headings else passage.path
        yield Question(passage, "page", phrasings.PAGE, passage.body, {"name": passage.name, "title": title})
        return
    sections: dict[tuple[str, ...], list[Passage]] = defaultdict(list)
    for passage in passages:
        sections[passage.headings].append(passage)
    last = Counter(headings[-1] for headings in sections if headings)
    above = {headings[:n] for headings in sections for n in range(len(headings))}
    for headings, parts in sections.items():
        title = _quoted(headings if headings and last[headings[-1]] > 1 else headings[-1:])
        yield from _section_questions(parts, title, headings in above)


def _section_questions(parts: Sequence[Passage], title: str, has_more: bool) -> Iterator[Question]:
    """Questions about the rows that stand under the same headings.

    Args:
        title: of the section, "" above the first heading.
        has_more: other rows hold the sections below it.
    """
    for passage, where in zip(parts, places(parts), strict=True):
        fields = {"name": passage.name, "path": passage.path, "title": title, "where": where}
        fields["do"] = "do" if is_plural(where) else "does"
        chosen: Sequence[str]
        if len(parts) > 1 or passage.is_part:
            chosen = phrasings.SECTION_PART if title else phrasings.PAGE_PART
        elif has_more:
            chosen = phrasings.SECTION_START if title else phrasings.PAGE_START
        else:
            chosen = phrasings.SECTION if title else phrasings.PAGE_PART
        yield Question(passage, "section", chosen, passage.body, fields)


def _quoted(headings: Sequence[str]) -> str:
    return f"“{' > '.join(headings)}”" if headings else ""
