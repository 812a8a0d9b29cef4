"""What the commands share: labels in front of lines, and errors."""

from __future__ import annotations

import os
import sys

import click
import pytest

from localft.cli.output import echo_labelled, print_error
from localft.errors import DatasetError


def test_lines_are_broken_between_words_on_a_terminal_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [("rows", "one two-three four five six"), ("rows", "seven"), ("", "eight"), ("note", "a\x1bb")]
    echo_labelled(lines)
    assert capsys.readouterr().err == (
        "rows      one two-three four five six\n          seven\n          eight\nnote      a␛b\n"
    )
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((30, 24)))
    echo_labelled(lines[:1])
    assert click.unstyle(capsys.readouterr().err) == "rows      one two-three four\n          five six\n"


def test_errors_are_broken_between_words_on_a_terminal_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    error = DatasetError("line 3 of `a-file.jsonl` is a very long-winded mistake of its own\nand more", "mend it")
    print_error(error)
    assert capsys.readouterr().err == f"error: {error.message}\n\nhint: mend it\n"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((44, 24)))
    print_error(error)
    assert click.unstyle(capsys.readouterr().err) == (
        "error: line 3 of `a-file.jsonl` is a very\nlong-winded mistake of its own\nand more\n\nhint: mend it\n"
    )
