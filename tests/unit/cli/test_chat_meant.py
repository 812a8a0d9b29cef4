"""Slash commands that a chat does not have, by what they mean elsewhere."""

from __future__ import annotations

import pytest

from localft.cli.chat_meant import meant_command

OWN = ("help", "reset", "system", "retry", "compare", "save", "exit", "quit")


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("clear", "did you mean `/reset`?"),
        ("bye", "did you mean `/exit`?"),
        ("?", "did you mean `/help`?"),
        ("regenerate", "did you mean `/retry`?"),
        ("set system You are a pirate", "did you mean `/system`?"),
        ("rset", "did you mean `/reset`?"),
        ("sav", "did you mean `/save`?"),
        ("xyzzy", "/help lists the commands"),
        ("set", "settings are given when a chat starts: leave with /exit, then `localft chat --help` lists them"),
        ("temp", "that is set when a chat starts: leave with /exit, then `localft chat … --temp 0.7`"),
        ("Temperature 0.7", "that is set when a chat starts: leave with /exit, then `localft chat … --temp 0.7`"),
        ("set temp 0.7", "that is set when a chat starts: leave with /exit, then `localft chat … --temp 0.7`"),
        ("set temp=0.7", "that is set when a chat starts: leave with /exit, then `localft chat … --temp 0.7`"),
        (
            "set parameter num_ctx 4096",
            "that is set when a chat starts: leave with /exit, then `localft chat … --ctx 4096`",
        ),
        ("load llama3", "that is set when a chat starts: leave with /exit, then `localft chat … --model MODEL`"),
    ],
)
def test_what_a_command_means(typed: str, hint: str) -> None:
    word, _, rest = typed.partition(" ")
    assert meant_command(word, rest, OWN) == hint
