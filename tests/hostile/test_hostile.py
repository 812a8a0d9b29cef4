"""A few cases of each target with fixed seeds, what failed once, and a few faults; `make hostile` tries thousands.

They run in a process of their own: attempts are forked, and this one may have computed with ggml.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hostile.targets import TARGETS

TESTS = Path(__file__).parents[1]
GROUPS = 2


def run(module: str, *arguments: str) -> None:
    command = [sys.executable, "-m", f"hostile.{module}", *arguments]
    done = subprocess.run(command, cwd=TESTS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("group", range(GROUPS))
def test_mutated_files_are_refused_or_harmless(group: int) -> None:
    names = [name for name, target in TARGETS.items() if not target.around][group::GROUPS]
    targets = [part for name in names for part in ("--target", name)]
    run("campaign", "--seed", "1", "--cases", "1", "--workers", "1", *targets)


def test_odd_surroundings_of_a_program() -> None:
    targets = [part for name, target in TARGETS.items() if target.around for part in ("--target", name)]
    run("campaign", "--seed", "4000", "--cases", "5", "--workers", "1", *targets)


def test_what_failed_once_does_not_again() -> None:
    run("campaign", "--found", "--workers", "1")


def test_writers_that_are_killed_or_refused() -> None:
    writers = [part for name in ("convert", "train", "split", "ask", "merge") for part in ("--writer", name)]
    run("faults", "--most", "2", *writers)


@pytest.mark.hostile
@pytest.mark.timeout(1800)
def test_ten_minutes_of_it() -> None:
    run("faults", "--most", "12")
    run("campaign", "--minutes", "10")
