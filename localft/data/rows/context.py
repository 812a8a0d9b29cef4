"""What stands in a row beside its question and answer and belongs before them: a system message, earlier turns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from localft.data.reading.data_file import name_of
from localft.data.rows.row import Message
from localft.data.rows.turns import EMPTY, is_turn, read_turns
from localft.errors import DatasetError

_SYSTEM = ("system", "system_prompt")
_HISTORY = "history"
_REASONING = "reasoning_content"


class InContext(NamedTuple):
    """A conversation, and the keys that were used for it beside those of its format."""

    messages: tuple[Message, ...]
    used: tuple[str, ...]


def in_context(where: str, row: Mapping[str, Any], messages: tuple[Message, ...], *, asked: bool) -> InContext:
    """Put a row's own system message, and of a question with its answer its history and reasoning, where they belong.

    Raises:
        DatasetError: one of them is of no kind that can be read, or there are two system messages.
    """
    used: list[str] = []
    if asked:
        if row.get(_REASONING) not in EMPTY:
            used.append(_REASONING)
            messages = (*messages[:-1], messages[-1]._replace(reasoning=_text(where, row, _REASONING)))
        if row.get(_HISTORY) not in EMPTY:
            used.append(_HISTORY)
            messages = (*_history(where, row[_HISTORY]), *messages)
    for name in _SYSTEM:
        if row.get(name) in EMPTY:
            continue
        used.append(name)
        system = Message("system", _text(where, row, name))
        if messages[0].role == "system" and messages[0].content != system.content:
            message = f'{where} has "{name}" beside another system message'
            raise DatasetError(message, "keep the one that is to stand in front of the conversation")
        messages = messages if messages[0].role == "system" else (system, *messages)
    return InContext(messages, tuple(used))


def _text(where: str, row: Mapping[str, Any], name: str) -> str:
    if not isinstance(row[name], str):
        raise DatasetError(f'"{name}" in {where} is {name_of(row[name])}, expected text', "write it as one text")
    return str(row[name])


def _history(where: str, history: Any) -> tuple[Message, ...]:
    """Pairs of a question and its answer, or turns."""
    if isinstance(history, list) and is_turn(history[0]):
        return read_turns(where, _HISTORY, history, answered=False).messages
    messages: list[Message] = []
    for pair in history if isinstance(history, list) else [history]:
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(text, str) for text in pair)):
            hint = '"history" is a list of [question, answer], or of turns'
            raise DatasetError(f'"history" in {where} holds {name_of(pair)}, expected pairs of texts', hint)
        messages += [Message("user", pair[0]), Message("assistant", pair[1])]
    return tuple(messages)
