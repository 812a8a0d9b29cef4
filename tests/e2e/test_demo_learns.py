"""The demo as a newcomer runs it: of 20 held-out questions, 2 at most are answered as Polly does before, 16 after."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from localft.demo.__main__ import main

pytestmark = pytest.mark.slow


def test_demo_teaches_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main() == 0
    counted = re.search(r"(\d+) of 20 before, (\d+) of 20 after", capsys.readouterr().out)
    assert counted is not None
    assert int(counted[1]) <= 2
    assert int(counted[2]) >= 16
