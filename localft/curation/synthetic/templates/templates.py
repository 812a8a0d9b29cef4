"""Questions by template: every row of a document is the answer to a question that asks for it and for nothing else."""

from __future__ import annotations

from collections.abc import Iterator

from localft.curation.synthetic.documents import Document, Piece
from localft.curation.synthetic.templates import phrasings
from localft.curation.synthetic.templates.changes import commit_questions, thread_questions
from localft.curation.synthetic.templates.definitions import named_parts
from localft.curation.synthetic.templates.fence import fenced, language_of
from localft.curation.synthetic.templates.pages import page_questions
from localft.curation.synthetic.templates.questions import Question, as_of, is_plural, listed, places


def questions(document: Document, shared_subjects: frozenset[str] = frozenset()) -> Iterator[Question]:
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


def _file_questions(document: Document) -> Iterator[Question]:
    pieces = [piece for piece in document.pieces if piece.path]
    if len(pieces) == 1 and pieces[0].is_whole:
        piece = pieces[0]
        yield Question(piece, "file", phrasings.FILE, _content(piece, piece.path, "looks"), _fields(piece))
        return
    names = named_parts([piece.body for piece in pieces])
    for piece, where, defined in zip(pieces, places(pieces), names, strict=True):
        if defined:
            yield _defined(piece, where, defined)
        else:
            fields = {**_fields(piece), "where": where, "do": "do" if is_plural(where) else "does"}
            answer = _content(piece, f"{where} of {piece.path}", "look" if is_plural(where) else "looks")
            yield Question(piece, "lines", phrasings.LINES, answer, fields)


def _defined(piece: Piece, where: str, defined: list[str]) -> Question:
    several = len(defined) > 1
    names = listed([f"`{name}`" for name in defined])
    fields = {**_fields(piece), "names": names, "do": "do" if several else "does", "are": "are" if several else "is"}
    answer = _content(piece, f"{names} in {piece.path} ({where})", "look" if several else "looks")
    return Question(piece, "definitions", phrasings.DEFINED, answer, fields)


def _fields(piece: Piece) -> dict[str, str]:
    return {"path": piece.path, "name": piece.name}


def _content(piece: Piece, subject: str, verb: str) -> str:
    return f"{as_of(piece, subject, verb)}\n\n{fenced(piece.body, language_of(piece.path))}"
