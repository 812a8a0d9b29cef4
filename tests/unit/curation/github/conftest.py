"""A GitHub of our own with two issues and two pull requests, and what exports from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from github_runner import Runner
from github_server import Clock, GitHub, user

from localft.curation.github.api import client

MERGED = "2024-03-05T09:00:00Z"


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHub]:
    github = GitHub()
    monkeypatch.setattr(client, "time", Clock(github))
    yield github
    github.stop()


@pytest.fixture
def sample(github: GitHub) -> GitHub:
    """Two issues and two pull requests, one of them with all that a pull request can have."""
    github.issue(1, "Tabs are wrong", body="They are.", labels=[{"name": "bug"}, {"name": "parser"}])
    github.comment(1, "lee", "2024-03-01T11:00:00Z", "Seen too, @Kim.")
    github.issue(2, "Old", state="closed", closed_at="2024-03-02T12:00:00Z")
    github.pull(3, "Half done")
    github.pull(4, "Fix tabs", state="closed", closed_at=MERGED, merged_at=MERGED, body="Closes #1.\r\n\r\n<!-- no -->")
    github.comment(4, "max", "2024-03-04T11:00:00Z", "Nice, @lee: see `@kim`, @property and max@kim.org.")
    github.comment(4, "codecov[bot]", "2024-03-04T12:00:00Z", "Coverage: 93 %", user=user("codecov[bot]", bot=True))
    github.review_comment(4, "lee", "2024-03-04T13:00:00Z", "Why three?")
    github.review(4, "lee", "2024-03-04T13:01:00Z", "CHANGES_REQUESTED", "One question.")
    github.review(4, "lee", "2024-03-04T13:02:00Z", "COMMENTED")
    github.review_comment(4, "kim", "2024-03-04T14:00:00Z", "Because.", in_reply_to_id=9, line=None, original_line=3)
    github.review(4, "lee", "2024-03-04T15:00:00Z", "APPROVED")
    github.file(4, "a.py", "@@ -1,2 +1,3 @@\n one\n+two\n+three", additions=2)
    github.file(4, "b.py", None, "renamed", previous_filename="c.py", additions=0)
    return github


@pytest.fixture
def run(github: GitHub, tmp_path: Path) -> Runner:
    return Runner(github, tmp_path)
