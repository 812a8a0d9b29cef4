"""How a text is laid out: JSON of one kind or another, a table, or plain text, as far as its beginning tells."""

from __future__ import annotations

import csv
import io
import json
import re
from enum import Enum, auto
from typing import Any

_SPACE = re.compile(r"[ \t\r\n\ufeff]*")
_OBJECT = re.compile(r'\{\s*"(?:[^"\\\n]|\\.)*"\s*:|\{\s*\}')
_OBJECTS = re.compile(r'\[\s*\{\s*["}]')
_PYTHON = re.compile(r"\{\s*'[^'\n]*'\s*:")
_COLUMN = re.compile(r"\w[\w .-]{0,40}")
_CUT = 16  # characters; no literal is longer
# keys under which a file holds its rows, in place of a line each
_HOLDERS = "data|rows|train|examples|items|records|samples|entries|dataset|validation|test"
_STRING = r'"(?:[^"\\\n]|\\.)*"'
_HELD = re.compile(rf'\{{\s*(?:{_STRING}\s*:\s*(?:{_STRING}|[\w.+-]+)\s*,\s*)*"({_HOLDERS})"\s*:\s*\[\s*[\[{{]')


class TextForm(Enum):
    """The layouts."""

    PLAIN = auto()
    COMMAS = auto()  # a table of names and rows as wide as they
    TABS = auto()  # the same with tabs
    LINES = auto()  # JSON: an object a line, or what was meant to be one
    OBJECT = auto()  # one object on one line
    ARRAY = auto()  # one array of objects
    SPREAD = auto()  # objects over several lines each
    HOLDER = auto()  # one object that holds the rows under a key
    NOTEBOOK = auto()  # of Jupyter

    @property
    def is_json(self) -> bool:
        return self not in (TextForm.PLAIN, TextForm.COMMAS, TextForm.TABS)


def text_form(text: str, whole: bool) -> TextForm:
    """The layout of a text.

    Args:
        text: its beginning, without a byte order mark.
        whole: it is all of it.
    """
    text = text.lstrip("\ufeff \t\r\n")
    if _OBJECTS.match(text):
        return TextForm.ARRAY
    if _PYTHON.match(text):
        return TextForm.LINES if all(map(_PYTHON.match, _whole_lines(text, whole) or [text])) else TextForm.PLAIN
    if not _OBJECT.match(text):
        return _table(text, whole)
    if text[:200].find('"cells"') > 0 and '"cell_type"' in text:
        return TextForm.NOTEBOOK
    return _objects(text, whole)


def _whole_lines(text: str, whole: bool) -> list[str]:
    """The lines that are not blank, without a last one that may go on."""
    lines = text.split("\n")
    return [line.strip() for line in (lines if whole else lines[:-1]) if line.strip()]


def holder_key(text: str) -> str:
    """The key under which an object holds a list of rows, "" for none."""
    found = _HELD.match(text.lstrip("\ufeff \t\r\n"))
    return found[1] if found else ""


def _objects(text: str, whole: bool) -> TextForm:
    """Objects one after the other, right or with mistakes, or a text that only begins with one."""
    at, n, form = 0, 0, TextForm.LINES
    while at < len(text):
        value, end = _value(text, at, whole)
        if not isinstance(value, dict):
            return TextForm.HOLDER if n == 0 and holder_key(text) else _broken(text, whole)
        if "\n" in text[at:end].strip():
            form = TextForm.SPREAD
        n += 1
        at = _behind_space(text, end)
        # a comma at a line's end is a mistake in what are lines all the same
        if text.startswith((",\n", ",\r\n"), at):
            at = _behind_space(text, at + 1)
        elif "\n" not in text[end:at] and text[at : at + 1] not in ("", "{"):
            return TextForm.PLAIN
    if n == 1 and holder_key(text):
        return TextForm.HOLDER
    return TextForm.OBJECT if n == 1 and whole and form is TextForm.LINES else form


def _behind_space(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at


def _broken(text: str, whole: bool) -> TextForm:
    """What was meant by a text that begins as an object and breaks off."""
    lines = _whole_lines(text, whole)
    if lines and all(_OBJECT.match(line) and line.rstrip(", ").endswith("}") for line in lines):
        return TextForm.LINES
    return TextForm.SPREAD if re.match(r"\{\s*\n", text) else TextForm.PLAIN


def _table(text: str, whole: bool) -> TextForm:
    """Whether lines are the rows of a table below its columns' names."""
    if not whole:
        text = text[: text.rfind("\n") + 1]
    for form, mark in ((TextForm.TABS, "\t"), (TextForm.COMMAS, ",")):
        if mark in text.partition("\n")[0] and _are_rows(text, mark, whole):
            return form
    return TextForm.PLAIN


def _are_rows(text: str, mark: str, whole: bool) -> bool:
    rows = filter(None, csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=whole))
    try:
        names = next(rows, [])
        if not all(map(_COLUMN.fullmatch, names)) or len(set(names)) < len(names):
            return False
        widths = [len(row) == len(names) for row in rows]
    except csv.Error:
        return False
    if not whole and len(widths) > 1:
        widths.pop()  # its last field may go on
    return bool(widths) and all(widths)


def _value(text: str, at: int, whole: bool) -> tuple[Any, int]:
    """The JSON value at `at` and its end; an object that is cut off by the end of what is known counts as one."""
    try:
        return _DECODER.raw_decode(text, at)
    except json.JSONDecodeError as error:
        cut = error.msg.startswith("Unterminated string") or error.pos >= len(text) - _CUT
        if cut and not whole and _OBJECT.match(text, at):
            return {}, len(text)
        return None, at
    except (ValueError, RecursionError):  # numbers of thousands of digits, thousands of brackets
        return None, at


_DECODER = json.JSONDecoder()
