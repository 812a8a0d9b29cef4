"""`localft doctor` does not call ready what cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from localft import doctor
from localft.cli import cli


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("LOCALFT_HOME", "file", "`file` cannot be made: "),
        ("LOCALFT_HOME", "file/x", "`file/x` cannot be made: "),
        ("LOCALFT_HOME", "~nobody-here/x", "there is no home folder for `~nobody-here/x`"),
        ("HF_ENDPOINT", "hub.example", "HF_ENDPOINT is `hub.example`, which is no address"),
    ],
)
def test_a_place_that_cannot_be_used_is_a_problem(
    name: str, value: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It said that everything was ready."""
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(name, value)
    assert any(problem.startswith(said) for problem in doctor.problems()), doctor.problems()
    result = CliRunner().invoke(cli, ["doctor"])
    assert result.exit_code == 0, result.exception
    assert "Everything is ready." not in result.stdout


def test_a_folder_without_room_for_runs_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runs").touch()
    monkeypatch.chdir(tmp_path)
    assert any("runs are written there (go to a folder" in problem for problem in doctor.problems())
    assert not any("kept there" in problem for problem in doctor.problems())
