"""A test set kept apart: whole documents on one side, chosen once, and what leaks is said."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from localft.cli.data.split import command
from localft.curation.test_set import split_data
from localft.data.reading.sources import find_sources
from localft.errors import ConfigError, DatasetError
from localft.inspect.check.check import check
from localft.settings.resolve import resolve

WORDS = ["amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath", "islet", "jetty"]


def text(i: int, part: int = 0) -> dict[str, Any]:
    return {"text": f"{WORDS[i]} {part}: " + f"{WORDS[i]}{part} " * 9, "doc": f"d{i}", "source": {"kind": "page"}}


def pair(i: int) -> dict[str, Any]:
    return {
        "prompt": f"{WORDS[i]}?",
        "completion": f"It is {WORDS[i] * 9}.",
        "doc": f"d{i}",
        "source": {"kind": "page"},
    }


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def plain(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def given(tmp_path: Path) -> list[Path]:
    texts = [text(i, part) for i in range(10) for part in range(2)]
    return [write(tmp_path / "texts.jsonl", texts), write(tmp_path / "pairs.jsonl", [pair(i) for i in range(10)])]


def docs(path: Path) -> set[str]:
    return {row["doc"] for row in read(path)}


def test_documents_stand_on_one_side_and_conversations_test(given: list[Path], tmp_path: Path) -> None:
    found = split_data(given, tmp_path / "data", 0.2)
    assert (found.n_read, found.n_train, found.n_test, found.n_held, found.n_leaking) == (30, 24, 2, 4, 0)
    assert found.reason == "2 of 10 conversations: 2 of 10 documents, chosen with seed 42"
    assert all("prompt" in row for row in read(found.test))
    assert docs(found.train).isdisjoint(docs(found.test))
    assert [row for row in read(given[0]) + read(given[1]) if row["doc"] in docs(found.train)] == read(found.train)
    assert not found.leakage.leaks
    again = split_data(given, tmp_path / "again", 0.2)
    other = split_data(given, tmp_path / "other", 0.2, seed=0)
    assert again.test.read_bytes() == found.test.read_bytes() != other.test.read_bytes()


def test_a_run_leaves_it_alone_and_check_compares(given: list[Path], tmp_path: Path) -> None:
    found = split_data(given, tmp_path / "data")
    sources = find_sources([tmp_path / "data"])
    assert (sources.train, sources.val) == ([found.train], [])
    assert sources.notes == [f"`{found.test}` is kept for testing and not read"]
    report = check(resolve({"data": [str(tmp_path / "data")], "val_data": str(found.test)}))
    assert (report.leakage.n_train, report.leakage.n_val) == (found.n_train, found.n_test)


def test_a_test_set_that_is_there_stays(given: list[Path], tmp_path: Path) -> None:
    first = split_data(given, tmp_path / "data", 0.2)
    before, held = first.test.read_bytes(), docs(first.test)
    kept = read(first.test)[0]
    new = [pair(i) | {"prompt": f"What of {WORDS[i]}?"} for i in range(10)] + [{**kept, "doc": "copy", "prompt": "X"}]
    copied = {key: value for key, value in kept.items() if key != "doc"}
    more = write(tmp_path / "more.jsonl", [*new, copied])
    found = split_data([*given, more], tmp_path / "data", seed=7)
    assert found.test.read_bytes() == before
    assert found.reason == f"as `{first.test}` had it"
    assert (found.n_read, found.n_train, found.n_held) == (42, 33, 9)
    assert not {row.get("doc") for row in read(found.train)} & held
    assert copied not in read(found.train)
    assert "copy" in docs(found.train)
    with pytest.raises(ConfigError, match="there is a test set in"):
        split_data(given, tmp_path / "data", 0.1)


def test_what_gives_a_test_row_away_is_said_and_may_go(given: list[Path], tmp_path: Path) -> None:
    told = split_data(given, tmp_path / "a", 0.1)
    answer = read(told.test)[0]["completion"]
    write(
        tmp_path / "texts.jsonl", [*read(given[0]), {"text": f"As all know, {answer} And so it goes on.", "doc": "e"}]
    )
    found = split_data(given, tmp_path / "a")
    assert dict(found.leakage.counts) == {"exact": 0, "near": 0, "contained": 1}
    assert "e" in docs(found.train)
    with pytest.raises(DatasetError, match="1 of 1 test row leaks"):
        split_data(given, tmp_path / "a", on_leak="refuse")
    found = split_data(given, tmp_path / "a", on_leak="drop")
    assert (found.n_leaking, "e" in docs(found.train)) == (1, False)


def test_empty_rows_belong_to_nobody(given: list[Path], tmp_path: Path) -> None:
    """They are all equal: as copies of each other they would join their documents to one."""
    write(given[1], [*(pair(i) for i in range(10)), *({"text": " ", "doc": f"d{i}"} for i in range(10))])
    found = split_data(given, tmp_path / "data", 0.2)
    assert (found.n_empty, found.n_test) == (10, 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder, "is a folder, expected JSON lines"),
        (lambda folder: plain(folder / "a.csv", "text\na\n"), "is a table, expected JSON lines"),
        (lambda folder: plain(folder / "a.txt", "It was.\n"), "is a text, expected JSON lines"),
        (lambda folder: plain(folder / "a.jsonl", "GGUF\3\0\0\0"), "is a model (GGUF), expected JSON lines"),
        (lambda folder: write(folder / "data/train.jsonl", [pair(0)]), "is read, and would be written"),
        (lambda folder: write(folder / "a.jsonl", []), "has no rows"),
        (lambda folder: write(folder / "a.jsonl", [pair(0)]), "too few rows to keep 10% of them apart: 1 row"),
        (lambda folder: write(folder / "a.jsonl", [pair(0)] * 30), "apart: 30 rows"),
        (lambda folder: write(folder / "a.jsonl", [{"no": 1}]), "line 1 of"),
        (lambda folder: folder / "none.jsonl", "no data file"),
    ],
)
def test_what_cannot_be_parted_is_refused(tmp_path: Path, make: Any, message: str) -> None:
    with pytest.raises((ConfigError, DatasetError)) as caught:
        split_data([make(tmp_path)], tmp_path / "data")
    assert message in caught.value.message
    assert caught.value.hint
    assert not (tmp_path / "data" / "test.jsonl").exists()


def test_the_screen(given: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(given[0].parent)
    arguments = ["texts.jsonl", "pairs.jsonl", "--test", "0.2", "-o", "data"]
    done = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "read      30 rows",
        "test      data/test.jsonl, 2 rows: 2 of 10 conversations: 2 of 10 documents, chosen with seed 42",
        "left out  4 rows of a document in the test set, or equal to a row there",
        "train     data/train.jsonl, 24 rows",
        "leak      0 of 2 test rows beside 24 training rows",
    ]
    done = CliRunner().invoke(command, [*arguments[:2], "-o", "data", "--json"], catch_exceptions=False)
    assert json.loads(done.stdout)["n_held"] == 6


def test_both_files_are_written_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure between them left a test set whose rows nobody had taken out of the training rows."""
    path = tmp_path / "rows.jsonl"
    write(path, [text(i) for i in range(10)])
    for place, name in ((os, "fsync"), (Path, "replace")):
        for at in (0, 1):
            calls = []
            real = getattr(place, name)

            def failing(*arguments: Any, real: Any = real, calls: list[int] = calls, at: int = at) -> Any:
                calls.append(1)
                if len(calls) > at:
                    raise OSError(28, "No space left on device")
                return real(*arguments)

            with monkeypatch.context() as patch:
                patch.setattr(place, name, failing)
                with pytest.raises(OSError, match="No space left"):
                    split_data([path], tmp_path / "out")
            assert calls
            assert list((tmp_path / "out").iterdir()) == []
    split_data([path], tmp_path / "out")
    assert sorted(each.name for each in (tmp_path / "out").iterdir()) == ["test.jsonl", "train.jsonl"]
