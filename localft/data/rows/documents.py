"""Which rows belong together: those of one document, and those that say the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from localft.data.rows.normal_form import normal
from localft.data.rows.row import Row


def content_key(row: Row) -> bytes:
    """The same for rows that are equal but for case, white space and the Unicode form of their characters."""
    if row.known_key:
        return row.known_key
    digest = hashlib.blake2b(digest_size=16)
    turns = [("text", row.text, ""), *row.messages] if row.kind == "text" else row.messages
    for fields in turns:
        digest.update("\0".join(map(normal, fields)).encode("utf-8") + b"\1")
    return digest.digest()


def document_keys(row: Row) -> list[object]:
    """What rows of one document share: what they say, or the document that they name."""
    return [content_key(row)] + ([row.doc] if row.doc else [])


def number_documents(rows: Iterable[Row]) -> list[int]:
    """A number for each row, equal for rows of one document.

    Rows that name the same document are of one; a row that names none is its own. Documents that share an equal row
    count as one, so that no row stands on both sides of a split.
    """
    first: dict[object, int] = {}
    parents: list[int] = []
    for i, row in enumerate(rows):
        parents.append(i)
        for key in document_keys(row):
            _join(parents, first.setdefault(key, i), i)
    return [_root(parents, i) for i in range(len(parents))]


def _root(parents: list[int], i: int) -> int:
    while parents[i] != i:
        parents[i] = parents[parents[i]]
        i = parents[i]
    return i


def _join(parents: list[int], i: int, j: int) -> None:
    """The smaller number stands for both."""
    a, b = _root(parents, i), _root(parents, j)
    parents[max(a, b)] = min(a, b)
