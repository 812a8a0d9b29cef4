"""What the user says at the prompt: a line that can be edited, a paste of several lines as one message, a history."""

from __future__ import annotations

import contextlib
import json
import os
import select
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

from localft.files import read_text, write_text
from localft.home import localft_home
from localft.screen.border import columns, say

PROMPT, CONTINUED = "> ", "… "
HISTORY = "chat-history.jsonl"
KEPT = 1000
# Seconds within which what follows a line was pasted with it, where the terminal does not mark a paste.
AT_ONCE = 0.05


class ChatInput:
    """Messages from stdin; on a terminal with editing, and with the arrow keys back to those of earlier chats too.

    Args:
        commands: names that the tab key completes behind a slash.
    """

    def __init__(self, commands: Iterable[str]) -> None:
        self.typed = sys.stdin is not None and sys.stdin.isatty()
        self.commands = sorted(commands)
        self.last = ""
        self._readline = _readline() if self.typed else None
        self._marks_pastes = False
        if self._readline:
            self._set_up(self._readline)

    def read(self) -> str:
        """The next message: a line, those that a backslash or a paste joins to it.

        Raises:
            EOFError: there is none.
            KeyboardInterrupt: Ctrl-C.
        """
        lines = [self._line(PROMPT)]
        while True:
            if lines[-1].endswith("\\"):
                lines[-1] = lines[-1][:-1]
                lines.append(self._line(CONTINUED))
            elif self._more_was_pasted():
                lines += self._rest_of_paste()
            else:
                break
        message = "\n".join(lines)
        message = message.rstrip("\n") if self.typed else message
        self._remember(message)
        return message

    def _line(self, prompt: str) -> str:
        if not self.typed:
            return input()
        if columns(out=True) is None:
            say(prompt, end="")
            return input()
        return input(prompt)

    def _more_was_pasted(self) -> bool:
        return self.typed and not self._marks_pastes and bool(select.select([sys.stdin], [], [], AT_ONCE)[0])

    def _rest_of_paste(self) -> Iterator[str]:
        """Further lines, up to the one that the user ends: that is not there at once."""
        at_once = True
        while at_once:
            began = time.monotonic()
            yield self._line("" if self._more_was_pasted() else CONTINUED)
            at_once = time.monotonic() - began < 2 * AT_ONCE

    def _set_up(self, readline: ModuleType) -> None:
        if "libedit" in (readline.__doc__ or ""):
            readline.parse_and_bind("bind ^I rl_complete")
        else:
            self._marks_pastes = os.environ.get("TERM", "dumb") not in ("dumb", "linux", "unknown")
            # Python switches it off for its own prompt, which takes one line at a time
            readline.parse_and_bind(f"set enable-bracketed-paste {'on' if self._marks_pastes else 'off'}")
            readline.parse_and_bind("tab: complete")
        readline.set_completer_delims(" ")
        readline.set_completer(self._complete)
        readline.set_auto_history(False)
        readline.clear_history()
        for message in _history():
            readline.add_history(message)
            self.last = message

    def _complete(self, begun: str, state: int) -> str | None:
        found = [f"/{name}" for name in self.commands if f"/{name}".startswith(begun)] if begun else []
        return found[state] if state < len(found) else None

    def _remember(self, message: str) -> None:
        """Keep a message for the arrow keys; one that begins with a space, or says the same again, is not kept."""
        if not self._readline or not message.strip() or message[0] == " " or message == self.last:
            return
        self.last = message
        self._readline.add_history(message)
        with contextlib.suppress(OSError, RuntimeError):
            _append(localft_home() / HISTORY, json.dumps(message) + "\n")


def _readline() -> ModuleType | None:
    try:
        import readline
    except ImportError:
        return None
    return readline


def _history() -> list[str]:
    """What was said in earlier chats, the oldest first; what cannot be read is left out."""
    messages = []
    try:
        path = localft_home() / HISTORY
        lines = read_text(path).split("\n")[:-1]
    except (OSError, RuntimeError, UnicodeDecodeError):  # RuntimeError: there is no home
        return []
    for line in lines[-KEPT:]:
        with contextlib.suppress(ValueError, RecursionError):
            message = json.loads(line)
            if isinstance(message, str) and "\0" not in message:
                messages.append(message)
    if len(lines) > 2 * KEPT:
        with contextlib.suppress(OSError):
            write_text(path, "".join(f"{line}\n" for line in lines[-KEPT:]))
    return messages


def _append(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    handle = os.open(path, flags, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(text)
