"""The prompt of a chat on a terminal: a paste is one message, the arrow keys know earlier chats, tab knows commands."""

from __future__ import annotations

import json
import os
import pty
import select
import stat
import sys
import time
from pathlib import Path

import pytest

readline = pytest.importorskip("readline")
READS = """
import sys
from localft.cli.chat_input import ChatInput
said = ChatInput(["reset", "retry", "help"])
for _ in range({n}):
    print("<" + repr(said.read()) + ">", flush=True)
"""
GNU = "libedit" not in (readline.__doc__ or "")


def read(*keys: str, n: int = 1, term: str = "xterm-256color") -> list[str]:
    """What comes of keys, each struck when the prompt is there, read as `n` messages."""
    child, terminal = pty.fork()
    if child == 0:
        os.environ["TERM"] = term
        os.execv(sys.executable, [sys.executable, "-c", READS.format(n=n)])
    shown, left, end = b"", list(keys), time.monotonic() + 60
    try:
        while select.select([terminal], [], [], max(0, end - time.monotonic()))[0]:
            shown += os.read(terminal, 1 << 16)
            if left and shown.endswith(b"> "):
                os.write(terminal, left.pop(0).encode())
    except OSError:  # it has ended
        pass
    os.close(terminal)
    os.waitpid(child, 0)
    return [eval(line[1:-1]) for line in shown.decode().splitlines() if line.startswith("<'") or line.startswith('<"')]


def paste(text: str) -> str:
    return f"\x1b[200~{text}\x1b[201~"


@pytest.mark.skipif(not GNU, reason="libedit does not know pastes")
@pytest.mark.parametrize(
    ("pasted", "message"),
    [
        ("one\ntwo\nthree", "one\ntwo\nthree"),
        ("one\ntwo\n", "one\ntwo"),
        ("def f():\n\treturn 1\n\n\nf()", "def f():\n\treturn 1\n\n\nf()"),
        ("/reset\nis a command", "/reset\nis a command"),
    ],
)
def test_pasted_lines_are_one_message(pasted: str, message: str) -> None:
    assert read(paste(pasted) + "\r", "next\r", n=2) == [message, "next"]


@pytest.mark.parametrize(
    ("pasted", "message"), [("one\rtwo\rthree", "one\ntwo\nthree"), ("one\rtwo\r", "one\ntwo"), ("one", "one")]
)
def test_pasted_lines_are_one_message_where_the_terminal_does_not_mark_them(pasted: str, message: str) -> None:
    assert typed_slowly(pasted) == message


def typed_slowly(pasted: str) -> str:
    """A paste at once, and the Enter key a while later."""
    child, terminal = pty.fork()
    if child == 0:
        os.environ["TERM"] = "linux"
        os.execv(sys.executable, [sys.executable, "-c", READS.format(n=1)])
    shown, began = b"", False
    try:
        while True:
            if select.select([terminal], [], [], 0.5)[0]:
                shown += os.read(terminal, 1 << 16)
            elif began:
                os.write(terminal, b"\r")
            if shown.endswith(b"> ") and not began:
                began = True
                os.write(terminal, pasted.encode())
    except OSError:
        pass
    os.close(terminal)
    os.waitpid(child, 0)
    return str(eval(shown[shown.rindex(b"<") + 1 : shown.rindex(b">")].decode()))


def test_arrow_keys_bring_back_what_was_said_in_earlier_chats(home: Path) -> None:
    assert read(paste("two\nlines") + "\r" if GNU else "lines\r", "again\r", "again\r", " secret\r", n=4)[1:] == [
        "again", "again", " secret",
    ]  # fmt: skip
    kept = home / "chat-history.jsonl"
    assert [json.loads(line) for line in kept.read_text().splitlines()] == ["two\nlines" if GNU else "lines", "again"]
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert read("\x1b[A\x1b[A\r") == ["two\nlines" if GNU else "lines"]


@pytest.mark.parametrize("content", [b"\xff\xfe\n", b'{"a": 1}\n"a\\u0000b"\n[[[', b""])
def test_a_damaged_history_is_none(home: Path, content: bytes) -> None:
    (home / "chat-history.jsonl").write_bytes(content)
    assert read("\x1b[Ahello\r") == ["hello"]


def test_a_history_that_cannot_be_kept_is_no_error(home: Path) -> None:
    (home / "chat-history.jsonl").mkdir()
    assert read("hello\r") == ["hello"]


def test_the_history_does_not_grow_for_ever(home: Path) -> None:
    kept = home / "chat-history.jsonl"
    kept.write_text("".join(f'"{i}"\n' for i in range(2500)))
    assert read("\x1b[A\r") == ["2499"]
    assert len(kept.read_text().splitlines()) == 1000


def test_tab_completes_commands() -> None:
    assert read("/h\t\r") == ["/help"]
    assert read("/ret\t\r") == ["/retry"]
