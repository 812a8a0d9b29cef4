"""JSON that others wrote, to values that can be walked, copied, counted with and written again."""

from __future__ import annotations

import json
import math
import re
from typing import Any

DEEPEST = 64
_DIGITS = 19


def parse_json(text: str | bytes, deepest: int = DEEPEST) -> Any:
    """The value of a JSON text.

    Args:
        deepest: lists and objects inside each other, at most.

    Raises:
        ValueError: it is no JSON, nested too deeply, or has a number that is none or is too large; says which.
    """
    try:
        value = json.loads(text, parse_int=_whole, parse_float=_finite, parse_constant=_no_number)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    require_shallow(value, deepest)
    return value


def json_decoder() -> json.JSONDecoder:
    """For several values in one text, with `parse_json`'s numbers; `require_shallow` is still to be asked."""
    return json.JSONDecoder(parse_int=_whole, parse_float=_finite, parse_constant=_no_number)


def require_shallow(value: Any, deepest: int = DEEPEST) -> None:
    """Refuse a value of too many lists and objects inside each other.

    Raises:
        ValueError: it is one.
    """
    level = [value]
    for _ in range(deepest + 1):
        level = [child for each in level for child in _children(each) if isinstance(child, (list, dict))]
        if not level:
            return
    raise ValueError(_TOO_DEEP)


def require_characters(text: str, value: Any) -> None:
    """Refuse a value of which a string has half a surrogate pair: it cannot be written in UTF-8.

    Args:
        text: the JSON that `value` was read from.

    Raises:
        ValueError: it is one.
    """
    if _SURROGATE.search(text):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            half = error.object[error.start]
            raise ValueError(f"it holds half a character, \\u{ord(half):04x}") from None


def to_json(value: Any, indent: int | None = None) -> str:
    """JSON with its characters as they are; bytes of a file's name that are not UTF-8 are escapes, to be read back."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return _HALF.sub(lambda half: f"\\u{ord(half[0]):04x}", text)


_HALF = re.compile("[\ud800-\udfff]")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_TOO_DEEP = "nested too deeply"


def _children(value: Any) -> Any:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _whole(digits: str) -> int:
    if len(digits) > _DIGITS + 1:
        raise ValueError("a number is too large")
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number")
