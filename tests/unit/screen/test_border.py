"""The border to the terminal: what each way of writing lets through, and that nothing else writes."""

from __future__ import annotations

import io
import logging
import sys

import click
import pytest
from rich.console import Console

from localft.events import Answers, Notice
from localft.screen import border
from localft.screen.border import Canvas, Terminal, guard, put, say, speech
from localft.screen.terminal import TerminalScreen
from localft.visible import Speech, Styled, readable, spoken

EVIL = "\x1b]0;owned\x07a\x1b[2J\x1b[31mb\x9b1;1Hc\u202ed\u2067e\ufeff\r\x08f"
SAFE = "👨\u200d👩\u200d👧 می\u200cخواهم क्\u200dष عدد\u200f \u200e so\xadft ❤\ufe0f\n\tx"


class Tty(io.TextIOWrapper):
    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding, write_through=True)

    def isatty(self) -> bool:
        return True

    @property
    def text(self) -> str:
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue().decode()


def guarded(monkeypatch: pytest.MonkeyPatch, encoding: str = "utf-8") -> Tty:
    """Stdout and stderr as a guarded terminal."""
    tty = Tty(encoding)
    monkeypatch.setattr(sys, "stdout", tty)
    monkeypatch.setattr(sys, "stderr", tty)
    monkeypatch.delenv("NO_COLOR", raising=False)
    guard()
    assert isinstance(sys.stderr, Terminal)
    return tty


def test_whatever_else_writes_loses_what_a_terminal_obeys(monkeypatch: pytest.MonkeyPatch) -> None:
    tty = guarded(monkeypatch)
    print(EVIL)
    sys.stderr.write(EVIL + "\n")
    click.echo(click.style(EVIL, fg="red"), err=True)
    handler = logging.StreamHandler()
    handler.emit(logging.LogRecord("x", logging.WARNING, "", 0, EVIL, None, None))
    sys.__excepthook__(ValueError, ValueError(EVIL), None)
    assert tty.text == "abcdef\n" * 4 + "ValueError: abcdef\n"


def test_a_terminal_of_another_encoding_is_no_way_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """Click opens a stream anew whose encoding is ASCII, by its buffer."""
    tty = guarded(monkeypatch, "ascii")
    click.echo(f"é{EVIL}", err=True)
    assert tty.text == "éabcdef\n"


def test_messages_show_what_they_do_not_do(monkeypatch: pytest.MonkeyPatch) -> None:
    tty = guarded(monkeypatch)
    say(Styled(f"{EVIL}", fg="red", bold=True), " \u200d")
    shown = "␛]0;owned␇a␛[2J␛[31mb\\u009b1;1Hc\\u202ed\\u2067e\\ufeff␍␈f"
    assert tty.text == f"\x1b[31m\x1b[1m{shown}\x1b[0m \\u200d\n"
    say(SAFE, clean=readable)
    assert tty.text.endswith(f"{SAFE}\n")


def test_colours_only_where_they_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    tty = guarded(monkeypatch)
    monkeypatch.setenv("NO_COLOR", "1")
    say(Styled("a", fg="red"), Styled("", bold=True))
    assert tty.text == "a\n"
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    say(Styled("b", fg="red"))
    assert tty.text == "a\nb\n"
    monkeypatch.setenv("TERM", "xterm")
    say(Styled("c", fg="red"))
    assert tty.text == "a\nb\n\x1b[31mc\x1b[0m\n"


def test_what_programs_read_is_unchanged_but_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    tty = guarded(monkeypatch)
    put("\x1b\u202e{}")
    assert tty.text == "␛\\u202e{}\n"
    monkeypatch.setattr(sys, "stdout", file := io.StringIO())
    put("\x1b\u202e{}")
    with speech() as write:
        write(EVIL)
    assert file.getvalue() == f"\x1b\u202e{{}}\n{EVIL}"


def test_conversations_keep_what_their_scripts_need(monkeypatch: pytest.MonkeyPatch) -> None:
    tty = guarded(monkeypatch)
    with speech() as write:
        for char in f"{SAFE}{EVIL}{SAFE}":
            write(char)
    assert tty.text == f"{SAFE}abcdef{SAFE}"


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("a\x1b]0;title\x07b", "ab"),
        ("a\x1b]0;title\x1b\\b", "ab"),
        ("a\x9d0;title\x9cb", "ab"),
        ("a\x1bPq#0\x1b\\b\x1b_x\x1b\\c\x1b^x\x1b\\d\x1bXx\x1b\\e", "abcde"),
        ("a\x1b[38;2;1;2;3mb\x1b[?1049hc\x1b[ qd\x9b2Je", "abcde"),
        ("a\x1bcb\x1b(0c\x1b#8d\x1b7e", "abcde"),
        ("a\x1b\x1b]0;title\x07b", "ab"),
        ("a\x1b]0;one\x1b]0;two\x07b", "a0;oneb"),
        ("a\x1b]0;never\nended", "a0;never\nended"),
        ("a\x1b]never ended", "anever ended"),
        ("a\x1b]" + "x" * 5000 + "\x07b", "a" + "x" * 5000 + "b"),
        ("a\x1b[" + "1" * 99 + "mb", "a" + "1" * 99 + "mb"),
        ("a\x1b[31é", "a31é"),
        ("a\x1b", "a"),
        ("a\x1b[", "a"),
    ],
)
def test_escape_sequences_go_whole_however_they_are_split(text: str, rest: str) -> None:
    assert spoken(text) == rest
    for width in (1, 2, 3, 7, 2000):
        speech = Speech()
        pieces = [speech.feed(text[i : i + width]) for i in range(0, len(text), width)]
        assert "".join(pieces) + speech.end() == rest


def test_what_does_not_end_holds_little_back() -> None:
    speech = Speech()
    shown = "".join(speech.feed("x") for _ in [speech.feed("\x1b]")] + ["x"] * 3000)
    assert len(shown) > 2900


def test_cleaning_takes_time_in_proportion() -> None:
    import time

    for hostile in ("\x1b]", "\x9d", "\x1b[1", "\x1b(", "\x1b]a\x1b", "\x1b]0;" + "y" * 1000):
        began = time.perf_counter()
        spoken(hostile * (500_000 // len(hostile)))
        assert time.perf_counter() - began < 2, hostile


def test_rich_draws_but_what_it_draws_cannot_act(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rich leaves ESC in texts, makes links of markup, and reads markup in its bar's words."""
    tty, drawn = Tty(), "\r\x1b[2K\x1b[1A\x1b[?25l\x1b[1;31mred\x1b[0m\x1b[38;5;197m─\x1b[38;2;1;22;255m"
    Canvas(tty).write(f"{drawn}\x1b]0;owned\x07a\x1b[2Jb\x9b1;1Hc\u202ed\x08\x1b[8me\x1b[?1049hf")
    assert tty.text == f"{drawn}abcdef"
    tty = Tty()
    screen = TerminalScreen(Console(file=Canvas(tty), force_terminal=True, width=100, markup=False, emoji=False))
    markup = "[link=http://e]:smile:[/link] [/]"
    screen.report(f"{markup}{EVIL}", 1, 2)
    screen.show(Notice(f"{markup}{EVIL}"))
    screen.show(Answers(f"{markup}{EVIL}{SAFE}", EVIL, EVIL, EVIL))
    screen.close()
    assert not {"\x07", "\x08", "\x9b", "\u202e", "\u2067", "\ufeff"} & set(tty.text)
    assert "\x1b]" not in tty.text
    assert tty.text.count(markup) >= 3
    assert "␛]0;owned␇a␛[2J␛[31mb\\u009b1;1Hc" in tty.text.replace("\n", "")
    assert "می\u200cخواهم क्\u200dष عدد\u200f" in tty.text


def test_a_stream_that_is_closed_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    say("a")
    assert border.columns() is None
