"""More problems than anybody reads are counted, and the first of each kind listed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from localft.data.rows import reader, row_list
from localft.inspect.check import content, problem
from localft.inspect.check.check import CheckReport, check
from localft.inspect.check.report import sections, verdict
from localft.settings.resolve import resolve

LINES = ['{"text": "the same"}', '{"text": " "}', "no JSON", '{"prompt": "a", "completion": "b", "extra": 1}']


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CheckReport:
    monkeypatch.setattr(problem, "MOST_LISTED", 20)
    monkeypatch.setattr(reader, "MOST_LISTED", 20)
    monkeypatch.setattr(row_list, "MEMORY", 5000)
    (tmp_path / "x.jsonl").write_text("\n".join(LINES * 100))
    return check(resolve({"data": [str(tmp_path / "x.jsonl")]}))


def test_all_are_counted(found: CheckReport) -> None:
    assert (found.n_problems("error"), found.n_problems("warning")) == (100, 100 + 99 + 99 + 2)
    assert found.unlisted == {
        ("error", "cannot be used"): 80,
        ("warning", "empty text"): 80,
        ("warning", "duplicate row"): 178,
    }
    assert verdict(found) == "100 errors: `localft finetune` would not start on this data"
    told = found.to_dict()
    assert (told["n_errors"], told["n_warnings"], told["n_unlisted"]) == (100, 300, 338)
    assert len(told["problems"]) == 62
    json.dumps(told)


def test_those_that_are_listed_are_the_first(found: CheckReport) -> None:
    lines = [each.line for each in found.problems if each.kind == "duplicate row"]
    assert lines == [5 + 4 * (i // 2) + 3 * (i % 2) for i in range(20)]


@pytest.mark.parametrize("everything", [True, False])
def test_the_pages_say_how_many_more_there_are(everything: bool, found: CheckReport) -> None:
    warnings = next(each for each in sections(found, everything) if each.title.startswith("Warnings"))
    assert warnings.title == "Warnings (300)"
    assert "  duplicate row: 198" in warnings.lines
    more = [line.strip() for line in warnings.lines if "more" in line]
    assert more[:2] == (
        ["… and 80 more", "… and 178 more"] if everything else ["… and 97 more (--all)", "… and 193 more (--all)"]
    )


def test_lines_without_end_are_looked_at_in_one_go() -> None:
    """A line of an empty text was looked at again from every line before it."""
    assert content._ASKED.search("\n" * 300_000 + "!" * 300_000) is None
    assert content._ASKED.search("\n\n - Question: what?\n") is not None
