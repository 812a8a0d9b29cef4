"""JSON that others wrote."""

from __future__ import annotations

import pytest

from localft.json_text import DEEPEST, parse_json


def test_what_is_usual() -> None:
    assert parse_json(b'{"a": [1, -2.5e3, null, true, "\\ud800"]}') == {"a": [1, -2500.0, None, True, "\ud800"]}
    assert parse_json(f"{2**64}") == 2**64
    assert parse_json("[" * DEEPEST + "]" * DEEPEST)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Expecting value"),
        ("{", "Expecting property name"),
        ("[" * 100_000, "nested too deeply"),
        ("[" * 500 + "]" * 500, "nested too deeply"),
        ('{"a":' * (DEEPEST + 2) + "1" + "}" * (DEEPEST + 2), "nested too deeply"),
        ("[NaN]", "NaN is no number"),
        ("-Infinity", "-Infinity is no number"),
        ("1e999", "a number is too large"),
        ("9" * 5000, "a number is too large"),
        (b"\xff", "can't decode"),
    ],
)
def test_what_cannot_be_used(text: str | bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_json(text)
