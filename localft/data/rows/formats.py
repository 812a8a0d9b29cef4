"""One JSON object, or one row of a table, to a Row: how each format is recognised, and what is said where none fits."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from localft.data.reading.data_file import EXPECTED, name_of, place
from localft.data.reading.data_format import data_format
from localft.data.rows.context import in_context
from localft.data.rows.flags import row_flags
from localft.data.rows.foreign import refuse_foreign, refuse_media
from localft.data.rows.row import USUAL_COLUMNS, Columns, Message, Row, RowKind
from localft.data.rows.turns import is_turn, read_turns, refuse_tools
from localft.errors import DatasetError
from localft.spelling import nearest


class Format(NamedTuple):
    """A format: the key that it is known by, what its rows are, the keys of its texts, and of a second question."""

    key: str
    kind: RowKind
    fields: tuple[str, ...]
    name: str = ""
    inputs: tuple[str, ...] = ()


# the order decides where a row has several: Alpaca's published file has a "text" beside its instruction
_FORMATS = (
    Format("messages", "messages", (), "messages"),
    Format("conversations", "messages", (), "ShareGPT"),
    Format("instruction", "alpaca", ("instruction", "output"), inputs=("input", "context")),
    Format("prompt", "completion", ("prompt", "completion")),
    Format("completion", "completion", ("prompt", "completion")),
    Format("text", "text", ("text",)),
    Format("input", "completion", ("input", "output")),
    Format("output", "completion", ("input", "output")),
    Format("conversation", "messages", (), "conversation"),
)
# other names of questions; a row that has two of them, or two answers, does not say which it means
_QUESTIONS = (
    Format("instruction", "alpaca", (), inputs=("input", "context")),
    Format("question", "completion", (), inputs=("context",)),
    Format("query", "completion", (), inputs=("context",)),
    Format("prompt", "completion", ()),
)
_ANSWERS = ("response", "answer", "output", "completion")
# where a row comes from, and who made it: told apart from keys that no format knows
_ABOUT = ("doc", "source", "synth")


_PLAIN_JSON = json.JSONEncoder(ensure_ascii=False, default=str)
_TEXT = "it must be text: in double quotes in JSON, a column of strings in a table"
NAME_THEM = "name those of questions and answers with --prompt-column and --answer-column"


class Found(NamedTuple):
    """A row, the name of the format that it came in, the keys that play no part, and whether it is to be learned."""

    row: Row
    format: str
    unused: tuple[str, ...]
    trained: bool = True


class _Words(NamedTuple):
    """What a row says: its text, or its messages; the keys that were used, and those of turns that were not."""

    kind: RowKind
    text: str
    messages: tuple[Message, ...]
    used: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()


def read_row(path: Path, line: int, value: Any, columns: Columns) -> Found:
    """Recognise one object, or one list of turns.

    Args:
        path, line: where it stands.
        value: what JSON or a table gave.
        columns: names of the question's and the answer's keys; rows that have neither are read as usual.

    Raises:
        DatasetError: it is no row of a known format (named, with its place).
    """
    where = place(path, line)
    if isinstance(value, list) and value and is_turn(value[0]):
        value = {"messages": value}
    if not isinstance(value, dict):
        raise DatasetError(f"{where} is {name_of(value)}, not a JSON object", EXPECTED)
    _check_unicode(where, value)
    form, flags = _renamed(where, value, columns), dict[str, bool]()
    if form:
        # who names the columns says what the others are: nothing
        words = _words(where, form, value)
    else:
        refuse_foreign(where, value)
        form = _format(path, where, value, columns)
        words = _in_context(where, value, _words(where, form, value))
        flags = row_flags(where, value, asked=bool(form.fields) and form.kind != "text")
        if not all(flags.values()):
            words = words._replace(messages=_untrained(words.messages))
    doc, source_kind = _about(value)
    row = Row(words.kind, str(path), line, words.text, words.messages, doc, source_kind)
    used = {form.key, *form.fields, *words.used, *flags, *_ABOUT}
    unused = (*(key for key in value if key not in used), *words.unused)
    return Found(row, form.name or "/".join(form.fields), unused, all(flags.values()))


def _words(where: str, form: Format, value: Mapping[str, Any]) -> _Words:
    if form.kind == "text":
        return _Words("text", _text(where, value, form.key), ())
    if form.kind == "messages":
        turns = read_turns(where, form.key, value[form.key])
        return _Words("messages", "", turns.messages, (), turns.unused)
    question, answer = form.fields
    if isinstance(value[question], list) and isinstance(value[answer], list):
        asked = read_turns(where, question, value[question], answered=False)
        told = read_turns(where, answer, value[answer])
        return _Words("messages", "", _untrained(asked.messages) + told.messages, (), asked.unused + told.unused)
    texts = [_text(where, value, key) for key in form.fields]
    # the first that is filled in; an empty one is used up
    inputs = [key for key in form.inputs if value.get(key) is not None]
    filled = next((key for key in inputs if value[key] != ""), "")
    more = _text(where, value, filled) if filled else ""
    used = tuple(key for key in form.inputs if key == filled or not value.get(key))
    return _Words(form.kind, "", (Message("user", texts[0], more), Message("assistant", texts[1])), used)


def _untrained(messages: Iterable[Message]) -> tuple[Message, ...]:
    return tuple(message._replace(trained=message.role != "assistant") for message in messages)


def _in_context(where: str, value: Mapping[str, Any], words: _Words) -> _Words:
    """With what else the row says of itself."""
    if words.kind == "text":
        refuse_media(where, value, [words.text])
        return words
    refuse_tools(where, value)
    found = in_context(where, value, words.messages, asked=words.kind != "messages")
    refuse_media(where, value, [message.content for message in found.messages])
    kind: RowKind = "messages" if found.used else words.kind
    return words._replace(kind=kind, messages=found.messages, used=words.used + found.used)


def _renamed(where: str, value: Mapping[str, Any], columns: Columns) -> Format | None:
    """The user's own columns, where the row has them."""
    if columns is USUAL_COLUMNS or not any(name in value for name in columns.given):
        return None
    for name in columns.fields:
        if name not in value:
            flag = "--prompt-column" if name == columns.fields[0] else "--answer-column"
            near = nearest(name, map(str, value))
            more = (
                f'; did you mean "{near}"?' if near else f": name one with {flag}" if name not in columns.given else ""
            )
            raise DatasetError(f'{where} has no "{name}" ({flag})', f"it has {_keys(value)}{more}")
    return Format(columns.fields[0], "completion", columns.fields)


def _format(path: Path, where: str, value: Mapping[str, Any], columns: Columns) -> Format:
    # {"prompt", "text"} and the like: a later format may be whole where an earlier one is not
    begun = [form for form in _FORMATS if form.key in value]
    whole = next((form for form in begun if all(name in value for name in form.fields)), None)
    form = whole or _other_names(where, value)
    if form:
        return form
    begun += [form._replace(fields=(form.key, "answer")) for form in _QUESTIONS if form.key in value]
    for form in begun:
        missing = next(name for name in form.fields if name not in value)
        raise DatasetError(f'{where} has "{form.key}" but no "{missing}"', _what_it_has(path, value))
    raise _unknown(path, where, value, columns)


def _other_names(where: str, value: Mapping[str, Any]) -> Format | None:
    """A question and its answer under names that are less usual."""
    questions = [form for form in _QUESTIONS if value.get(form.key) is not None]
    answers = [name for name in _ANSWERS if value.get(name) is not None]
    if not questions or not answers:
        return None
    for names in ([form.key for form in questions], answers):
        if len(names) > 1:
            message = f'{where} has "{names[0]}" and "{names[1]}": which is meant?'
            raise DatasetError(message, f"it has {_keys(value)}: {NAME_THEM}")
    return questions[0]._replace(fields=(questions[0].key, answers[0]))


def _unknown(path: Path, where: str, value: Mapping[str, Any], columns: Columns) -> DatasetError:
    """What to say about a row of no format."""
    if is_turn(value):
        hint = 'put the turns of one conversation in one row: {"messages": [{"role": "user", …}, …]}'
        return DatasetError(f"{where} is a single turn, expected a conversation", hint)
    message = f'{where} has no "messages", "prompt", "question", "instruction", "input" or "text" key'
    if columns.given:
        message += f", nor {' and '.join(f'`{name}`' for name in columns.given)}"
    is_table = data_format(path).is_table
    return DatasetError(message.replace(" key", " column") if is_table else message, _what_it_has(path, value))


def _what_it_has(path: Path, value: Mapping[str, Any]) -> str:
    found = data_format(path)
    if not found.is_table:
        return f"it has {_keys(value)}; {EXPECTED}; or {NAME_THEM}"
    hint = f"its columns are {_keys(value)}: {NAME_THEM}"
    if found.rows != "parquet":
        hint += "; if that is a row already, put a line with names above it, such as `prompt,completion`"
    return hint


def _keys(value: Mapping[str, Any]) -> str:
    return ", ".join(f'"{key}"' for key in list(value)[:6]) or "no key at all"


def _about(value: Mapping[str, Any]) -> tuple[str, str]:
    """The document and the kind of source that a row names; other people's data may use these keys otherwise."""
    doc, source = value.get("doc"), value.get("source")
    kind = source.get("kind") if isinstance(source, dict) else ""
    return doc if isinstance(doc, str) else "", kind if isinstance(kind, str) else ""


def _text(where: str, value: Mapping[str, Any], key: str) -> str:
    text = value[key]
    if not isinstance(text, str):
        raise DatasetError(f'"{key}" in {where} is {name_of(text)}, expected text', _TEXT)
    return text


def _check_unicode(where: str, value: Mapping[Any, Any]) -> None:
    """Refuse half surrogate pairs: JSON can write them, UTF-8 cannot."""
    if all(type(text) is str and text.isascii() for text in chain(value, value.values())):
        return
    try:
        _PLAIN_JSON.encode(value).encode("utf-8")
    except RecursionError:
        raise DatasetError(f"{where} is nested too deeply", EXPECTED) from None
    except UnicodeEncodeError as error:
        half = error.object[error.start]
        message = f"{where} holds half of a character (\\u{ord(half):04x} alone), which no text can hold"
        raise DatasetError(message, "it was cut in the middle of an emoji or the like: remove it") from None
