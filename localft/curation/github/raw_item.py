"""One pull request or issue in GitHub's own JSON, wherever it came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from localft.curation.github.selection import Kind

PARTS = ("comments", "reviews", "review_comments", "files")


@dataclass(frozen=True)
class RawItem:
    """A pull request or an issue in JSON, of the REST API or of `gh`.

    Attributes:
        kind: which of the two.
        record: the thing itself.
        parts: its comments, reviews, review_comments and files, where there are any.
        where: what to name where something in it is not as it should be.
    """

    kind: Kind
    record: dict[str, Any]
    parts: dict[str, list[Any]]
    where: str
