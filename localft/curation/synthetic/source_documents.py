"""Rows of raw text to documents: what each row is a part of, so that a question asks for what its answer holds."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from sys import getsizeof
from typing import Any

from localft.data.reading.data_file import place
from localft.data.reading.data_format import no_lines
from localft.data.reading.expansion import refuse_expansion
from localft.data.reading.lines import json_values
from localft.data.rows.formats import read_row
from localft.data.rows.row import BUILT_KINDS, USUAL_COLUMNS
from localft.errors import DatasetError
from localft.units import size

NO_KIND, NO_TEXT, EMPTY = "rows without a source", "rows that are conversations already", "empty rows"
MOST_BYTES = 512 << 20
_ROW_BYTES = 2048  # what a row takes beside its text
_TITLE = re.compile(r"(?:File|Page): .*\n(?:Section: .*\n)?\n*")
_PART = re.compile(r" \((?:lines \d+-\d+|part \d+)\)\Z")


@dataclass(frozen=True)
class Passage:
    """One row of raw text.

    Attributes:
        text: as the row has it.
        doc, source: the row's; "" and {} where it has none.
        line: where the row stands in its file, 1-based.
    """

    text: str
    doc: str
    source: dict[str, Any]
    line: int = 0

    @property
    def kind(self) -> str:
        return self.fact("kind")

    @property
    def name(self) -> str:
        """The repository or site that it is from."""
        return self.fact("repository") or self.fact("site") or re.split(r"[:#@]", self.doc, maxsplit=1)[0]

    @property
    def path(self) -> str:
        """Of a file or a page, in its repository."""
        return self.fact("path") or (self.doc.partition(":")[2] if self.kind in ("file", "page") else "")

    @property
    def body(self) -> str:
        """The text without the lines above it that say where it is from, and without blank lines around it."""
        title = _TITLE.match(self.text) if self.kind in ("file", "page") else None
        return self.text[title.end() if title else 0 :].strip("\n")

    @property
    def headings(self) -> tuple[str, ...]:
        """Of a page's section, from the top."""
        found = self.source.get("heading")
        return tuple(each for each in found if isinstance(each, str) and each) if isinstance(found, list) else ()

    @property
    def lines(self) -> tuple[int, int] | None:
        """First and last line in the file, 1-based."""
        match self.source.get("lines"):
            case [int(first), int(last)]:
                return first, last
        return None

    @property
    def is_whole(self) -> bool:
        """Whether it is all that its document has, as far as it says; rows beside it may be missing."""
        match self.source.get("part"):
            case [int(), int(n)] if n > 1:
                return False
        return not self.is_part

    @property
    def is_part(self) -> bool:
        """Whether its first line says that it is not the first part of what it is from."""
        first, _, rest = self.text.partition("\n")
        # a pull request may be called "… (part 2)"; only its first row says its state
        return bool(_PART.search(first)) and not rest.startswith("State: ")

    def fact(self, key: str) -> str:
        value = self.source.get(key)
        return value if isinstance(value, str) else str(value) if type(value) is int else ""


@dataclass
class SourceDocument:
    """The rows of one document and one kind, in order."""

    doc: str
    kind: str
    passages: list[Passage] = field(default_factory=list)


@dataclass
class Material:
    """What was read: documents in the order of their first rows, how many rows, and rows left out by reason."""

    documents: list[SourceDocument] = field(default_factory=list)
    n_rows: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


def read_documents(
    paths: Sequence[Path], kinds: Iterable[str] = BUILT_KINDS, allow_expansion: bool = False
) -> Material:
    """Read files of rows. Those that are wanted are held in memory.

    Args:
        paths: JSON Lines, perhaps compressed, as `localft data build` writes them.
        kinds: kinds of sources that are wanted; others are left out and counted.
        allow_expansion: compressed files may hold however much they like, see `refuse_expansion`.

    Raises:
        DatasetError: a file cannot be read, a line of it is no row (named), or they hold too much.
    """
    wanted, found, room = frozenset(kinds), Material(), MOST_BYTES
    known: dict[tuple[str, str, str], SourceDocument] = {}
    for path in paths:
        if not allow_expansion:
            refuse_expansion(path)
        for passage in _pieces(path, found):
            reason = _unwanted(passage, wanted)
            if reason:
                found.left_out[reason] += 1
                continue
            # a row without an id is a document of its own
            key = (passage.doc, passage.kind, "" if passage.doc else f"{path}:{passage.line}")
            if key not in known:
                known[key] = SourceDocument(passage.doc, passage.kind)
                found.documents.append(known[key])
            known[key].passages.append(passage)
            room -= getsizeof(passage.text) + _ROW_BYTES
            if room < 0:
                message = f"the rows up to {place(path, passage.line)} take more than {size(MOST_BYTES)} of memory"
                raise DatasetError(message, "split the file, and give its parts one after the other")
    return found


def _pieces(path: Path, found: Material) -> Iterator[Passage]:
    if other := no_lines(path):
        raise DatasetError(f"`{path}` is {other[0]}, expected JSON lines", other[1])
    before = found.n_rows
    for line, value in json_values(path):
        row = read_row(path, line, value, USUAL_COLUMNS).row
        found.n_rows += 1
        if row.kind != "text":
            found.left_out[NO_TEXT] += 1
            continue
        source = value.get("source")
        yield Passage(row.text, row.doc, source if isinstance(source, dict) else {}, line)
    if found.n_rows == before:
        raise DatasetError(f"`{path}` has no rows", "make some: `localft data build . -o rows.jsonl`")


def _unwanted(passage: Passage, wanted: frozenset[str]) -> str:
    if passage.kind not in BUILT_KINDS:
        return NO_KIND
    if passage.kind not in wanted:
        return f"rows of kind {passage.kind}"
    return "" if passage.body else EMPTY
