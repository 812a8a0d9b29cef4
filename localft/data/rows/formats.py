"""One JSON object, or one row of a table, to a Row: how each format is recognised, and what is said where none fits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from localft.data.reading.data_file import EXPECTED, name_of, place
from localft.data.reading.data_format import data_format
from localft.data.rows.row import USUAL_COLUMNS, Columns, Message, Row, RowKind
from localft.data.rows.turns import read_turns
from localft.errors import DatasetError
from localft.spelling import nearest


class Format(NamedTuple):
    """A format: the key that it is known by, what its rows are, and the keys of its texts."""

    key: str
    kind: RowKind
    fields: tuple[str, ...]
    name: str = ""


# the order decides where a row has several: Alpaca's published file has a "text" beside its instruction
_FORMATS = (
    Format("messages", "messages", (), "messages"),
    Format("conversations", "messages", (), "ShareGPT"),
    Format("instruction", "alpaca", ("instruction", "output")),
    Format("prompt", "completion", ("prompt", "completion")),
    Format("completion", "completion", ("prompt", "completion")),
    Format("text", "text", ("text",)),
    Format("input", "completion", ("input", "output")),
    Format("output", "completion", ("input", "output")),
)
_OPTIONAL = {"alpaca": ("input",)}
# where a row comes from, and who made it: told apart from keys that no format knows
_ABOUT = ("doc", "source", "synth")


_PLAIN_JSON = json.JSONEncoder(ensure_ascii=False, default=str)
_TEXT = "it must be text: in double quotes in JSON, a column of strings in a table"


class Found(NamedTuple):
    """A row, the name of the format that it came in, and the keys that play no part."""

    row: Row
    format: str
    unused: tuple[str, ...]


def read_row(path: Path, line: int, value: Any, columns: Columns) -> Found:
    """Recognise one object.

    Args:
        path, line: where it stands.
        value: what JSON or a table gave.
        columns: names of the question's and the answer's keys; rows that have neither are read as usual.

    Raises:
        DatasetError: it is no row of a known format (named, with its place).
    """
    where = place(path, line)
    if not isinstance(value, dict):
        raise DatasetError(f"{where} is {name_of(value)}, not a JSON object", EXPECTED)
    _check_unicode(where, value)
    form = _renamed(where, value, columns) or _format(path, where, value, columns)
    doc, source_kind = _about(value)
    if form.kind == "messages":
        row = Row("messages", str(path), line, "", read_turns(where, form.key, value), doc, source_kind)
    else:
        texts = [_text(where, value, key) for key in form.fields]
        extra = _optional(where, value, form.kind)
        turns = () if form.kind == "text" else (Message("user", texts[0], extra), Message("assistant", texts[1]))
        row = Row(form.kind, str(path), line, "" if turns else texts[0], turns, doc, source_kind)
    used = {form.key, *form.fields, *_OPTIONAL.get(form.kind, ()), *_ABOUT}
    return Found(row, form.name or "/".join(form.fields), tuple(key for key in value if key not in used))


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
    for form in _FORMATS:
        if form.key in value:
            missing = [name for name in form.fields if name not in value]
            # {"prompt", "text"} and the like: a later format may be whole where this one is not
            if missing and any(all(f in value for f in other.fields) for other in _FORMATS if other.key in value):
                continue
            if missing:
                raise DatasetError(f'{where} has "{form.key}" but no "{missing[0]}"', EXPECTED)
            return form
    message = f'{where} has no "messages", "prompt", "instruction", "input" or "text" key'
    if columns.given:
        message += f", nor {' and '.join(f'`{name}`' for name in columns.given)}"
    elif data_format(path).is_table:
        hint = "name those of questions and answers with --prompt-column and --answer-column"
        if data_format(path).rows != "parquet":
            hint += "; if that is a row already, put a line with names above it, such as `prompt,completion`"
        raise DatasetError(message.replace(" key", " column"), f"its columns are {_keys(value)}: {hint}")
    raise DatasetError(message, f"it has {_keys(value)}; {EXPECTED}")


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


def _optional(where: str, value: Mapping[str, Any], kind: RowKind) -> str:
    for key in _OPTIONAL.get(kind, ()):
        if value.get(key) is not None:
            return _text(where, value, key)
    return ""


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
