"""Exports from the server of github_server.py into one file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from github_server import GitHub

from localft.curation.github.export import Options, Summary, export
from localft.curation.github.repository import Repository
from localft.curation.github.selection import Selection


class Runner:
    """Exports from the server into one file."""

    def __init__(self, github: GitHub, folder: Path) -> None:
        self.output, self.github = folder / "out.jsonl", github
        self.options = Options(Repository("owner", "name"), Selection(), api_url=github.url)
        self.said: list[str] = []
        self.progress: Callable[[str, int, int], None] = lambda what, done, total: None

    def __call__(self, **options: Any) -> Summary:
        self.github.asked.clear()
        return export(replace(self.options, **options), self.output, self.said.append, self.progress)

    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.output.read_text("utf-8").split("\n")[:-1]]

    def numbers(self, **selection: Any) -> list[int]:
        self(selection=Selection(**selection))
        return [row["source"]["number"] for row in self.rows()]
