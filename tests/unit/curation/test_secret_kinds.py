"""Every kind of secret, in every place, through what `data build` and `data github` call: it goes, and only it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from repos import built
from secret_kinds import Kind, kinds, missed, outcomes


def test_no_kind_is_missed_in_any_place() -> None:
    assert len(kinds()) == 230
    assert missed() == {"code": [], "config": [], "diff": [], "issue": []}


@pytest.mark.parametrize("seed", [1, 2])
def test_other_values_are_found_as_well(seed: int) -> None:
    """A value of fourteen characters is once in a thousand so much like words that it stays."""
    assert max(map(len, missed(seed).values())) <= 1


def test_nothing_but_the_secret_goes() -> None:
    assert [kind.name for kind in kinds() if not all(outcome.exact for outcome in outcomes(kind))] == []


def test_no_secret_of_any_kind_is_in_the_rows_of_a_build(tmp_path: Path) -> None:
    folder = tmp_path / "p"
    for number, kind in enumerate(kinds()):
        for snippet in (kind.code, kind.config):
            path = folder / str(number) / snippet.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(snippet.text)
    rows, result = built(tmp_path / "rows.jsonl", folder, kinds=("repo",))
    text = json.dumps(rows)
    assert [kind.name for kind in kinds() if any(value in text for value in _parts(kind))] == []
    assert result.secret_documents > len(kinds())


def _parts(kind: Kind) -> list[str]:
    return [line for value in kind.values for line in value.split("\n") if len(line) > 8 and "-----" not in line]
