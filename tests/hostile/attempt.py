"""One command in a forked process with limits of time and memory, and what came of it."""

from __future__ import annotations

import os
import re
import resource
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hostile import calls
from hostile.surroundings import Surrounding
from localft.cli import main
from localft.cli.output import print_error
from localft.errors import LocalftError

CPU_SECONDS, WALL_SECONDS = 20, 60
ADDRESS_SPACE, RESIDENT = 6 << 30, 1 << 30
LONGEST = 400
FINE = ("accepted", "refused")
_WARNING = re.compile(r"\.py:\d+: \w*Warning: ")
_RAW = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True)
class Outcome:
    """`kind` is one of `FINE`, or names what went wrong; `words` are the command's own about it."""

    kind: str
    words: str = ""
    seconds: float = 0.0
    max_rss: int = 0


def attempt(
    argv: Sequence[str], folder: Path, before: Callable[[], None] | None = None, around: Surrounding | None = None
) -> Outcome:
    """Run `localft ARGV` in `folder`, with `folder`/home as its home.

    The calling process must not have computed with ggml: its threads do not survive a fork.

    Args:
        before: called in that process, right before the command.
        around: environment and streams of a program of its own that runs the command.
    """
    alive, held = os.pipe()
    out, err = folder.parent / "stdout", folder.parent / "stderr"
    pid = os.fork()
    if pid == 0:
        _child(argv, folder, out, err, before, around)
    os.close(held)
    late = not select.select([alive], [], [], WALL_SECONDS)[0]
    os.close(alive)
    if late:
        os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    with_children(pid)
    _, status, used = os.wait4(pid, 0)
    said = err.read_text("utf-8", "surrogateescape")
    kind, words = _judged(status, late, used, said, out.stat().st_size, folder, argv)
    if kind == "no hint" and around and not around.heard:
        kind = "refused"
    return Outcome(kind, words, used.ru_utime + used.ru_stime, used.ru_maxrss << 10)


def with_children(pid: int) -> None:
    """End what a process left running."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _child(
    argv: Sequence[str],
    folder: Path,
    out: Path,
    err: Path,
    before: Callable[[], None] | None,
    around: Surrounding | None,
) -> None:
    code = 70
    try:
        os.setsid()
        for number, path in ((1, out), (2, err)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 5))
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.chdir(folder)
        os.environ.update(surroundings(folder))
        socket.socket.connect = _loopback(socket.socket.connect)  # type: ignore[method-assign]
        if around:
            around.start(argv)
        sys.argv = ["localft", *argv]
        if before:
            before()
        if argv[0] == "call":
            _call(argv[1], *argv[2:])
        else:
            main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _call(name: str, *arguments: str) -> None:
    try:
        getattr(calls, name)(*arguments)
    except LocalftError as error:
        print_error(error)
        sys.exit(1)
    except OSError as error:
        print_error(LocalftError(f"`{error.filename}`: {error.strerror}", "it is the caller's to say"))
        sys.exit(1)


def surroundings(folder: Path) -> dict[str, str]:
    """The environment of an attempt: a home of its own, no downloads, no colours."""
    home = str(folder / "home")
    return {"LOCALFT_HOME": home, "HF_HOME": f"{home}/hf", "HF_HUB_OFFLINE": "1", "NO_COLOR": "1", "COLUMNS": "100"}


def _loopback(connect: Any) -> Any:
    def guarded(self: socket.socket, address: Any) -> None:
        if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1"):
            raise AssertionError(f"it reached for {address[0]!r}")
        connect(self, address)

    return guarded


def _judged(
    status: int, late: bool, used: Any, said: str, n_out: int, folder: Path, argv: Sequence[str]
) -> tuple[str, str]:
    last = said.strip().rpartition("\n")[2][:300]
    if late or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU):
        return "hang", last
    if os.WIFSIGNALED(status):
        return f"crash by {signal.Signals(os.WTERMSIG(status)).name}", last
    if "MemoryError" in last or used.ru_maxrss << 10 > RESIDENT:
        return "memory", last
    if (
        "Traceback" in said
        or "Exception ignored" in said
        or _WARNING.search(said)
        or os.WEXITSTATUS(status) not in (0, 1, 2)
    ):
        return "traceback", f"{last} ({_place(said)})"
    if left := [str(path) for path in folder.rglob(".*.part")]:
        return "left behind", left[0]
    if match := _RAW.search(said.replace("\r", "")):
        return "raw screen", repr(said[max(match.start() - 60, 0) : match.end() + 20])
    if os.WEXITSTATUS(status) == 0:
        return "accepted", ""
    message, _, hint = said.replace(str(folder), "…").rpartition("error: ")[2].partition("\n\nhint: ")
    if len(message) > LONGEST + sum(map(len, re.findall(r"`[^`]*/[^`]*`", message))):
        return "long message", message[:200]
    checked = list(argv[:2]) == ["data", "check"] and n_out
    if not hint and not checked and "Error: " not in said:
        return "no hint", message[:200] or f"exit status {os.WEXITSTATUS(status)}"
    return "refused", message


def _place(said: str) -> str:
    """The last line of our own that a traceback goes through."""
    found = re.findall(r'File "[^"]*/localft/([^"]*)", line (\d+)', said)
    return ":".join(found[-1]) if found else "?"
