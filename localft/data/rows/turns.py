"""Conversations to messages: OpenAI's "messages", ShareGPT's "conversations", and what turns say of themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from localft.data.reading.data_file import name_of
from localft.data.rows.flags import TURN_FLAGS, is_trained
from localft.data.rows.row import ROLES, Message
from localft.errors import DatasetError

EMPTY: tuple[Any, ...] = (None, "", [], {})
"""Values that say nothing: a table has every key in every turn, most of them empty."""


class TurnFormat(NamedTuple):
    """How a turn is written: the keys of its role and its words, and what the roles are called."""

    role: str
    content: str
    names: Mapping[str, str]
    hint: str


class Turns(NamedTuple):
    """The messages of a conversation, and keys of its turns that play no part."""

    messages: tuple[Message, ...]
    unused: tuple[str, ...] = ()


_OPENAI = TurnFormat(
    "role",
    "content",
    {**{role: role for role in ROLES}, "developer": "system"},
    '"messages" is a list of {"role": "system" | "user" | "assistant", "content": "…"}',
)
_SHAREGPT = TurnFormat(
    "from",
    "value",
    {
        **dict.fromkeys(("system", "developer"), "system"),
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
_REASONING = ("reasoning_content", "reasoning", "thinking")


def read_turns(where: str, key: str, turns: Any, *, answered: bool = True) -> Turns:
    """The turns of one row.

    Args:
        where: the row's place, for messages.
        key: under which they stand, such as "messages".
        turns: what stands there.
        answered: at least one must be an answer.

    Raises:
        DatasetError: not a list of turns, a role that is none, a tool call, a flag that is none, or no answer.
    """
    form = _SHAREGPT if isinstance(turns, list) and turns and is_turn(turns[0]) == "value" else _OPENAI
    hint = _hint(form, key)
    if not isinstance(turns, list) or not turns:
        raise DatasetError(f'"{key}" in {where} is {name_of(turns)}, expected a list of turns', hint)
    found = tuple(_turn(f"message {i} in {where}", turn, form, hint) for i, turn in enumerate(turns, 1))
    if answered and all(message.role != "assistant" for message in found):
        raise DatasetError(f"{where} has no assistant message: nothing in it could be learned", hint)
    unused = dict.fromkeys(name for turn in turns for name in _unused(turn, form))
    return Turns(found, tuple(f"{key}[].{name}" for name in unused))


def _hint(form: TurnFormat, key: str) -> str:
    return f'"{key}"{form.hint[form.hint.index(" is ") :]}'


def is_turn(value: Any) -> str:
    """The key of a turn's words, "content" or "value"; "" where a value is no turn."""
    for form in (_OPENAI, _SHAREGPT):
        if isinstance(value, dict) and form.role in value:
            return form.content
    return ""


def refuse_tools(where: str, value: Mapping[str, Any]) -> None:
    """Refuse a row that offers tools.

    Raises:
        DatasetError: it does.
    """
    for name in _TOOLS:
        tools = value.get(name)
        # a text that is no JSON is a column of something else
        if tools not in (*EMPTY, "[]") and (not isinstance(tools, str) or tools.lstrip()[:1] in ("[", "{")):
            raise DatasetError(f'{where} has "{name}", and tool calls are not supported yet', _NO_TOOLS)


def _turn(where: str, turn: Any, form: TurnFormat, hint: str) -> Message:
    if isinstance(turn, dict):
        _refuse_tool_call(where, turn, form)
    if not isinstance(turn, dict) or form.role not in turn or form.content not in turn:
        raise DatasetError(f'{where} is not an object with "{form.role}" and "{form.content}"', hint)
    name = turn[form.role]
    if not isinstance(name, str) or name not in form.names:
        raise DatasetError(f"{where} has the role {name!r}", f"roles are {', '.join(form.names)}")
    role, content = form.names[name], _content(where, turn[form.content], hint)
    trained = is_trained(where, turn, role)
    return Message(role, content, reasoning=_reasoning(where, turn) if role == "assistant" else "", trained=trained)


def _content(where: str, content: Any, hint: str) -> str:
    """Text, or the texts of a list of parts, each on a line of its own."""
    if isinstance(content, list) and content:
        return "\n".join(_part(where, part, hint) for part in content)
    if not isinstance(content, str):
        raise DatasetError(f"the content of {where} is {name_of(content)}, expected text", hint)
    return content


def _part(where: str, part: Any, hint: str) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        raise DatasetError(f"a part of the content of {where} is {name_of(part)}, expected text", hint)
    if part.get("type") != "text" or not isinstance(part.get("text"), str):
        message = f"the content of {where} has a part of the type {part.get('type')!r}, expected 'text'"
        raise DatasetError(message, "models are trained on text alone: leave such rows out, or their other parts")
    return str(part["text"])


def _reasoning(where: str, turn: Mapping[str, Any]) -> str:
    found = {name: turn[name] for name in _REASONING if turn.get(name) not in EMPTY}
    for name, value in found.items():
        if not isinstance(value, str):
            raise DatasetError(f'"{name}" of {where} is {name_of(value)}, expected text', "write it as one text")
    if len(set(found.values())) > 1:
        names = " and ".join(f'"{name}"' for name in found)
        raise DatasetError(f"{where} has {names}, which differ", "keep the one that is to be learned")
    return next(iter(found.values()), "")


def _unused(turn: Mapping[str, Any], form: TurnFormat) -> Iterator[str]:
    """Keys of a turn that say something and play no part."""
    used = {form.role, form.content, *_TOOL_KEYS, *TURN_FLAGS}
    if form.names.get(turn[form.role]) == "assistant":
        used.update(_REASONING)
    return (name for name, value in turn.items() if name not in used and value not in EMPTY)


def _refuse_tool_call(where: str, turn: Mapping[str, Any], form: TurnFormat) -> None:
    for key in _TOOL_KEYS:
        if turn.get(key) not in EMPTY:
            raise DatasetError(f'{where} has "{key}", and tool calls are not supported yet', _NO_TOOLS)
    role = turn.get(form.role)
    if role in _TOOL_ROLES:
        raise DatasetError(f"{where} has the role {role!r}, and tool calls are not supported yet", _NO_TOOLS)
