"""Stretches of a hunk: all of its lines once, in order, each under a header that says which lines they are."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localft.curation.chunking.hunks import Stretches

LINE = st.sampled_from([" same\n", "-old line\n", "+new line\n", "-x\n", "+y\n", " \n"])
LINES = st.lists(LINE, min_size=1, max_size=60)


def stretches(hunk: str, room: int, most: int | None = None) -> tuple[list[str], int]:
    rest, found = Stretches(hunk, len, most or room), []
    while rest:
        before = rest.n_gone
        text = rest.take(room)
        assert text or rest.n_gone > before
        found += [text] if text else []
    assert rest.left == 24
    return found, rest.n_gone


def header(text: str) -> list[int]:
    match = re.match(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@ def f", text)
    assert match
    return [1 if each is None else int(each) for each in match.groups()]


def counts(lines: list[str]) -> tuple[int, int]:
    return sum(line[0] in " -" for line in lines), sum(line[0] in " +" for line in lines)


@given(LINES, st.integers(40, 200))
@settings(max_examples=60, deadline=None)
def test_headers_say_which_lines_follow(lines: list[str], room: int) -> None:
    n_old, n_new = counts(lines)
    above = f"@@ -{10 - (not n_old)},{n_old} +{20 - (not n_new)},{n_new} @@ def f\n"
    found, n_gone = stretches(above + "".join(lines), room)
    old, new = 10, 20
    kept = []
    for text in found:
        first, *body = text.splitlines(keepends=True)
        here = counts(body)
        assert header(first) == [old - (not here[0]), here[0], new - (not here[1]), here[1]]
        assert sum(map(len, body)) <= room - 24
        old, new = old + here[0], new + here[1]
        kept += body
    assert (kept, n_gone) == (lines, 0)


def test_a_hunk_that_fits_is_as_git_wrote_it() -> None:
    for text in ("@@ -1 +1 @@\n-a\n+b\n", "@@ -0,0 +1,2 @@\n+a\n+b\n", "@@ -3,2 +3,0 @@ x\n-a\n-b\n", "+a\n b\n"):
        assert stretches(text, 100) == ([text], 0)


def test_changed_lines_stay_together_where_that_costs_little() -> None:
    same = [f" {i}234567\n" for i in range(6)]
    text = "@@ -1,7 +1,7 @@ def f\n" + "".join([*same, "-old4567\n", "+new4567\n"])
    assert [part.splitlines()[1:] for part in stretches(text, 24 + 9 * 7)[0]] == [
        [line[:-1] for line in same],
        ["-old4567", "+new4567"],
    ]


@pytest.mark.parametrize("at", [0, 3, 7])
def test_a_line_that_fits_nowhere_is_passed_over(at: int) -> None:
    lines = [f"+{i}\n" for i in range(8)]
    hunk = "@@ -0,0 +1,9 @@ def f\n" + "".join([*lines[:at], f"+{'x' * 500}\n", *lines[at:]])
    found, n_gone = stretches(hunk, 100)
    assert n_gone == 1
    assert [line for text in found for line in text.splitlines(keepends=True)[1:]] == lines
    assert header(found[-1])[2] == (at + 2 if at < 8 else 1)
