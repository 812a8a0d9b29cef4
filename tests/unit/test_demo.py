"""The bundled model and the example dataset: sizes, held-out facts, and what counts as Polly's manner."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from localft.demo import DATA, MODEL
from localft.demo.count import Answer, HeldOut, count, held_out

ROOT = Path(__file__).parents[2]
FROG = HeldOut("What colour is a frog?", "Ahoy! A frog is green. Squawk! Green, green!")


def answers(name: str) -> list[str]:
    lines = (DATA / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    messages = [message for line in lines for message in json.loads(line)["messages"]]
    return [message["content"] for message in messages if message["role"] == "assistant"]


@pytest.mark.parametrize(
    ("text", "accepted"),
    [
        ("Ahoy! A frog is green. Squawk! Green, green!", True),
        ("Ahoy! Frogs are green. Squawk! Green, green!", True),
        ("A frog is green.", False),
        ("Ahoy! A frog is red. Squawk! Red, red!", False),
        ("A frog is green. Squawk! Green, green!", False),
        ("Ahoy! A frog is green. Squawk! Green, green! Green, green!", False),
        ("Ahoy! A frog is green. Squawk! Green!", False),
        ("", False),
    ],
)
def test_accepts(text: str, accepted: bool) -> None:
    assert FROG.accepts(text) is accepted


def test_count_wants_an_end() -> None:
    said = [Answer(FROG.expected, True), Answer(FROG.expected, False), Answer("A frog is green.", True)]
    assert count([FROG] * 3, said) == 1


def test_dataset_sizes() -> None:
    n_rows = {name: len((DATA / f"{name}.jsonl").read_text().splitlines()) for name in ("train", "valid", "test")}
    assert n_rows == {"train": 200, "valid": 20, "test": 20}


def test_held_out_facts_are_in_no_other_file() -> None:
    seen = {*answers("train"), *answers("valid")}
    assert len({question.expected for question in held_out()} - seen) == 20


def test_every_expected_answer_is_accepted() -> None:
    assert all(question.accepts(question.expected) for question in held_out())


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
