"""Which rows belong together: those of one document, and those that say the same."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from localft.data.rows.normal_form import add_normal, digest
from localft.data.rows.row import Message, Row


def content_key(row: Row) -> bytes:
    """The same for rows that are equal but for case, white space and the Unicode form of their characters."""
    if row.known_key:
        return row.known_key
    found = hashlib.blake2b(digest_size=16)
    turns = [Message("text", row.text), *row.messages] if row.kind == "text" else row.messages
    for turn in turns:
        for number, text in enumerate((turn.role, turn.content, turn.input, *filter(None, (turn.reasoning,)))):
            found.update(b"\0" if number else b"")
            add_normal(found, text)
        found.update(b"\1")
    return found.digest()


def document_keys(row: Row) -> list[object]:
    """What rows of one document share: what they say, or the document that they name."""
    return [content_key(row)] + ([row.doc] if row.doc else [])


def number_documents(rows: Iterable[Row], *, by_name: bool = True) -> NDArray[np.int64]:
    """A number for each row [n_row], equal for rows of one document: that of the first of them.

    Rows that name the same document are of one; a row that names none is its own. Documents that share an equal row
    count as one, so that no row stands on both sides of a split.

    Args:
        by_name: heed the names of documents; else only equal rows are of one.
    """
    contents, named = array("Q"), dict[bytes, int]()
    pairs = array("q")  # two rows of one document, one behind the other
    for i, row in enumerate(rows):
        contents.append(int.from_bytes(content_key(row)[:8], "little"))
        if row.doc and by_name:
            first = named.setdefault(digest(row.doc), i)
            pairs.extend((first, i) if first != i else ())
    found = np.frombuffer(contents, np.uint64) if contents else np.empty(0, np.uint64)
    _, first_of, numbers = np.unique(found, return_index=True, return_inverse=True)
    parents: NDArray[np.int64] = first_of[numbers].astype(np.int64)
    for one, other in zip(pairs[::2], pairs[1::2], strict=True):
        _join(parents, one, other)
    return _roots(parents)


def _join(parents: NDArray[np.int64], i: int, j: int) -> None:
    """The smaller number stands for both."""
    a, b = _root(parents, i), _root(parents, j)
    parents[max(a, b)] = min(a, b)


def _root(parents: NDArray[np.int64], i: int) -> int:
    while parents[i] != i:
        parents[i] = parents[parents[i]]
        i = int(parents[i])
    return i


def _roots(parents: NDArray[np.int64]) -> NDArray[np.int64]:
    while True:
        above = parents[parents]
        if np.array_equal(above, parents):
            return parents
        parents = above
