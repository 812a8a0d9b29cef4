"""A small repository, and the file that is made of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from repos import Repo

APP = 'def main() -> None:\n    """Start."""\n    print("hello")\n'


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    made = Repo(tmp_path / "project")
    made.commit("first", {"src/app.py": APP, "README.md": "# Project\n\nWhat it is.\n", ".gitignore": "*.tmp\nout/\n"})
    return made


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "rows" / "data.jsonl"
