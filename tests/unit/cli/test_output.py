"""What the commands for data share: labels in front of lines, and the nearest name of a command."""

from __future__ import annotations

import os
import sys

import click
import pytest
from click.testing import CliRunner

from localft.cli import cli
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


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["data", "buld"], "No such command 'buld'. Did you mean 'build'?"),
        (["finetun"], "No such command 'finetun'. Did you mean 'finetune'?"),
        (["data", "xyz"], "No such command 'xyz'."),
    ],
)
def test_a_command_that_there_is_not_names_the_nearest(words: list[str], said: str) -> None:
    done = CliRunner().invoke(cli, words)
    assert (done.exit_code, done.stderr.splitlines()[-1]) == (2, f"Error: {said}")
