"""What training rows give away of validation rows, as `find_leaks` found it, and what is done about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from localft.data.reading.data_file import place
from localft.data.rows.row import Row
from localft.data.rows.sequences import picked
from localft.errors import DatasetError
from localft.settings.data_settings import OnLeak
from localft.units import count

LeakKind = Literal["exact", "near", "contained", "same prompt"]
Item = TypeVar("Item")

LEAKS: tuple[LeakKind, ...] = ("exact", "near", "contained")
MOST_LISTED = 10_000  # leaks of one kind


@dataclass(frozen=True)
class Leak:
    """A validation row, and the training row that gives it away (of several the one that does so most).

    Attributes:
        kind: "exact" (the same in normal form, see `normal`), "near" (see `leak_search.NearSearch`),
            "contained" (an answer, see `leak_search.ContainedSearch`), or "same prompt" (with another answer).
        similarity: 1 for "exact" and "same prompt"; of the shingles of both rows the share that both have for "near";
            of the answer's shingles the share that stands in the training row for "contained".
        n_train: training rows that give it away in this manner.
    """

    kind: LeakKind
    val: Row
    train: Row
    similarity: float
    n_train: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable values."""
        rows = {"val": self.val, "train": self.train}
        places = {name: {"file": row.source, "line": row.line} for name, row in rows.items()}
        return {"kind": self.kind, **places, "similarity": round(self.similarity, 4), "n_train": self.n_train}


@dataclass(frozen=True)
class Leakage:
    """What training rows give away of validation rows.

    Attributes:
        n_train, n_val: rows that were compared.
        leaks: for each validation row that leaks its gravest leak, in the rows' order.
        leaking: which training rows (their numbers) give one away.
        same_prompt: validation rows whose prompt a training row answers otherwise; reported apart, no leaks.
        n_same_prompt: validation rows whose prompt a training row has, with the same answer or another.
        n_stock: validation rows with an answer that stands in so many training rows that it says nothing.
        unlisted: how many more there are of a kind than `leaks` and `same_prompt` list.
        n_unseen: validation rows for which copies alone were looked for, because there were too many.
    """

    n_train: int = 0
    n_val: int = 0
    leaks: tuple[Leak, ...] = ()
    leaking: Set[int] = frozenset()
    same_prompt: tuple[Leak, ...] = ()
    n_same_prompt: int = 0
    n_stock: int = 0
    unlisted: Mapping[LeakKind, int] = field(default_factory=dict)
    n_unseen: int = 0

    @property
    def counts(self) -> Mapping[LeakKind, int]:
        """Validation rows by the kind of their gravest leak, for all three kinds."""
        found = Counter(leak.kind for leak in self.leaks)
        return {kind: found[kind] + self.unlisted.get(kind, 0) for kind in LEAKS}

    @property
    def n_leaks(self) -> int:
        return sum(self.counts.values())

    @property
    def n_answered_otherwise(self) -> int:
        """Validation rows whose prompt a training row answers otherwise."""
        return len(self.same_prompt) + self.unlisted.get("same prompt", 0)

    @property
    def unseen(self) -> str:
        """A sentence about the rows that were not compared in full; "" where all were."""
        if not self.n_unseen:
            return ""
        rows = count(self.n_val, "validation row")
        return f"leakage: of {self.n_unseen:,} of {rows} only copies were looked for: there are too many to compare"

    def notes(self, on_leak: OnLeak) -> list[str]:
        """A sentence that says how many validation rows leak, how, and what came of it; empty where none does."""
        unseen = [self.unseen] if self.n_unseen else []
        if not self.leaks:
            return unseen
        words = {"exact": "{} copied", "near": "{} nearly the same", "contained": "{} by an answer"}
        parts = ", ".join(words[kind].format(f"{n:,}") for kind, n in self.counts.items() if n)
        leaks = "leaks" if self.n_leaks == 1 else "leak"
        what = "the loss on them tells nothing of new rows; `localft data check` lists them, --on-leak drop avoids it"
        if on_leak == "drop":
            what = f"{count(len(self.leaking), 'training row')} left out (--on-leak drop)"
        told = f"{self.n_leaks:,} of {count(self.n_val, 'validation row')} {leaks} into training rows ({parts}): {what}"
        return [told, *unseen]

    def to_dict(self) -> dict[str, Any]:
        """Counts and every finding as JSON-serialisable values."""
        listed = {name: [leak.to_dict() for leak in getattr(self, name)] for name in ("leaks", "same_prompt")}
        more = {name: value for name in ("unlisted", "n_unseen") if (value := getattr(self, name))}
        counted = {"n_same_prompt": self.n_same_prompt, "n_stock": self.n_stock, "counts": self.counts}
        return {
            "n_train": self.n_train, "n_val": self.n_val, **listed, **counted, "n_leaking": len(self.leaking), **more
        }  # fmt: skip


def settle(train: Sequence[Item], leakage: Leakage, on_leak: OnLeak, held: str = "validation") -> Sequence[Item]:
    """The training rows that stay: with "drop" those that give no validation row away, otherwise all.

    Args:
        train: what belongs to each training row that was compared, in the same order.
        held: what the rows on the other side are for.

    Raises:
        DatasetError: something leaks and `on_leak` is "refuse".
    """
    if on_leak == "refuse" and leakage.leaks:
        first = leakage.leaks[0]
        where = " and ".join(place(row.source, row.line) for row in (first.val, first.train))
        leak = "leaks" if leakage.n_leaks == 1 else "leak"
        raise DatasetError(
            f"{leakage.n_leaks:,} of {count(leakage.n_val, f'{held} row')} {leak} into the training rows, "
            f"the first: {where}",
            "`--on-leak drop` leaves such training rows out; `localft data check` lists every one",
        )
    if on_leak != "drop" or not leakage.leaking:
        return train
    return picked(train, [i for i in range(len(train)) if i not in leakage.leaking])
