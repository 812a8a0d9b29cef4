"""Whether rows suit the model: continuations on a chat model, conversations on one that has never seen any."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from localft.data.reading.data_file import place
from localft.data.rows.row import Row
from localft.data.tokens.run_wording import RunWording
from localft.inspect.check.problem import Problem
from localft.units import count

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
    texts = [row for row in rows if row.kind == "text"]
    if len(texts) == len(rows):
        message = f"all {count(len(texts), 'row')} are plain text, and the model is a chat model"
        hint = (
            "texts teach no turns and may spoil those it has: give prompts with answers or messages too "
            "(`localft data synth` makes them of texts), or train a base model"
        )
        yield _first(texts, message, hint)


def _continuations_for_chat(rows: Sequence[Row], wording: RunWording) -> Iterator[Problem]:
    pairs = [row for row in rows if row.kind == "completion"]
    spaced = [row for row in pairs if row.messages[1].content[:1] in (" ", "\n")]
    if spaced and len(spaced) > _MOST * len(pairs):
        some = f"of {count(len(pairs), 'completion')} {len(spaced):,} begin"
        message = f"{'every completion begins' if len(spaced) == len(pairs) else some} with a space or a line break"
        hint = (
            "that is how text for a base model goes on; behind a chat template an answer begins without: "
            "take it away, or give --raw"
        )
        yield _first(spaced, f"{message}, and the model is a chat model", hint)


def _talk_for_base(rows: Sequence[Row], wording: RunWording) -> Iterator[Problem]:
    talk = [row for row in rows if row.kind == "messages"]
    if talk and wording.templates["messages"].kind == "messages" and wording.tokenizer.chat_template is None:
        message = f"{count(len(talk), 'conversation')}, and the model has no chat template"
        hint = (
            "they are worded as plain `User:` and `Assistant:` lines, which it has to learn first: "
            "a chat model learns from fewer rows; --template names another wording"
        )
        yield _first(talk, message, hint)


def _joined(rows: Sequence[Row], wording: RunWording) -> Iterator[Problem]:
    blunt = [row for row in rows if wording.joins_bluntly(row)]
    if blunt:
        message = f"in {count(len(blunt), 'row')} nothing stands between prompt and completion"
        hint = "most models want a space or a line break at the start of the completion"
        yield _first(blunt, message, hint)


def _first(rows: Sequence[Row], message: str, hint: str) -> Problem:
    where = f"the first in {place(rows[0].source, rows[0].line)}"
    return Problem("warning", "does not suit the model", rows[0].source, rows[0].line, f"{message}, {where}", hint)
