"""Which of a repository's pull requests and issues."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from localft.curation.github.accounts import is_bot

Kind = Literal["pull_request", "issue"]
State = Literal["open", "closed", "merged"]
NOUNS: dict[Kind, str] = {"pull_request": "pull request", "issue": "issue"}


@dataclass(frozen=True)
class Selection:
    """Which pull requests and issues are wanted.

    Attributes:
        kind: only these; None takes both.
        state: only those in this state; None takes all. Issues are open or closed, never merged.
        since: only those that changed at this time or later (as `dates.parse_since` gives it), "" takes all.
        limit: at most so many, the newest; None takes all.
        bots: those too that bots opened.
    """

    kind: Kind | None = None
    state: State | None = None
    since: str = ""
    limit: int | None = None
    bots: bool = False

    def takes(self, kind: Kind, state: State, updated: str) -> bool:
        """Whether one is wanted; `updated` may be "" where nothing says when it changed."""
        if self.kind not in (None, kind) or self.state not in (None, state):
            return False
        return not (self.since and updated) or updated >= self.since

    def leaves_out(self, kind: Kind, record: Mapping[str, Any]) -> str:
        """Why one that `takes` would take is left out all the same, in words to be counted by; "" where it is not."""
        account = record.get("user") or record.get("author")
        return f"{NOUNS[kind]}s that bots opened" if not self.bots and is_bot(account) else ""

    def words(self) -> str:
        """ "merged pull requests changed since 2024-03-01", for messages."""
        nouns = f"{NOUNS[self.kind]}s" if self.kind else "pull requests and issues"
        return " ".join(
            filter(None, (self.state, nouns, f"changed since {self.since[:10]}" if self.since else "")),
        )


def kind_and_state(record: Mapping[str, Any]) -> tuple[Kind, State]:
    """Of a record of the REST API's list of issues, in which a pull request has a key of that name."""
    pull = record.get("pull_request")
    if pull is None:
        return "issue", "open" if record.get("state") == "open" else "closed"
    if isinstance(pull, Mapping) and pull.get("merged_at"):
        return "pull_request", "merged"
    return "pull_request", "open" if record.get("state") == "open" else "closed"
