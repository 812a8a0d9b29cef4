"""The line that says how far the work is: what it shows on a terminal, and what elsewhere."""

from __future__ import annotations

import io
import os
import sys

import pytest

from localft.cli import progress_line as module
from localft.cli.progress_line import ProgressLine, progress_line


class Stream(io.StringIO):
    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def stderr(monkeypatch: pytest.MonkeyPatch, terminal: bool, columns: int = 80) -> Stream:
    stream = Stream(terminal)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr("shutil.get_terminal_size", lambda *_: os.terminal_size((columns, 24)))
    return stream


def test_no_share_of_what_has_no_total(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = stderr(monkeypatch, terminal=True)
    with progress_line() as report:
        report("writing", 1, 4)
        report("timing steps", 0, 0)
    assert stream.getvalue() == "\r\x1b[K 25 %  writing\r\x1b[Ktiming steps …\r\x1b[K"


def test_a_file_that_gets_the_line_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = stderr(monkeypatch, terminal=False)
    with progress_line() as report:
        report("writing", 1, 4)
    assert stream.getvalue() == ""


def test_a_terminal_gets_no_more_than_can_be_read(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    stream = stderr(monkeypatch, terminal=True, columns=6)
    line = ProgressLine(pause=0.1)
    line.show("first of all")
    line.show("too soon")
    clock[0] += 1
    line.show("\x1b[2J\nnext")
    assert stream.getvalue() == "\r\x1b[Kfirst\r\x1b[K" + "␛[2J "


def test_a_log_gets_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    stream = stderr(monkeypatch, terminal=False)
    line = ProgressLine(every=30)
    line.show("at once")
    clock[0] += 30
    line.show("half a minute later")
    line.say("a line that stays")
    line.close()
    assert stream.getvalue() == "half a minute later\na line that stays\n"
