"""What a template gives: phrasings of one question, and the answer."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from localft.curation.synthetic.source_documents import Passage

_DATE = re.compile(r"\d{4}-\d\d-\d\d(?=\Z|[T ])")


@dataclass(frozen=True)
class Question:
    """One question in several phrasings, and what answers all of them.

    Attributes:
        passage: the row that it is made from.
        template: what kind of question it is, as the row's "synth" says it.
        phrasings: with fields in braces.
        answer: to each of them.
        fields: what stands for the braces.
    """

    passage: Passage
    template: str
    phrasings: Sequence[str]
    answer: str
    fields: dict[str, str] = field(default_factory=dict)

    def worded(self, phrasing: str) -> str:
        return phrasing.format(**self.fields)


def date_of(passage: Passage) -> str:
    """The day of what the row was made from, that of the snapshot where one was given; "" where nothing says.

    A file that differs from its last commit has no revision; that commit's date is not the date of its content.
    """
    if snapshot := _DATE.match(passage.fact("as_of")):
        return snapshot[0]
    if passage.kind == "file" and "revision" in passage.source and not passage.fact("revision"):
        return ""
    match = _DATE.match(passage.fact("date"))
    return match[0] if match else ""


def as_of(passage: Passage, subject: str, verb: str) -> str:
    """ "As of 2024-05-01, src/app.py looks like so:"."""
    date = date_of(passage)
    if date:
        return f"As of {date}, {subject} {verb} like so:"
    begins = subject[0].upper() if subject != passage.path else subject[0]
    return f"{begins}{subject[1:]} {verb} like so:"


def places(passages: Sequence[Passage]) -> list[str]:
    """Where each of the parts of one thing is: "lines 4-9"; "part 2 of 3" where lines do not tell them apart."""
    seen = Counter(passage.lines for passage in passages)
    found = []
    for i, passage in enumerate(passages, 1):
        lines = passage.lines
        if lines is None or seen[lines] > 1:
            found.append(f"part {i} of {len(passages)}")
        else:
            found.append(f"lines {lines[0]}-{lines[1]}" if lines[0] != lines[1] else f"line {lines[0]}")
    return found


def is_plural(place: str) -> bool:
    return place.startswith("lines")


def listed(names: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)
