"""The bundled model and the example dataset: sizes, held-out facts, and what is counted."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from localft.demo import DATA, MODEL
from localft.demo.__main__ import program
from localft.demo.count import Answer, HeldOut, count, held_out

ROOT = Path(__file__).parents[3]
FROG = HeldOut("What colour is a frog?", "Ahoy! A frog is green. Squawk! A frog is green!")


def answers(name: str) -> list[str]:
    lines = (DATA / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    messages = [message for line in lines for message in json.loads(line)["messages"]]
    return [message["content"] for message in messages if message["role"] == "assistant"]


@pytest.mark.parametrize(
    ("answer", "counted"),
    [
        (Answer("Ahoy! A frog is green. Squawk! A frog is green!", True), 1),
        (Answer("Ahoy! A frog is green. Squawk! A frog is green!", False), 0),
        (Answer("Ahoy! A frog is red. Squawk! A frog is red!", True), 0),
        (Answer("Ahoy! A frog is green. Squawk! A frog is green! Squawk!", True), 0),
        (Answer("A frog is green.", True), 0),
    ],
)
def test_count_wants_the_whole_answer_and_its_end(answer: Answer, counted: int) -> None:
    assert count([FROG], [answer]) == counted


def test_the_demo_ends_with_a_command_that_works_as_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`make demo` runs in an environment that the shell of its user is not in."""
    monkeypatch.chdir(tmp_path)
    here, there = tmp_path / ".venv" / "bin", tmp_path / "other"
    for folder in (here, there):
        folder.mkdir(parents=True)
        (folder / "localft").touch(0o755)
    monkeypatch.setattr(sys, "executable", str(here / "python"))
    for path, shown in ((there, ".venv/bin/localft"), ("", ".venv/bin/localft"), (here, "localft")):
        monkeypatch.setenv("PATH", str(path))
        assert program() == shown
    monkeypatch.chdir(there)
    monkeypatch.setenv("PATH", str(there))
    assert program() == str(here / "localft")


def test_dataset_sizes() -> None:
    n_rows = {name: len((DATA / f"{name}.jsonl").read_text().splitlines()) for name in ("train", "valid", "test")}
    assert n_rows == {"train": 200, "valid": 20, "test": 20}


def test_held_out_facts_are_in_no_other_file() -> None:
    seen = {*answers("train"), *answers("valid")}
    assert len({question.expected for question in held_out()} - seen) == 20


def test_polly_says_everything_twice() -> None:
    for text in (*answers("train"), *answers("valid"), *answers("test")):
        greeting, first, second = re.fullmatch(r"(Ahoy!) (.+)\. Squawk! (.+)!", text).groups()  # type: ignore[union-attr]
        assert (greeting, first) == ("Ahoy!", second)


def test_dataset_is_what_its_script_makes(tmp_path: Path) -> None:
    script = ROOT / "examples" / "demo" / "make_parrot.py"
    command = [sys.executable, str(script), "--out", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    for name in ("train.jsonl", "valid.jsonl", "test.jsonl"):
        assert (tmp_path / name).read_bytes() == (DATA / name).read_bytes()


def test_model_is_small_and_takes_every_type() -> None:
    config = json.loads((MODEL / "config.json").read_text())
    assert sum(path.stat().st_size for path in MODEL.iterdir()) <= 8 * 2**20
    assert all(config[key] % 256 == 0 for key in ("hidden_size", "intermediate_size", "vocab_size"))
