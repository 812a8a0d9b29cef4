"""Typed values out of JSON, with a sentence about each that is not what it should be."""

from __future__ import annotations

import re
from typing import Any

from localft.errors import DatasetError

# GitHub's own texts have at most 65,536 characters, and the patches of a pull request some millions
LONGEST = 1 << 22
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[\d.Z:+-]{0,20}", re.ASCII)
_SURROGATE = re.compile(r"[\ud800-\udfff]")


class Fields:
    """One JSON object and how to name it. Each getter takes a key and its other spellings (REST's, then `gh`'s).

    Raises:
        DatasetError: it is no object; in every getter, the value is of another type, or not there and wanted.
    """

    def __init__(self, value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise DatasetError(f"{where} is {kind_of(value)}, expected an object", _HINT)
        self.value, self.where = value, where

    def find(self, *names: str) -> Any:
        """The first of these that is there and not null."""
        return next((self.value[name] for name in names if self.value.get(name) is not None), None)

    def text(self, *names: str, default: str | None = "") -> str:
        """Text, "?" in it for what UTF-8 cannot hold; `default` where there is none, an error where that is None."""
        value = self.find(*names)
        if isinstance(value, str):
            if len(value) > LONGEST:
                message = f'"{names[0]}" in {self.where} has {len(value):,} characters, at most {LONGEST:,} are read'
                raise DatasetError(message, _HINT)
            return _SURROGATE.sub("?", value)
        if value is None and default is not None:
            return default
        raise self.wrong(names[0], value, "text")

    def number(self, *names: str) -> int | None:
        value = self.find(*names)
        if value is None or type(value) is int:
            return value
        raise self.wrong(names[0], value, "a number")

    def items(self, *names: str) -> list[Any]:
        value = self.find(*names)
        if value is None or isinstance(value, list):
            return value or []
        raise self.wrong(names[0], value, "a list")

    def time(self, *names: str) -> str:
        """A time such as "2024-03-01T12:00:00Z", "" where there is none."""
        value = self.text(*names)
        if value and not _TIME.fullmatch(value):
            raise self.wrong(names[0], value, "a time such as 2024-03-01T12:00:00Z")
        return "" if value.startswith("0001-") else value

    def wrong(self, name: str, value: Any, expected: str) -> DatasetError:
        """The error about one value."""
        return DatasetError(f'"{name}" in {self.where} is {kind_of(value)}, expected {expected}', _HINT)


_HINT = "it must be as GitHub's REST API or `gh … --json` gives it"


def kind_of(value: Any) -> str:
    """A JSON value in a few words."""
    if value is None:
        return "missing"
    if isinstance(value, str):
        shown = value if len(value) <= 40 else value[:39] + "…"
        return repr(shown)
    names = {bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return names.get(type(value), type(value).__name__)
