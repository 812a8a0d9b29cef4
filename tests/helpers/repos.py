"""Git repositories made by tests: author, dates and settings fixed, so that every hash is the same everywhere."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from localft.curation.repository.build import Request, Result, build


class Repo:
    """A working copy in `folder`; each commit is a day later than the one before."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.day = 0
        folder.mkdir(parents=True, exist_ok=True)
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments: str, data: bytes | None = None) -> str:
        date = f"2025-01-{self.day + 1:02}T12:00:00+00:00"
        fixed = {
            "GIT_AUTHOR_NAME": "A",
            "GIT_AUTHOR_EMAIL": "a@example.com",
            "GIT_COMMITTER_NAME": "A",
            "GIT_COMMITTER_EMAIL": "a@example.com",
            "GIT_AUTHOR_DATE": date,
            "GIT_COMMITTER_DATE": date,
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
        }
        done = subprocess.run(
            ["git", "-C", str(self.folder), *arguments],
            input=data,
            capture_output=True,
            env={**os.environ, **fixed},
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    def write(self, **files: str | bytes) -> None:
        """Files by name; "__" stands for "/" and "_dot_" for "." where a keyword cannot have them."""
        self.write_all({name.replace("__", "/").replace("_dot_", "."): text for name, text in files.items()})

    def write_all(self, files: dict[str, str | bytes]) -> None:
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())

    def commit(self, message: str, files: dict[str, str | bytes] | None = None) -> str:
        """Commit all that is there and not ignored; the commit's hash."""
        self.write_all(files or {})
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "--cleanup=verbatim", "-m", message)
        self.day += 1
        return self.git("rev-parse", "HEAD")


def built(out: Path, *sources: Path | str, **options: Any) -> tuple[list[dict[str, Any]], Result]:
    """Rows and summary of a build."""
    result = build(Request(tuple(map(str, sources)), **options), out, lambda *_: None)
    return [json.loads(line) for line in out.read_bytes().split(b"\n") if line], result


def left_out(result: Result) -> dict[str, list[str]]:
    """Names by reason."""
    return {reason: list(result.ledger.skipped(reason)) for reason in result.ledger.counts}
