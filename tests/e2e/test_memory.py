"""Peak memory of the commands that read data: bounded by the longest row, not by how many rows or bytes there are."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

WORDS = "the quick brown fox jumps over a lazy dog and runs on. "
ABOUT = {"doc": "r:a.md", "source": {"kind": "page", "repository": "r", "path": "a.md"}}
LONG = 30 << 20  # characters of the long row, nearly as long as rows may be
ROOM = 200 << 20  # beside four times that
COMMANDS = {
    "check": "data check {}",
    "check --val-data": "data check small.jsonl --val-data {}",
    "show": "data show {} --model demo --row 1",
    "split": "data split {} small.jsonl -o out",
    "synth": "data synth {} -o out.jsonl",
}
MIB = 1 << 20


def slow(value: str) -> Any:
    return pytest.param(value, marks=pytest.mark.slow)


# a process counts the memory of the one that started it as its own until it begins: so a small one starts it
MEASURE = (
    "import resource, subprocess, sys\n"
    "done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n"
    "print(done.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
)


def peak(folder: Path, command: str) -> int:
    """Bytes that a command and its processes took at most, each for itself."""
    program = [sys.executable, "-c", "from localft.cli import main; main()", *command.split()]
    measured = subprocess.run([sys.executable, "-c", MEASURE, *program], cwd=folder, capture_output=True, text=True)
    status, most = map(int, measured.stdout.split())
    assert status in (0, 1), command
    return most * (1 if sys.platform == "darwin" else 1024)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("data")
    rows = [{"text": f"{WORDS} {i}", "doc": f"d{i}"} for i in range(30)]
    (made / "small.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (made / "base.jsonl").write_text(json.dumps({"text": WORDS, **ABOUT}) + "\n")
    return made


@lru_cache
def base(folder: Path, name: str) -> int:
    """What a command takes for next to nothing."""
    return peak(folder, COMMANDS[name].format("base.jsonl"))


@lru_cache
def long_text() -> str:
    return (WORDS * (LONG // len(WORDS) + 1))[:LONG]


@pytest.mark.parametrize("name", ["check", *map(slow, list(COMMANDS)[1:])])
def test_a_long_row_takes_a_few_times_its_length(name: str, folder: Path) -> None:
    """200 MB of text on one line took 3.2 GB."""
    (folder / "long.jsonl").write_text(json.dumps({"text": long_text(), **ABOUT}) + "\n")
    room = base(folder, name) + ROOM if name == "check" else 1 << 30  # others keep several copies of a row
    assert peak(folder, COMMANDS[name].format("long.jsonl")) < room + 4 * LONG


@pytest.mark.parametrize("suffix", [".parquet", ".csv", *map(slow, [".txt", ".json"])])
def test_a_long_row_in_any_format(suffix: str, folder: Path) -> None:
    path = folder / f"long{suffix}"
    if suffix == ".parquet":
        parquet.write_table(pyarrow.table({"text": [long_text(), WORDS]}), path)
    else:
        text = {
            ".txt": long_text(),
            ".csv": f'text\n"{long_text()}"\n',
            ".json": json.dumps([{"text": long_text()}, {"text": WORDS}]),
        }[suffix]
        path.write_text(text)
    assert peak(folder, COMMANDS["check"].format(path.name)) < base(folder, "check") + 4 * LONG + ROOM


@pytest.mark.slow
@pytest.mark.parametrize("part", ["[]", "{}", "9.9", '"é"'])
def test_a_row_of_many_parts_stays_under_the_bound(part: str, folder: Path) -> None:
    (folder / "parts.jsonl").write_text(f'{{"text": "a", "x": [{",".join([part] * (LONG // (len(part) + 1)))}]}}\n')
    assert peak(folder, COMMANDS["check"].format("parts.jsonl")) < (1 << 30) + 4 * LONG


def many_rows(path: Path, n_mib: int) -> None:
    """Conversations in a .jsonl.gz, 25 times smaller."""
    block = "".join(
        json.dumps({"prompt": f"Question {i}? {WORDS}", "completion": f"{WORDS * 3} {i}", "doc": f"d{i}"}) + "\n"
        for i in range(80)
    ).encode()
    with gzip.open(path, "wb", 1) as file:
        for _ in range(n_mib * MIB // len(block)):
            file.write(block)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["check", "check --val-data", "split"])
def test_many_rows_take_little_more_than_few(name: str, folder: Path) -> None:
    """440 MB of rows took 2 GB."""
    many_rows(folder / "many.jsonl.gz", 400)
    assert peak(folder, COMMANDS[name].format("many.jsonl.gz")) < base(folder, name) + 512 * MIB


@pytest.mark.slow
@pytest.mark.parametrize("command", ["data check {} --model demo", "finetune --model demo --data {} --dry-run"])
def test_a_model_counts_many_rows_in_bounded_memory(command: str, folder: Path) -> None:
    many_rows(folder / "many.jsonl.gz", 20)
    assert peak(folder, command.format("many.jsonl.gz")) < 1024 * MIB
