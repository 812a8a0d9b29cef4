"""The parent's end of a side: what it is called, and the process that runs it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent

# Options that a side may have, with what they do.
OPTIONS = {
    "native": ("f32", "int16", "recompute"),
    "peft": ("ckpt", "compile"),
}
MODES = {"peft": ("f32", "bf16", "autocast")}


class SideError(Exception):
    """A side cannot do what it was asked for; the text says why."""


@dataclass(frozen=True)
class Side:
    """One way to do the job: ENGINE:MODE[+OPTION…][:ROWS].

    Attributes:
        mode: type of the base (native), or precision (peft).
        options: native: f32 or int16 arithmetic in place of auto, recompute; peft: ckpt, compile.
        rows_per_pass: sequences in one forward and backward pass; 0: as `localft finetune` packs them.
    """

    engine: str
    mode: str
    options: tuple[str, ...] = ()
    rows_per_pass: int = 0

    @staticmethod
    def parse(text: str, peft_rows: int = 4) -> Side:
        """Read a side as the command line gives it; `peft_rows` is what PEFT takes where no ROWS are given.

        Raises:
            ValueError: says what is wrong.
        """
        engine, _, rest = text.partition(":")
        mode, _, rows = rest.partition(":")
        mode, *options = mode.split("+")
        if engine not in OPTIONS or not mode or mode not in MODES.get(engine, (mode,)):
            raise ValueError(f'"{text}" is no side: native:TYPE, peft:f32, peft:bf16 or peft:autocast')
        unknown = [option for option in options if option not in OPTIONS[engine]]
        if unknown:
            raise ValueError(f'"{text}": {engine} has no "{unknown[0]}", only {", ".join(OPTIONS[engine])}')
        if rows and not rows.isdecimal():
            raise ValueError(f'"{text}": "{rows}" is no number of rows')
        default = peft_rows if engine == "peft" else 0
        return Side(engine, mode, tuple(options), int(rows) if rows else default)

    def __str__(self) -> str:
        return f"{self.engine}:{'+'.join([self.mode, *self.options])}:{self.rows_per_pass or 'auto'}"


class Child:
    """A live process that does one side's steps when it is told to."""

    def __init__(
        self, side: Side, job: dict[str, Any], model: Path, threads: int, python: str = sys.executable
    ) -> None:
        spec = {**asdict(side), "job": job, "model": str(model), "threads": threads}
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(threads)}
        self.side = side
        self._log = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            [python, str(HERE / "side.py"), json.dumps(spec)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment,
            text=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests, self._answers = self._process.stdin, self._process.stdout

    def ask(self, do: str, **details: Any) -> dict[str, Any]:
        """Send a request and wait for its answer.

        Raises:
            SideError: the request failed, or the process is gone.
        """
        try:
            self._requests.write(json.dumps({"do": do, **details}) + "\n")
            self._requests.flush()
            line = self._answers.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise SideError(f"the process ended with {self._process.wait()}{self._last_words()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise SideError(answer["error"])
        return answer

    def close(self) -> None:
        """Let the process end."""
        with contextlib.suppress(BrokenPipeError):
            self._requests.close()
        self._answers.close()
        self._process.wait()
        self._log.close()

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = self._log.read().strip().splitlines()
        return f": {lines[-1].strip()}" if lines else ""
