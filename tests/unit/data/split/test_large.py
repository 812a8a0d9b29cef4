"""Large data: what is found does not depend on how it is kept, and what is not looked for is said."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import vocabs

from localft.curation.test_set import split_data
from localft.data.dataset import prepare
from localft.data.rows import row_list
from localft.data.rows.row import Message, Row
from localft.data.rows.row_list import RowList
from localft.data.split import find_leaks as module
from localft.data.split.find_leaks import RowNumbers, find_leaks
from localft.data.split.leakage import Leakage
from localft.data.tokens import units
from localft.model.tokenizer import Tokenizer
from localft.settings.data_settings import DataSettings


@pytest.fixture(scope="module")
def bpe(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return vocabs.bpe(tmp_path_factory.mktemp("bpe"))


WORDS = [f"word{i}" for i in range(300)]


def rows(n: int, seed: int, source: str) -> list[Row]:
    """Conversations of which some are the same, or nearly, whatever the seed."""
    rng, shared = random.Random(seed), random.Random(0)
    known = [" ".join(shared.choices(WORDS, k=30)) for _ in range(n // 4)]
    found = []
    for i in range(n):
        answer = rng.choice(known) if rng.random() < 0.4 else " ".join(rng.choices(WORDS, k=30))
        answer += f" {rng.choice(WORDS)}" * rng.randrange(2)
        asked = f"ask {rng.randrange(n)}"
        found.append(Row("completion", source, i + 1, "", (Message("user", asked), Message("assistant", answer))))
    return found


def test_slices_and_files_find_what_one_look_does(monkeypatch: pytest.MonkeyPatch) -> None:
    train, val = rows(400, 1, "train"), rows(120, 2, "val")
    whole = find_leaks(train, val)
    assert all((whole.leaks, whole.same_prompt, whole.leaking))
    monkeypatch.setattr(module, "SLICE_ROWS", 16)
    monkeypatch.setattr(row_list, "MEMORY", 10_000)
    sliced = find_leaks(RowList(train), RowList(val))
    assert sliced.to_dict() == whole.to_dict()
    assert sliced.leaking == whole.leaking


def test_rows_beyond_the_slices_are_looked_for_as_copies_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    train, val = rows(400, 1, "train"), rows(120, 2, "val")
    val[100] = Row("completion", "val", 101, "", train[0].messages)
    monkeypatch.setattr(module, "SLICE_ROWS", 10)
    monkeypatch.setattr(module, "MOST_SLICES", 3)
    found = find_leaks(train, val)
    assert found.n_unseen == 90
    assert ("exact", 101) in [(leak.kind, leak.val.line) for leak in found.leaks]
    assert "of 90 of 120 validation rows only copies were looked for" in found.notes("warn")[-1]
    assert found.to_dict()["n_unseen"] == 90


def test_leaks_beyond_those_listed_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    train = rows(100, 1, "train")
    monkeypatch.setattr(module, "MOST_LISTED", 7)
    found = find_leaks(train, [Row(row.kind, "val", row.line, "", row.messages) for row in train])
    assert (len(found.leaks), found.unlisted, found.n_leaks) == (7, {"exact": 93}, 100)
    assert found.counts["exact"] == 100
    assert found.notes("warn")[0].startswith("100 of 100 validation rows leak into training rows (100 copied)")
    assert len(found.leaking) == 100


def test_an_answer_in_the_middle_of_a_very_long_text_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST", 20_000)
    monkeypatch.setattr(module, "_OVERLAP", 2_000)
    rng = random.Random(3)
    book = " ".join(rng.choices(WORDS, k=30_000))
    val = [
        Row("completion", "val", i, "", (Message("user", f"q{i}"), Message("assistant", book[at : at + 900])))
        for i, at in enumerate((5, 19_500, 37_900, 100_000, len(book) - 901), 1)
    ]
    found = find_leaks([Row("text", "book", 1, book)], val)
    assert [(leak.kind, leak.val.line, leak.n_train) for leak in found.leaks] == [
        ("contained", i, 1) for i in range(1, 6)
    ]


def test_row_numbers_are_a_set() -> None:
    found = find_leaks(rows(50, 1, "train"), rows(50, 1, "val")).leaking
    assert isinstance(found, RowNumbers)
    assert found == set(found)
    assert (0 in found, 50 in found, -1 in found) == (True, False, False)
    assert Leakage().leaking == frozenset()


def written(path: Path, made: list[Row]) -> Path:
    lines = [
        {"prompt": row.messages[0].content, "completion": row.messages[1].content, "doc": f"d{row.line // 3}"}
        for row in made
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.mark.parametrize("on_leak", ["warn", "drop"])
def test_a_test_set_of_rows_in_files_is_the_same(on_leak: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "x.jsonl", rows(300, 1, "train"))
    made = split_data([path], tmp_path / "a", on_leak=on_leak)  # type: ignore[arg-type]
    monkeypatch.setattr(row_list, "MEMORY", 0)
    again = split_data([path], tmp_path / "b", on_leak=on_leak)  # type: ignore[arg-type]
    assert again.leakage.to_dict() == made.leakage.to_dict()
    for name in ("train.jsonl", "test.jsonl"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("overlength", ["drop", "truncate"])
@pytest.mark.parametrize("suffix", [".json", ".txt"])
def test_a_run_on_rows_and_tokens_in_files_is_the_same(
    suffix: str, overlength: str, tmp_path: Path, bpe: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"x{suffix}"
    values = [{"text": row.messages[1].content, "doc": f"d{row.line % 40}"} for row in rows(120, 1, "x")]
    path.write_text(json.dumps(values) if suffix == ".json" else "\n".join(value["text"] for value in values))
    settings = DataSettings(ctx=64, overlength=overlength, packing=True, on_leak="drop")  # type: ignore[arg-type]
    whole = prepare(path, bpe, settings)
    monkeypatch.setattr(row_list, "MEMORY", 0)
    monkeypatch.setattr(units, "MEMORY", 0)
    kept = prepare(path, bpe, settings)
    assert (kept.fingerprint, kept.summary, kept.val_prompts) == (whole.fingerprint, whole.summary, whole.val_prompts)
