"""How many kinds of secrets are missed where `data build` and `data github` take them out, by place."""

from __future__ import annotations

from secret_kinds import kinds, missed


def test_so_many_kinds_are_missed() -> None:
    assert len(kinds()) == 228
    counts = {place: len(names) for place, names in missed().items()}
    assert counts == {"code": 164, "config": 163, "diff": 181, "issue": 181}
