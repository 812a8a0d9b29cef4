"""A commit to rows: its message, and its diff in as many rows as that takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from localft.curation.chunking.hunks import Stretches
from localft.curation.document import Line, joined
from localft.curation.text_length import Measure

# names of what a commit lacks that are written out, characters of its subject in later rows, and room for joints
_NAMES, _SUBJECT, _SLACK = 5, 160, 8
REST_OF_MESSAGE, LONG_LINES = "the rest of the message", "very long lines"


class _Hunk(NamedTuple):
    """A stretch of a file's diff, and the lines that name the file; a file that is only renamed has no stretch."""

    path: str
    header: str
    text: str


def diff_rows(lines: Sequence[Line], left_out: Sequence[str], measure: Measure) -> Iterator[str]:
    """Texts of at most a row's length; the first has the message, each later one the subject and "(part 2)".

    Args:
        lines: the message's, numbered 0, and the diff's.
        left_out: names of what the commit changed and the diff has not.
    """
    rows = _Rows(measure, joined(line for line in lines if line.number == 0), left_out)
    for hunk in _hunks([line for line in lines if line.number > 0]):
        rows.add(hunk)
    return rows.finished()


class _Rows:
    """Puts hunks together to rows."""

    def __init__(self, measure: Measure, message: str, left_out: Sequence[str]) -> None:
        self.measure, self.left_out = measure, list(left_out)
        subject, _, rest = message.partition("\n")
        self._subject = subject if len(subject) <= _SUBJECT else f"{subject[: _SUBJECT - 1]}…"
        self._date = rest.partition("\n")[0]
        self._most = measure.limit - measure.row(self._head(99)) - _SLACK
        self._rows: list[list[str]] = []
        self._path = ""
        self._begin(self._fitting(message))

    def _head(self, number: int) -> str:
        return f"{self._subject} (part {number})\n{self._date}\n"

    def _fitting(self, message: str) -> str:
        """A message, or as many of its lines as a row holds."""
        kept = message
        while kept and self.measure.row(f"{kept}\n\n[left out: {REST_OF_MESSAGE}]") > self.measure.limit:
            kept = kept[: int(len(kept) * 0.9)]
            kept = kept[: max(kept.rfind("\n"), kept.rfind(" "))] if {" ", "\n"} & set(kept) else kept
        self.left_out += [REST_OF_MESSAGE] if len(kept) < len(message) else []
        return kept

    def _begin(self, head: str) -> None:
        self._rows.append([head])
        self._path = ""

    @property
    def _room(self) -> int:
        return self.measure.limit - self.measure.row("\n".join(self._rows[-1])) - _SLACK

    def add(self, hunk: _Hunk) -> None:
        """Add a hunk to the last row, in whole or in part, and what does not fit to new ones."""
        if not hunk.text:
            if self.measure.count(hunk.header) > self._room:
                self._begin(self._head(len(self._rows) + 1))
            self._put(hunk, "")
        most = self._most - self.measure.count(hunk.header)
        rest = Stretches(hunk.text, self.measure.count, most)
        while rest:
            n_gone, room = rest.n_gone, self._room - (0 if self._path == hunk.path else self.measure.count(hunk.header))
            # a row that is nearly full is not filled up with a line or two
            text = rest.take(room) if rest.left <= room or rest.left > most or room > most // 2 else ""
            if text:
                self._put(hunk, text)
            elif rest.n_gone == n_gone and len(self._rows) > 1 and len(self._rows[-1]) == 1:
                self.left_out.append(hunk.path)
                return
            elif rest.n_gone == n_gone:
                self._begin(self._head(len(self._rows) + 1))
        if rest.n_gone:
            self.left_out.append(f"{hunk.path} ({LONG_LINES})")

    def _put(self, hunk: _Hunk, text: str) -> None:
        if self._path != hunk.path:
            self._rows[-1].append(hunk.header)
            self._path = hunk.path
        if text:
            self._rows[-1].append(text.rstrip("\n"))

    def finished(self) -> Iterator[str]:
        """The rows; the last one names what the commit lacks."""
        note = _note(self.left_out)
        if note and self.measure.row("\n".join([*self._rows[-1], "", note])) + 1 > self.measure.limit:
            self._begin(self._head(len(self._rows) + 1).rstrip("\n"))
        for row in self._rows:
            head, *hunks = row
            parts = [head.rstrip("\n"), *(["", *hunks] if hunks else [])]
            yield "\n".join([*parts, *(["", note] if note and row is self._rows[-1] else [])]) + "\n"


def _note(left_out: Sequence[str]) -> str:
    names = list(dict.fromkeys(left_out))
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    return f"[left out: {', '.join(names[:_NAMES])}{more}]" if names else ""


def _hunks(lines: Sequence[Line]) -> Iterator[_Hunk]:
    starts = [i for i, line in enumerate(lines) if line.text.startswith("diff --git ")]
    for start, stop in pairwise([*starts, len(lines)]):
        path = lines[start].text.rsplit(" b/", 1)[-1].strip()
        at = [i for i in range(start, stop) if lines[i].text.startswith("@@ ")]
        header = joined(lines[start : at[0] if at else stop])
        if not at:
            yield _Hunk(path, header, "")
            continue
        for first, after in pairwise([*at, stop]):
            yield _Hunk(path, header, joined(lines[first:after]) + "\n")
