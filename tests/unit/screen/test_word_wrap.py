"""Streamed text is broken between words, whatever pieces it comes in."""

from __future__ import annotations

import random

import pytest

from localft.screen.word_wrap import WordWrap, cells


def wrapped(text: str, width: int, seed: int = 0) -> str:
    rng, lines, out = random.Random(seed), WordWrap(width), []
    while text:
        n = rng.randint(1, 5)
        out.append(lines.feed(text[:n]))
        text = text[n:]
    return "".join(out) + lines.end()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("one two three four", "one two\nthree four"),
        ("one two\nthree  four  ", "one two\nthree\nfour  "),
        ("  indented code = 1", "  indented\ncode = 1"),
        ("abcdefghijklmnop qr", "abcdefghijklmnop qr"),
        ("see http://a.example/b?c=d now or", "see\nhttp://a.example/b?c=d\nnow or"),
        ("日本語の文章です", "日本語の文\n章です"),
        ("a\tb c", "a\tb\nc"),
        (
            "e\u0301e\u0301e\u0301 e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301",
            "e\u0301e\u0301e\u0301 e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301",
        ),
        ("", ""),
    ],
)
def test_breaks(text: str, shown: str) -> None:
    assert {wrapped(text, 11, seed) for seed in range(20)} == {shown}


def test_only_spaces_change_and_no_line_is_too_long() -> None:
    rng = random.Random(3)
    for _ in range(200):
        text = "".join(rng.choice("ab 字 \n") for _ in range(rng.randint(0, 120)))
        shown = wrapped(text, 12, rng.randint(0, 99))
        assert shown.replace(" ", "").replace("\n", "") == text.replace(" ", "").replace("\n", "")
        longest = max((sum(map(cells, word)) for word in text.split()), default=0)
        for line in shown.split("\n"):
            assert sum(map(cells, line.rstrip())) <= max(11, longest)


def test_a_word_is_shown_when_its_end_is_seen() -> None:
    lines = WordWrap(80)
    assert [lines.feed(piece) for piece in ("Hel", "lo", " wor", "ld", "\n")] == ["", "", "Hello", "", " world\n"]
