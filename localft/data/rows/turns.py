"""Conversations to messages: OpenAI's "messages" and ShareGPT's "conversations"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from localft.data.reading.data_file import name_of
from localft.data.rows.row import ROLES, Message
from localft.errors import DatasetError


class TurnFormat(NamedTuple):
    """How a turn is written: the keys of its role and its words, and what the roles are called."""

    role: str
    content: str
    names: Mapping[str, str]
    hint: str


_OPENAI = TurnFormat(
    "role",
    "content",
    {role: role for role in ROLES},
    '"messages" is a list of {"role": "system" | "user" | "assistant", "content": "…"}',
)
_SHAREGPT = TurnFormat(
    "from",
    "value",
    {
        "system": "system",
        **dict.fromkeys(("human", "user"), "user"),
        **dict.fromkeys(("gpt", "assistant", "chatgpt", "bing", "bard", "model"), "assistant"),
    },
    '"conversations" is a list of {"from": "system" | "human" | "gpt", "value": "…"}',
)
# what a turn or a row with tool calls is known by
_TOOL_ROLES = ("tool", "function", "function_call", "function_response", "tool_call", "tool_response", "observation")
_TOOL_KEYS = ("tool_calls", "function_call", "tool_call_id")
_TOOLS = ("tools", "functions")
_NO_TOOLS = "leave such rows out, or write what was called and what it gave as plain text"


def read_turns(where: str, key: str, value: Mapping[str, Any]) -> tuple[Message, ...]:
    """The turns under `key` ("messages" or "conversations") of one row.

    Raises:
        DatasetError: not a list of turns, a role that is none, a tool call, or no answer.
    """
    turns = value[key]
    form = _SHAREGPT if key == "conversations" and not _like_openai(turns) else _OPENAI
    hint = form.hint.replace("messages", key)
    if not isinstance(turns, list) or not turns:
        raise DatasetError(f'"{key}" in {where} is {name_of(turns)}, expected a list of turns', hint)
    for name in _TOOLS:
        if value.get(name) not in (None, "", "[]", [], {}):
            raise DatasetError(f'{where} has "{name}", and tool calls are not supported yet', _NO_TOOLS)
    messages = tuple(_turn(f"message {i} in {where}", turn, form, hint) for i, turn in enumerate(turns, 1))
    if all(message.role != "assistant" for message in messages):
        raise DatasetError(f"{where} has no assistant message: nothing in it could be learned", hint)
    return messages


def _like_openai(turns: Any) -> bool:
    return isinstance(turns, list) and bool(turns) and isinstance(turns[0], dict) and "role" in turns[0]


def _turn(where: str, turn: Any, form: TurnFormat, hint: str) -> Message:
    if isinstance(turn, dict):
        _refuse_tools(where, turn, form)
    if not isinstance(turn, dict) or form.role not in turn or form.content not in turn:
        raise DatasetError(f'{where} is not an object with "{form.role}" and "{form.content}"', hint)
    role, content = turn[form.role], turn[form.content]
    if not isinstance(role, str) or role not in form.names:
        raise DatasetError(f"{where} has the role {role!r}", f"roles are {', '.join(form.names)}")
    if not isinstance(content, str):
        raise DatasetError(f"the content of {where} is {name_of(content)}, expected text", hint)
    return Message(form.names[role], content)


def _refuse_tools(where: str, turn: Mapping[str, Any], form: TurnFormat) -> None:
    for key in _TOOL_KEYS:
        # a table has every key in every turn, most of them empty
        if turn.get(key) not in (None, "", [], {}):
            raise DatasetError(f'{where} has "{key}", and tool calls are not supported yet', _NO_TOOLS)
    role = turn.get(form.role)
    if role in _TOOL_ROLES:
        raise DatasetError(f"{where} has the role {role!r}, and tool calls are not supported yet", _NO_TOOLS)
