"""One thing that is wrong with the data, and many of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

Level = Literal["error", "warning"]
MOST_LISTED = 10_000


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


class Problems:
    """Problems as they are found: of one kind the first `MOST_LISTED` are kept, the others only counted.

    Attributes:
        kept: in the order in which they were found.
        unlisted: how many more there are, by level and kind.
    """

    def __init__(self) -> None:
        self.kept: list[Problem] = []
        self.unlisted: Counter[tuple[Level, str]] = Counter()
        self._n: Counter[tuple[Level, str]] = Counter()

    def add(self, problem: Problem) -> None:
        self.count(problem.level, problem.kind, lambda: problem)

    def count(self, level: Level, kind: str, problem: Callable[[], Problem]) -> None:
        """The same for a problem that is only worded where it is kept."""
        self._n[level, kind] += 1
        if self._n[level, kind] <= MOST_LISTED:
            self.kept.append(problem())
        else:
            self.unlisted[level, kind] += 1

    def extend(self, problems: Iterable[Problem]) -> None:
        """Add problems; of another `Problems` also what it has not kept."""
        for problem in problems:
            self.add(problem)
        if isinstance(problems, Problems):
            self.unlisted += problems.unlisted

    def __iter__(self) -> Iterator[Problem]:
        return iter(self.kept)

    def n_unlisted(self, level: Level) -> int:
        """Problems of a level that are only counted."""
        return sum(n for (each, _), n in self.unlisted.items() if each == level)
