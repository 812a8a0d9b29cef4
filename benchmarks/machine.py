"""What a result says about the machine and the program that it comes from."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def describe(script: str, arguments: Sequence[str]) -> dict[str, Any]:
    """When, by which command, of which commit, on what."""
    dirty = _git("status", "--porcelain", "--untracked-files=no", "--", "localft", "native", "benchmarks/*.py")
    return {
        "run": time.strftime("%Y-%m-%dT%H:%M:%S"),
        "command": command_line(script, arguments),
        "commit": _git("rev-parse", "HEAD") + ("+changes" if dirty else ""),
        "python": platform.python_version(),
        "cpu": cpu_name(),
        "n_cpu": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "load_average": round(os.getloadavg()[0], 2),
    }


def command_line(script: str, arguments: Sequence[str]) -> str:
    """The command, with the interpreter that is this machine's own left open."""
    shown = [
        "PYTHON" if before == "--peft-python" else word
        for before, word in zip(["", *arguments[:-1]], arguments, strict=True)
    ]
    return shlex.join(["python", f"benchmarks/{script}", *shown])


def cpu_name() -> str:
    """The processor's own name, and which of its instruction sets matter here."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.processor()
    fields = dict(line.split(":", 1) for line in info.read_text().splitlines() if ":" in line)
    found = {key.strip(): value.strip() for key, value in fields.items()}
    wanted = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
    flags = [flag for flag in wanted if flag in found.get("flags", "").split()]
    return f"{found.get('model name', 'unknown')} ({' '.join(flags)})"


def _git(*args: str) -> str:
    return subprocess.run(["git", *args], cwd=ROOT, text=True, capture_output=True, check=False).stdout.strip()
