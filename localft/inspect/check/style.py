"""Whether rows suit the model: continuations on a chat model, conversations on one that has never seen any."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from localft.data.reading.data_file import place
from localft.data.rows.row import Row
from localft.data.tokens.run_wording import RunWording
from localft.inspect.check.problem import Problem
from localft.units import count, count_and_verb

_MOST = 0.5


def look_at_style(rows: Sequence[Row], wording: RunWording) -> Iterator[Problem]:
    """One problem for each way in which the training rows do not suit the model.

    Args:
        rows: to train on.
        wording: of the model, as the run would have it.
    """
    if not rows:
        return
    chat = wording.templates["messages"].kind == "chat"
    parts = (_texts_for_chat, _continuations_for_chat) if chat else (_talk_for_base, _joined)
    for part in parts:
        yield from part(rows, wording)


def _texts_for_chat(rows: Sequence[Row], wording: RunWording) -> Iterator[Problem]:
    if all(row.kind == "text" for row in rows):
        every = "all " if len(rows) > 1 else ""
        are = count_and_verb(len(rows), "row", "is", "are")
        message = f"{every}{are} plain text, and the model is a chat model"
        hint = (
            "texts teach no turns and may spoil those it has: give prompts with answers or messages too "
            "(`localft data synth` makes them of texts), or train a base model"
        )
        yield _first(rows[0], message, hint)


def _continuations_for_chat(rows: Sequence[Row], wording: RunWording) -> Iterator[Problem]:
    n_pair = sum(row.kind == "completion" for row in rows)
    first, n_spaced = _found(rows, lambda row: row.kind == "completion" and row.messages[1].content[:1] in (" ", "\n"))
    if first and n_spaced > _MOST * n_pair:
        some = f"of {count(n_pair, 'completion')} {n_spaced:,} begin"
        message = f"{'every completion begins' if n_spaced == n_pair else some} with a space or a line break"
        hint = (
            "that is how text for a base model goes on; behind a chat template an answer begins without: "
            "take it away, or give --raw"
        )
        yield _first(first, f"{message}, and the model is a chat model", hint)


def _talk_for_base(rows: Sequence[Row], wording: RunWording) -> Iterator[Problem]:
    first, n_talk = _found(rows, lambda row: row.kind == "messages")
    if first and wording.templates["messages"].kind == "messages" and wording.tokenizer.chat_template is None:
        message = f"{count(n_talk, 'conversation')}, and the model has no chat template"
        hint = (
            "they are worded as plain `User:` and `Assistant:` lines, which it has to learn first: "
            "a chat model learns from fewer rows; --template names another wording"
        )
        yield _first(first, message, hint)


def _joined(rows: Sequence[Row], wording: RunWording) -> Iterator[Problem]:
    first, n_blunt = _found(rows, wording.joins_bluntly)
    if first:
        message = f"in {count(n_blunt, 'row')} nothing stands between prompt and completion"
        hint = "most models want a space or a line break at the start of the completion"
        yield _first(first, message, hint)


def _found(rows: Sequence[Row], wanted: Callable[[Row], bool]) -> tuple[Row | None, int]:
    """The first of the rows that are wanted, and how many they are."""
    first, n = None, 0
    for row in rows:
        if wanted(row):
            first, n = first or row, n + 1
    return first, n


def _first(row: Row, message: str, hint: str) -> Problem:
    where = f"the first in {place(row.source, row.line)}"
    return Problem("warning", "does not suit the model", row.source, row.line, f"{message}, {where}", hint)
