"""Ctrl-C at any moment of any command: a word and exit status 130, never where Python was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from localft.cli import main, program

# A program that gets Ctrl-C when the first module of a name is looked for: the same moment on every machine.
AT = """
import os, signal, sys
moment = sys.argv.pop(1)
class Stop:
    def find_spec(self, name, path=None, target=None):
        if name == moment:
            sys.meta_path.remove(stop)
            os.kill(os.getpid(), signal.SIGINT)
stop = Stop()
sys.meta_path.insert(0, stop)
from localft.cli import main
main()
"""
MOMENTS = (
    *("localft.cli.program", "click", "localft.cli.lazy", "localft.screen.border", "localft.addresses", "re"),
    *("localft.cli.data", "localft.cli.data.check", "localft.inspect.check.check", "localft.model.card"),
)


@pytest.mark.parametrize("moment", MOMENTS)
def test_an_interrupt_while_modules_load(moment: str, tmp_path: Path) -> None:
    """In the first 0.15 s there was a traceback."""
    (tmp_path / "d.jsonl").write_text('{"text": "the cat sat"}\n')
    done = subprocess.run(
        [sys.executable, "-c", AT, moment, "data", "check", "d.jsonl"], cwd=tmp_path, capture_output=True
    )
    assert (done.returncode, done.stderr.decode().strip()) == (130, "interrupted")


def test_the_first_of_them_is_met() -> None:
    done = subprocess.run([sys.executable, "-c", AT, "localft.cli.program", "--help"], capture_output=True)
    assert (done.returncode, done.stderr, done.stdout) == (130, b"interrupted\n", b"")


def test_an_interrupt_at_the_very_end(tmp_path: Path) -> None:
    code = (
        "import atexit, os, signal; from localft.cli import main;"
        "atexit.register(os.kill, os.getpid(), signal.SIGINT); main()"
    )
    done = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, cwd=tmp_path)
    assert done.returncode == 0, "what came before ours is still met"


def test_main_leaves_the_handler_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(program.cli, "main", lambda **_: seen.append(signal.getsignal(signal.SIGINT)))
    before = signal.getsignal(signal.SIGINT)
    main()
    assert [*seen, signal.getsignal(signal.SIGINT)] == [before, before]


@pytest.mark.slow
@pytest.mark.parametrize("milliseconds", range(0, 600, 25))
def test_an_interrupt_at_any_time(milliseconds: int, tmp_path: Path) -> None:
    """From the moment that localft is called: what Python says while it starts is none of ours."""
    started = subprocess.Popen(
        [sys.executable, "-c", "import os; from localft.cli import main; os.write(1, b'.'); main()", "doctor"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
    )
    assert started.stdout is not None
    os.read(started.stdout.fileno(), 1)
    time.sleep(milliseconds / 1000)
    started.send_signal(signal.SIGINT)
    _, said = started.communicate()
    assert b"Traceback" not in said, said.decode()
