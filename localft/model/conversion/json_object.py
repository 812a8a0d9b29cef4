"""Typed access to one of a checkpoint's JSON objects, held to the table of its keys."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from localft.errors import ModelError
from localft.model.conversion.checkpoint_keys import by_name
from localft.visible import one_line

_UNSET: tuple[object, ...] = (None, [], {})
_SHOWN = 5


class JsonObject:
    """A JSON object of a checkpoint; each failure names the file, the key and what was expected.

    Args:
        path: the file that it stands in.
        values: the object; a key that is null is one that is not there.
        table: the table that says what is done with its keys, by default the file's name.

    Raises:
        ModelError: a key has a value that the table refuses.
    """

    def __init__(self, path: Path, values: Mapping[str, Any], table: str | None = None) -> None:
        self.path, self.values, self._table = path, values, table or path.name
        self._keys = by_name(self._table)
        for name, value in values.items():
            key = self._keys.get(name)
            if key is None or value in _UNSET:
                continue
            if key.use == "only" and not all(_among(item, key.allowed) for item in _items(value)):
                raise self.error(name, " or ".join(json.dumps(each) for each in key.allowed) or "none", key.why)
            if key.use == "same" and not _among(value, (values.get(str(key.allowed[0])),)):
                raise self.error(name, f'the value of "{key.allowed[0]}"', key.why)

    def get(self, key: str) -> Any:
        """The value of a key that the table knows to be used; None where it is not there."""
        assert self._keys[key].use == "used", f"{self._table}: {key}"
        return self.values.get(key)

    def unknown(self) -> list[str]:
        """The keys that have no row in the table."""
        return [name for name in self.values if name not in self._keys]

    def error(self, key: str, wanted: str, hint: str = "download the model again") -> ModelError:
        shown = one_line(repr(self.values.get(key)), 80)
        return ModelError(f'"{key}" in `{self.path}` is `{shown}`; {wanted} is needed', hint)

    def size(self, key: str, highest: int, default: int | None = None) -> int:
        """A whole number from 1 to `highest`."""
        value = self.get(key)
        value = default if value is None else value
        if type(value) is not int or not 1 <= value <= highest:
            raise self.error(key, f"a whole number from 1 to {highest}")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """A finite number above 0."""
        value = self.get(key)
        value = default if value is None else value
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value <= 0:
            raise self.error(key, "a number above 0")
        return float(value)

    def flag(self, key: str) -> bool:
        """true or false; false where it is not there."""
        value = self.get(key)
        if not isinstance(value, bool | None):
            raise self.error(key, "true or false")
        return bool(value)


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _among(value: Any, allowed: tuple[object, ...]) -> bool:
    return any(value == each and isinstance(value, bool) is isinstance(each, bool) for each in allowed)


def unknown_keys(objects: list[JsonObject]) -> list[str]:
    """A sentence about the keys that nothing reads, for each object that has some."""
    sentences = []
    for each in objects:
        names = each.unknown()
        if names:
            shown = ", ".join(f"`{one_line(name, 40)}`" for name in names[:_SHOWN])
            more = ", …" if len(names) > _SHOWN else ""
            sentences.append(
                f"{each.path.name} has {len(names)} {'key' if len(names) == 1 else 'keys'} that neither transformers "
                f"nor llama.cpp reads for such a model, and that {'is' if len(names) == 1 else 'are'} left out: "
                f"{shown}{more}"
            )
    return sentences
