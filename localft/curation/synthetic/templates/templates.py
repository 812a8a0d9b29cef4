"""Questions by template: every row of a document is the answer to a question that asks for it and for nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from localft.curation.synthetic.source_documents import Passage, SourceDocument
from localft.curation.synthetic.templates import phrasings
from localft.curation.synthetic.templates.changes import commit_questions, thread_questions
from localft.curation.synthetic.templates.definitions import named_parts
from localft.curation.synthetic.templates.fence import fenced, language_of
from localft.curation.synthetic.templates.pages import page_questions
from localft.curation.synthetic.templates.questions import Question, as_of, is_plural, listed, places


def questions(document: SourceDocument, shared_subjects: frozenset[str] = frozenset()) -> Iterator[Question]:
    """Questions about a document, in the order of its rows.

    Args:
        shared_subjects: first lines of commit messages that do not name a commit, because several have them.
    """
    if document.kind == "file":
        yield from _file_questions(document)
    elif document.kind == "page":
        yield from page_questions(document)
    elif document.kind == "commit":
        yield from commit_questions(document, shared_subjects)
    else:
        yield from thread_questions(document)


def _file_questions(document: SourceDocument) -> Iterator[Question]:
    passages = [passage for passage in document.passages if passage.path]
    if len(passages) == 1 and passages[0].is_whole:
        passage = passages[0]
        yield Question(passage, "file", phrasings.FILE, _content(passage, passage.path, "looks"), _fields(passage))
        return
    names = named_parts([passage.body for passage in passages]) if _in_a_row(passages) else [[] for _ in passages]
    for passage, where, defined in zip(passages, places(passages), names, strict=True):
        if defined:
            yield _defined(passage, where, defined)
        else:
            fields = {**_fields(passage), "where": where, "do": "do" if is_plural(where) else "does"}
            answer = _content(passage, f"{where} of {passage.path}", "look" if is_plural(where) else "looks")
            yield Question(passage, "lines", phrasings.LINES, answer, fields)


def _in_a_row(passages: Sequence[Passage]) -> bool:
    """Whether rows are all parts of a file, as far as they say, in order and cut between its lines."""
    parts = [passage.source.get("part") for passage in passages]
    whole = [[i, len(passages)] for i in range(1, len(passages) + 1)]
    lines = [passage.lines for passage in passages]
    apart = all(not one or not other or one[1] < other[0] for one, other in pairwise(lines))
    return apart and (parts == whole or not any(parts))


def _defined(passage: Passage, where: str, defined: list[str]) -> Question:
    several = len(defined) > 1 or defined[0].startswith(("the imports", "the exports", "the constants", "the types"))
    names = listed(defined)
    fields = {**_fields(passage), "names": names, "do": "do" if several else "does", "are": "are" if several else "is"}
    answer = _content(passage, f"{names} in {passage.path} ({where})", "look" if several else "looks")
    whole = all(name.startswith("`") for name in defined)
    return Question(passage, "definitions", phrasings.DEFINED if whole else phrasings.HELD, answer, fields)


def _fields(passage: Passage) -> dict[str, str]:
    return {"path": passage.path, "name": passage.name}


def _content(passage: Passage, subject: str, verb: str) -> str:
    return f"{as_of(passage, subject, verb)}\n\n{fenced(passage.body, language_of(passage.path))}"
