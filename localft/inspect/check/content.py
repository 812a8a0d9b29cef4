"""What can be seen in rows without a model: repeated rows, turns out of order, wording that is there already."""

from __future__ import annotations

import functools
import re
from array import array
from collections.abc import Iterator, Sequence

import numpy as np

from localft.data.reading.data_file import place
from localft.data.rows.markup import typed_markup
from localft.data.rows.row import Row
from localft.inspect.check.problem import Problem, Problems
from localft.units import count_and_verb

_ASKED = re.compile(r"^[^\w\n]*(?:Q|Question|User|Human|Prompt|Input|Instruction)\W*:", re.MULTILINE | re.IGNORECASE)
_ANSWERED = re.compile(r"^[^\w\n]*(?:A|Answer|Assistant|AI|Bot|Response|Output)\W*:", re.MULTILINE | re.IGNORECASE)
_MOST = 0.5  # of the rows; below that a likeness is chance


def look_at_rows(rows: Sequence[Row], use: str) -> Problems:
    """Problems of single rows and of all together, in this order.

    Args:
        rows: of all files of one use.
        use: "train" or "validation".
    """
    keys, disordered, marked, asked = array("q"), Problems(), Problems(), _AskedInTexts()
    for row in rows:  # once: of many rows each is read anew
        keys.append(hash((row.text, row.messages)))
        disordered.extend(out_of_order(row))
        marked.extend(marked_up(row))
        asked.look(row)
    problems = _repeated(rows, keys, "duplicate row" if use == "train" else f"duplicate {use} row")
    for each in (disordered, marked, asked.problems()):
        problems.extend(each)
    return problems


def _repeated(rows: Sequence[Row], keys: array[int], kind: str) -> Problems:
    """Rows that say the same as an earlier one, to the letter."""
    _, first, same = np.unique(np.frombuffer(keys or b"", np.int64), return_index=True, return_inverse=True)
    first_of = first[same]
    problems = Problems()
    for i in np.flatnonzero(first_of != np.arange(first_of.size)).tolist():
        problems.count("warning", kind, functools.partial(_repeats, rows, i, int(first_of[i]), kind))
    return problems


def _repeats(rows: Sequence[Row], i: int, first: int, kind: str) -> Problem:
    row, before = rows[i], rows[first]
    first_place = place(before.source, before.line)
    where = first_place if before.source != row.source else first_place.partition(" of ")[0]
    message = f"{place(row.source, row.line)} repeats {where}"
    hint = "a row that stands there twice counts twice; remove it unless that is meant"
    return Problem("warning", kind, row.source, row.line, message, hint)


def out_of_order(row: Row) -> Iterator[Problem]:
    """Turns that do not alternate, or a system message that is not the first."""
    roles = [message.role for message in row.messages]
    talk = [role for role in roles if role != "system"]
    wrong = ""
    if "system" in roles[1:]:
        wrong = f"message {roles.index('system', 1) + 1} is a system message, expected only in front"
    elif talk[:1] == ["assistant"]:
        wrong = "the assistant speaks first"
    else:
        doubled = next((i for i in range(1, len(talk)) if talk[i] == talk[i - 1]), None)
        if doubled is not None:
            wrong = f"message {doubled + 1 + roles.count('system')} is the {talk[doubled]}'s second in a row"
    if wrong:
        message = f"{place(row.source, row.line)}: {wrong}"
        hint = "user and assistant take turns, behind at most one system message; many chat templates insist on it"
        yield Problem("warning", "roles out of order", row.source, row.line, message, hint)
    if talk and talk[-1] != "assistant":
        message = f"{place(row.source, row.line)} ends unanswered: what follows its last answer is left out"
        yield Problem("warning", "unanswered", row.source, row.line, message, "add the answer, or remove the turn")


def marked_up(row: Row) -> Iterator[Problem]:
    """A row in which a chat template's own words are typed."""
    if found := typed_markup(row):
        message = f"{place(row.source, row.line)} has `{found}` written out, which stays plain characters"
        hint = "localft applies the chat template itself: give messages without markup"
        yield Problem("warning", "template markup", row.source, row.line, message, hint)


class _AskedInTexts:
    """Texts that are questions with their answers."""

    def __init__(self) -> None:
        self._n_text = self._n_alike = 0
        self._place = ("", 0)

    def look(self, row: Row) -> None:
        if row.kind != "text":
            return
        self._n_text += 1
        if _ASKED.search(row.text) and _ANSWERED.search(row.text):
            self._n_alike += 1
            self._place = (row.source, row.line) if self._n_alike == 1 else self._place

    def problems(self) -> Iterator[Problem]:
        if self._n_alike > _MOST * self._n_text:
            source, line = self._place
            alike = f"{count_and_verb(self._n_alike, 'text', 'looks', 'look')} like questions with answers"
            message = f"{alike}, the first in {place(source, line)}"
            hint = (
                "a text is learned as a whole, question and all, and chat asks otherwise: "
                'give {"prompt": "…", "completion": "…"} to learn the answers'
            )
            yield Problem("warning", "questions as text", source, line, message, hint)
