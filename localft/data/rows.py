"""Files to rows: which formats are read, how each is recognised, and what is said about a line that fits none."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from localft.data.files import EXPECTED, OnProblem, json_values, read_text, refuse
from localft.errors import DatasetError

RowKind = Literal["text", "completion", "alpaca", "messages"]
ROLES = ("system", "user", "assistant")
_JSON = (".jsonl", ".json", ".ndjson")
# the order decides where a row has several: Alpaca's published file has a "text" beside its instruction
_SHAPES: tuple[tuple[str, RowKind, tuple[str, ...]], ...] = (
    ("messages", "messages", ()),
    ("instruction", "alpaca", ("instruction", "output")),
    ("prompt", "completion", ("prompt", "completion")),
    ("completion", "completion", ("prompt", "completion")),
    ("text", "text", ("text",)),
    ("input", "completion", ("input", "output")),
    ("output", "completion", ("input", "output")),
)
_OPTIONAL = {"alpaca": ("input",)}


class Message(NamedTuple):
    """One turn of a conversation; `input` is the second field of an Alpaca instruction."""

    role: str
    content: str
    input: str = ""


@dataclass(frozen=True)
class Row:
    """One row as the file has it, brought to one shape.

    Attributes:
        kind: which format it came in.
        source, line: the file and the line (1-based) where it starts, for messages to the user.
        text: the whole document of a text row, "" otherwise.
        messages: the turns of every other kind; prompt and completion are a user's and an assistant's.
    """

    kind: RowKind
    source: str
    line: int
    text: str = ""
    messages: tuple[Message, ...] = ()


@dataclass
class Rows:
    """What was read: the rows, how many came in which format, unknown keys, and lines that are left out with why."""

    rows: list[Row] = field(default_factory=list)
    formats: Counter[str] = field(default_factory=Counter)
    unknown_keys: Counter[str] = field(default_factory=Counter)
    empty: Counter[str] = field(default_factory=Counter)
    left_out: list[tuple[int, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_file(path: Path, sample_start: str | None = None, on_problem: OnProblem = refuse) -> Rows:
    """Read one data file.

    `.jsonl`, `.ndjson` and `.json` hold JSON objects, one a line or one array; any other text file is one document.

    Args:
        path: the file.
        sample_start: text that stands before each document of a text file; it is left out of them.
        on_problem: called with the line and the error where a line cannot be used; the reader then goes on with the
            next. By default it raises.

    Raises:
        DatasetError: not there, not UTF-8, empty, or a line that is no row of a known format (named, with its number).
    """
    text = read_text(path, on_problem)
    found = Rows()
    if path.suffix.lower() in _JSON:
        for line, value in json_values(path, text, on_problem):
            try:
                _add_row(found, path, line, value)
            except DatasetError as error:
                on_problem(line, error)
    else:
        _add_documents(found, path, text.replace("\r\n", "\n").replace("\r", "\n"), sample_start)
    if not found.rows and not found.empty:
        on_problem(1, DatasetError(f"`{path}` has no rows", f"{EXPECTED}; see docs/data.md"))
    return found


def _add_documents(found: Rows, path: Path, text: str, sample_start: str | None) -> None:
    starts = [0]
    if sample_start:
        at = -1
        while (at := text.find(sample_start, at + 1 if at < 0 else at + len(sample_start))) >= 0:
            starts.append(at)
        if len(starts) == 1:
            found.notes.append(f"`{sample_start}` does not occur in `{path.name}`: the whole file is one document")
    kind = "plain text, split at --sample-start" if len(starts) > 1 else "plain text"
    if _looks_like_json(text):
        found.notes.append(f"`{path.name}` looks like JSON lines and is read as text: name it .jsonl to have its rows")
    for number, (start, end) in enumerate(zip(starts, [*starts[1:], len(text)], strict=True)):
        document = text[start + (len(sample_start or "") if number else 0) : end]
        if document.strip():
            found.rows.append(Row("text", str(path), text.count("\n", 0, start) + 1, document))
            found.formats[kind] += 1
        elif number:
            found.empty["empty text"] += 1
            found.left_out.append((text.count("\n", 0, start) + 1, "empty text"))


def _looks_like_json(text: str) -> bool:
    first = text.lstrip().partition("\n")[0]
    try:
        return first[:1] == "{" and isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False


def _add_row(found: Rows, path: Path, line: int, value: Any) -> None:
    if not isinstance(value, dict):
        raise DatasetError(f"line {line} of `{path}` is {_name(value)}, not a JSON object", EXPECTED)
    _check_unicode(path, line, value)
    kind, fields = _shape(path, line, value)
    if kind == "messages":
        row = Row(kind, str(path), line, messages=_messages(path, line, value["messages"]))
    else:
        texts = {key: _text(path, line, value, key) for key in fields}
        row = _plain_row(kind, fields, texts, str(path), line, _optional(path, line, value, kind))
    used = {*fields, *_OPTIONAL.get(kind, ()), "messages"}
    found.unknown_keys.update(key for key in value if key not in used)
    if problem := _empty(row):
        found.empty[problem] += 1
        found.left_out.append((line, problem))
        return
    found.rows.append(row)
    found.formats["/".join(fields) or kind] += 1


def _shape(path: Path, line: int, value: Mapping[str, Any]) -> tuple[RowKind, tuple[str, ...]]:
    for key, kind, fields in _SHAPES:
        if key in value:
            missing = [name for name in fields if name not in value]
            # {"prompt", "text"} and the like: a later format may be whole where this one is not
            if missing and any(all(f in value for f in other) for k, _, other in _SHAPES if k in value):
                continue
            if missing:
                raise DatasetError(f'line {line} of `{path}` has "{key}" but no "{missing[0]}"', EXPECTED)
            return kind, fields
    keys = ", ".join(f'"{key}"' for key in list(value)[:6]) or "no key at all"
    message = f'line {line} of `{path}` has no "messages", "prompt", "instruction", "input" or "text" key'
    raise DatasetError(message, f"it has {keys}; {EXPECTED}")


def _text(path: Path, line: int, value: Mapping[str, Any], key: str) -> str:
    text = value[key]
    if not isinstance(text, str):
        raise DatasetError(
            f'"{key}" in line {line} of `{path}` is {_name(text)}, expected text', "put it in double quotes"
        )
    return text


def _optional(path: Path, line: int, value: Mapping[str, Any], kind: RowKind) -> str:
    for key in _OPTIONAL.get(kind, ()):
        if value.get(key) is not None:
            return _text(path, line, value, key)
    return ""


def _plain_row(
    kind: RowKind, fields: tuple[str, ...], texts: Mapping[str, str], source: str, line: int, extra: str
) -> Row:
    if kind == "text":
        return Row(kind, source, line, texts["text"])
    question, answer = (texts[name] for name in fields)
    return Row(kind, source, line, messages=(Message("user", question, extra), Message("assistant", answer)))


def _messages(path: Path, line: int, value: Any) -> tuple[Message, ...]:
    where = f"line {line} of `{path}`"
    hint = '"messages" is a list of {"role": "system" | "user" | "assistant", "content": "…"}'
    if not isinstance(value, list) or not value:
        raise DatasetError(f'"messages" in {where} is {_name(value)}, expected a list of turns', hint)
    turns = []
    for number, turn in enumerate(value, 1):
        if not isinstance(turn, dict) or "role" not in turn or "content" not in turn:
            raise DatasetError(f'message {number} in {where} is not an object with "role" and "content"', hint)
        if turn["role"] not in ROLES:
            raise DatasetError(
                f"message {number} in {where} has the role {turn['role']!r}", f"roles are {', '.join(ROLES)}"
            )
        if not isinstance(turn["content"], str):
            message = f"the content of message {number} in {where} is {_name(turn['content'])}, expected text"
            raise DatasetError(message, hint)
        turns.append(Message(turn["role"], turn["content"]))
    if all(turn.role != "assistant" for turn in turns):
        raise DatasetError(f"{where} has no assistant message: nothing in it could be learned", hint)
    return tuple(turns)


def _empty(row: Row) -> str:
    if row.kind == "text":
        return "" if row.text.strip() else "empty text"
    answers = [message.content for message in row.messages if message.role == "assistant"]
    return "" if all(answer.strip() for answer in answers) else "empty answer"


def _check_unicode(path: Path, line: int, value: Any) -> None:
    """Refuse half surrogate pairs: JSON can write them, UTF-8 cannot."""
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        raise DatasetError(f"line {line} of `{path}` is nested too deeply", EXPECTED) from None
    except UnicodeEncodeError as error:
        half = error.object[error.start]
        message = (
            f"line {line} of `{path}` holds half of a character (\\u{ord(half):04x} alone), which no text can hold"
        )
        raise DatasetError(message, "it was cut in the middle of an emoji or the like: remove it") from None


def _name(value: Any) -> str:
    if value is None:
        return "null"
    names = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", dict: "an object"}
    return "an empty list" if value == [] else names.get(type(value), type(value).__name__)
