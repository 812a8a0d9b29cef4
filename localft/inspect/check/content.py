"""What can be seen in rows without a model: repeated rows, turns out of order, wording that is there already."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from localft.data.reading.data_file import place
from localft.data.rows.row import BUILT_KINDS, Row
from localft.inspect.check.problem import Problem
from localft.units import count

_MARKUP = re.compile(
    r"<\|(?:im_start|im_end|user|assistant|system|endoftext|eot_id|start_header_id|end_of_text|end)\|>"
    r"|\[/?INST\]|<</?SYS>>|</s>|<(?:start|end)_of_turn>|^### (?:Instruction|Response):",
    re.MULTILINE,
)
_ASKED = re.compile(r"^\W*(?:Q|Question|User|Human|Prompt|Input|Instruction)\W*:", re.MULTILINE | re.IGNORECASE)
_ANSWERED = re.compile(r"^\W*(?:A|Answer|Assistant|AI|Bot|Response|Output)\W*:", re.MULTILINE | re.IGNORECASE)
_MOST = 0.5  # of the rows; below that a likeness is chance


def look_at_rows(rows: Sequence[Row], use: str) -> Iterator[Problem]:
    """Problems of single rows and of all together, in this order.

    Args:
        rows: of all files of one use.
        use: "train" or "validation".
    """
    yield from repeated(rows, "duplicate row" if use == "train" else f"duplicate {use} row")
    for row in rows:
        yield from out_of_order(row)
    yield from marked_up(rows)
    yield from asked_in_texts(rows)


def repeated(rows: Sequence[Row], kind: str) -> Iterator[Problem]:
    """Rows that say the same as an earlier one, to the letter."""
    first: dict[object, Row] = {}
    for row in rows:
        before = first.setdefault((row.text, row.messages), row)
        if before is not row:
            first_place = place(before.source, before.line)
            where = first_place if before.source != row.source else first_place.partition(" of ")[0]
            message = f"{place(row.source, row.line)} repeats {where}"
            hint = "a row that stands there twice counts twice; remove it unless that is meant"
            yield Problem("warning", kind, row.source, row.line, message, hint)


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


def marked_up(rows: Sequence[Row]) -> Iterator[Problem]:
    """Rows in which a chat template's own words are typed; not those that quote a repository."""
    for row in rows:
        if row.source_kind in BUILT_KINDS:
            continue
        found = next(
            (m for text in (row.text, *(t.content for t in row.messages)) if (m := _MARKUP.search(text))), None
        )
        if found:
            message = f"{place(row.source, row.line)} has `{found[0]}` written out, which stays plain characters"
            hint = "localft applies the chat template itself: give messages without markup"
            yield Problem("warning", "template markup", row.source, row.line, message, hint)


def asked_in_texts(rows: Sequence[Row]) -> Iterator[Problem]:
    """Texts that are questions with their answers."""
    texts = [row for row in rows if row.kind == "text"]
    alike = [row for row in texts if _ASKED.search(row.text) and _ANSWERED.search(row.text)]
    if alike and len(alike) > _MOST * len(texts):
        first = alike[0]
        where = place(first.source, first.line)
        message = f"{count(len(alike), 'text')} look like questions with answers, the first in {where}"
        hint = (
            "a text is learned as a whole, question and all, and chat asks otherwise: "
            'give {"prompt": "…", "completion": "…"} to learn the answers'
        )
        yield Problem("warning", "questions as text", first.source, first.line, message, hint)
