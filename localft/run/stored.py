"""Values that a file holds as JSON → dataclasses, each value checked against the type of its field."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")
_LARGEST = 2**63 - 1
_LONGEST = 1 << 16


def read_stored(cls: type[T], values: Any) -> T:
    """An object of the dataclass `cls`; objects in it become dataclasses, and lists tuples, where its fields are such.

    Raises:
        KeyError: a value is missing.
        ValueError: there is one too much, or of another type, or out of all range.
    """
    kinds = get_type_hints(cls)
    if not isinstance(values, Mapping) or not all(isinstance(name, str) for name in values):
        raise ValueError(f"{cls.__name__} is {_shown(values)}, expected an object")
    if more := values.keys() - kinds.keys():
        raise ValueError(f"{cls.__name__} has `{min(more)[:80]}`, which is none of its fields")
    for field in fields(cls):  # type: ignore[arg-type]
        if field.name not in values and field.default is MISSING and field.default_factory is MISSING:
            raise KeyError(field.name)
    return cls(**{name: _value(name, kinds[name], value) for name, value in values.items()})


def _value(name: str, kind: Any, value: Any) -> Any:
    if is_dataclass(kind):
        return read_stored(kind, value)  # type: ignore[arg-type]
    allowed = get_args(kind) if type(None) in get_args(kind) else (kind,)
    if value is None and type(None) in allowed:
        return None
    for each in allowed:
        if get_origin(each) is tuple and isinstance(value, list):
            return tuple(_value(name, get_args(each)[0], part) for part in value)
        if get_origin(each) is dict and isinstance(value, dict):
            return {_value(name, str, key): _value(name, get_args(each)[1], part) for key, part in value.items()}
        if each is Any or (each in _FITS and _FITS[each](value)):
            return value
    raise ValueError(f"{name} is {_shown(value)}, expected {_NAMES.get(allowed[0], 'an object or a list')}")


_FITS: dict[Any, Callable[[Any], bool]] = {
    bool: lambda value: isinstance(value, bool),
    int: lambda value: type(value) is int and -1 <= value <= _LARGEST,
    float: lambda value: type(value) in (int, float) and math.isfinite(value),
    str: lambda value: isinstance(value, str) and "\0" not in value and len(value) <= _LONGEST,
}
_NAMES = {bool: "true or false", int: "a whole number from -1", float: "a finite number", str: "text"}


def _shown(value: Any) -> str:
    text = repr(value)
    return f"`{text[:77]}…`" if len(text) > 80 else f"`{text}`"
