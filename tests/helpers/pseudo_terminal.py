"""Commands on a pseudo-terminal, each forked from one process that has imported what they need.

    with Terminals() as terminals:
        shown = terminals.run(["doctor"], folder).text

The process is one of its own, since a fork of a process in which ggml has computed may hang.
"""

from __future__ import annotations

import base64
import io
import json
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from dataclasses import dataclass
from fcntl import ioctl
from pathlib import Path
from struct import pack
from typing import Any

SIZE = (40, 100)  # lines and columns
SECONDS = 60
PRELOADED = ("numpy", "gguf", "llama_cpp", "jinja2", "rich.progress", "localft.cli", "localft.model.tokenizer")


@dataclass(frozen=True)
class Shown:
    """What came out of the terminal, and the command's exit status."""

    text: str
    status: int


class Terminals:
    """Starts the process; `run` is for one command at a time."""

    def __enter__(self) -> Terminals:
        program = [sys.executable, __file__]
        self._process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def run(
        self, arguments: list[str], folder: Path, *, type: tuple[str, ...] = (), out: Path | None = None, **env: str
    ) -> Shown:
        """Run `localft` with arguments in a folder.

        Args:
            type: lines, each typed once the prompt is there.
            out: a file that stdout goes to; otherwise it is the terminal, as stderr is.
            env: what is added to the environment.
        """
        environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS")}
        environment |= {"TERM": "xterm-256color", **env}
        asked = {"arguments": arguments, "folder": str(folder), "type": type, "out": out and str(out)}
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({**asked, "environment": environment}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return Shown(base64.b64decode(answer["shown"]).decode("utf-8", "backslashreplace"), answer["status"])


def serve() -> None:
    for name in PRELOADED:
        __import__(name)
    for line in sys.stdin:
        asked = json.loads(line)
        child, terminal = pty.fork()
        if child == 0:
            become(asked)
        shown, status = watch(child, terminal, asked["type"])
        print(json.dumps({"shown": base64.b64encode(shown).decode(), "status": status}), flush=True)


def watch(child: int, terminal: int, lines: list[str]) -> tuple[bytes, int]:
    shown, left, end = b"", list(lines), time.monotonic() + SECONDS
    while True:
        if not select.select([terminal], [], [], max(0, end - time.monotonic()))[0]:
            os.kill(child, signal.SIGKILL)
            break
        try:
            piece = os.read(terminal, 1 << 16)
        except OSError:  # the child has ended
            break
        if not piece:
            break
        shown += piece
        if left and shown.endswith(b"> "):
            os.write(terminal, left.pop(0).encode() + b"\n")
    os.close(terminal)
    return shown, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def become(asked: dict[str, Any]) -> None:
    """The command, in the child."""
    status = 99
    try:
        ioctl(0, termios.TIOCSWINSZ, pack("HHHH", *SIZE, 0, 0))
        if asked["out"]:
            os.dup2(os.open(asked["out"], os.O_WRONLY | os.O_CREAT), 1)
        sys.stdin = io.TextIOWrapper(io.FileIO(0), "utf-8")  # type: ignore[type-var]
        sys.stdout = io.TextIOWrapper(io.FileIO(1, "w"), "utf-8", line_buffering=True)  # type: ignore[type-var]
        sys.stderr = io.TextIOWrapper(io.FileIO(2, "w"), "utf-8", "backslashreplace", line_buffering=True)  # type: ignore[type-var]
        os.environ.clear()
        os.environ.update(asked["environment"])
        os.chdir(asked["folder"])
        sys.argv = ["localft", *asked["arguments"]]
        from localft.cli import main

        main()
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 98
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(status)


if __name__ == "__main__":
    serve()
