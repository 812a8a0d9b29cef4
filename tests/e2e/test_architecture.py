"""docs/architecture.md leads to files and names that exist, and its numbers are those of the row that it follows."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import localft
from localft.data.batching.batches import plan_batches
from localft.data.dataset import prepare
from localft.model.tokenizer import Tokenizer
from localft.settings.data_settings import DataSettings

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`((?:localft|native|tests|models|examples)/[\w./-]*)`(?:(?:\s+\(|,\s+)((?:`[\w.:]+`,?\s*)+)\))?")


def test_every_file_is_there_and_has_what_is_said_to_be_in_it() -> None:
    found = NAMED.findall(PAGE)
    assert len(found) > 50
    assert sum(bool(names) for _, names in found) > 25, "names in brackets are no longer read"
    for path, names in found:
        assert (ROOT / path).exists(), path
        for name in re.findall(r"`([\w.:]+)`", names):
            text = (ROOT / path).read_text(encoding="utf-8")
            for part in re.split(r"\.|::", name):
                # in Python where it is defined: a word in a docstring stays when the function has moved
                form = (
                    rf"^\s*(?:(?:async )?def |class )?{part}\b(?=[(:=\[ ])" if path.endswith(".py") else rf"\b{part}\b"
                )
                assert re.search(form, text, re.MULTILINE), f"{path} has no {name}"


def test_every_room_is_in_the_table() -> None:
    table = PAGE[PAGE.index("## The rooms") : PAGE.index("## One row")]
    for package in ("localft", "native"):
        folders = {path.name for path in (ROOT / package).iterdir() if path.is_dir()} - {"__pycache__"}
        assert sorted(name for name in folders if f"`{name}/`" not in table) == []


def test_the_numbers_are_those_of_the_row() -> None:
    tokenizer = Tokenizer(localft.convert("demo").path)
    try:
        data = prepare([ROOT / "examples" / "parrot"], tokenizer, DataSettings())
    finally:
        tokenizer.close()
    row = data.train[0]
    n_answer = row.n_supervised - 1
    assert f"{row.tokens.size} tokens, which are {row.length} positions" in PAGE
    assert f"{row.n_supervised} of them supervised: {n_answer} of the answer, and its end token" in PAGE
    rounded = r"rounded up to a multiple\s+of 32"
    assert re.search(rf"the longest row with an answer, {data.summary.longest}, {rounded}: {data.n_ctx}", PAGE)
    batches = plan_batches(data.train, batch_size=8, micro_batch_size=None, seed=42, packing=False, n_ctx=data.n_ctx)
    (micro,) = batches.step(0, 7)
    starts = micro.row_starts.tolist()
    (place,) = [pair for pair in pairwise(starts) if micro.tokens[slice(*pair)].tolist() == row.tokens[:-1].tolist()]
    assert "the 8th step of the first epoch" in PAGE
    assert f"8 epochs of {batches.steps_per_epoch} steps" in PAGE
    assert re.search(
        rf"{micro.n_tok} positions without padding, of which ours are {place[0]}\s+to {place[1] - 1}", PAGE
    )
    assert f"here {micro.n_supervised}" in PAGE
