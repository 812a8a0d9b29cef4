"""What is counted while a file is read, and what there is to say about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from localft.data.rows.formats import NAME_THEM
from localft.data.rows.markup import typed_markup
from localft.data.rows.reader import Rows
from localft.data.rows.row import RowKind
from localft.data.tokens.run_wording import Habits, RunWording
from localft.units import count


@dataclass
class Counts:
    """Counts of a file, or of a part of it; the sum of two is that of both.

    Attributes:
        formats, kinds, dropped: rows by format; by kind; left out, by reason.
        unknown_keys: keys that no format knows.
        n_unanswered: conversations that end with a question.
        n_blunt: rows with nothing between prompt and completion.
        n_marked: rows in which words of a chat template are typed.
        marked: the first of these words.
        habits: what the chat template did with the answers.
    """

    formats: Counter[str] = field(default_factory=Counter)
    kinds: Counter[RowKind] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    unknown_keys: Counter[str] = field(default_factory=Counter)
    n_unanswered: int = 0
    n_blunt: int = 0
    n_marked: int = 0
    marked: str = ""
    habits: Habits = field(default_factory=Habits)

    @classmethod
    def of(cls, found: Rows, wording: RunWording) -> Counts:
        """The counts of rows that were read and tokenized."""
        marked = [word for word in map(typed_markup, found.rows) if word]
        return cls(
            formats=found.formats,
            kinds=Counter(row.kind for row in found.rows),
            dropped=found.empty,
            unknown_keys=found.unknown_keys,
            n_unanswered=sum(bool(row.messages) and row.messages[-1].role != "assistant" for row in found.rows),
            n_blunt=sum(wording.joins_bluntly(row) for row in found.rows),
            n_marked=len(marked),
            marked=marked[0] if marked else "",
            habits=wording.habits,
        )

    def __iadd__(self, other: Counts) -> Counts:
        self.formats += other.formats
        self.kinds += other.kinds
        self.dropped += other.dropped
        self.unknown_keys += other.unknown_keys
        self.n_unanswered += other.n_unanswered
        self.n_blunt += other.n_blunt
        self.n_marked += other.n_marked
        self.marked = self.marked or other.marked
        self.habits = self.habits.joined(other.habits)
        return self

    @property
    def n_rows(self) -> int:
        """Rows read, those that are left out included."""
        return sum(self.kinds.values()) + sum(self.dropped.values())

    def notes(self, name: str) -> Iterator[str]:
        """Sentences about the file `name`."""
        if self.unknown_keys:
            names = ", ".join(f'"{key}"' for key, _ in self.unknown_keys.most_common(5))
            yield f"`{name}`: not used: {names}; {NAME_THEM}, where those are meant"
        if self.n_unanswered:
            ending = (
                f"{count(self.n_unanswered, 'conversation')} {'ends' if self.n_unanswered == 1 else 'end'} unanswered"
            )
            yield f"`{name}`: {ending}; what follows the last answer is left out"
        if self.n_blunt:
            yield (
                f"`{name}`: in {count(self.n_blunt, 'row')} nothing (no space, no line break) "
                "stands between prompt and completion; `--template alpaca` puts words between them"
            )
        if self.n_marked:
            has = "has" if self.n_marked == 1 else "have"
            yield (
                f"`{name}`: {count(self.n_marked, 'row')} {has} words of a chat template typed out, such as "
                f"`{self.marked}`: they stay plain characters; give messages without markup"
            )

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable values; `from_dict` reads them."""
        plain = {name: dict(value) if isinstance(value, Counter) else value for name, value in vars(self).items()}
        return {**plain, "habits": asdict(self.habits)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Counts:
        counts: dict[str, Any] = {
            n: Counter(value) if isinstance(value, dict) else value for n, value in values.items()
        }
        return cls(**{**counts, "habits": Habits(**values["habits"])})
