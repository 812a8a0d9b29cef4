"""One thing that is wrong with the data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Level = Literal["error", "warning"]


@dataclass(frozen=True)
class Problem:
    """What is wrong, where, and what to do.

    Attributes:
        level: "error" for what `localft finetune` refuses, "warning" for what it takes.
        kind: a few words that problems of one sort share, such as "duplicate row".
        file, line: where; line 0 where the whole file is meant.
        message: a sentence that names the place.
        hint: what to do about it, or "".
    """

    level: Level
    kind: str
    file: str
    line: int
    message: str
    hint: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable values."""
        return asdict(self)
