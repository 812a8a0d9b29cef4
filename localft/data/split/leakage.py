"""Validation rows that training rows give away: copies, near-duplicates, and answers that stand in another row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeVar

from localft.data.reading.data_file import place
from localft.data.rows.normal_form import digest, letters, normal
from localft.data.rows.row import Row
from localft.data.split.leak_search import ContainedSearch, NearSearch
from localft.errors import DatasetError
from localft.settings.data_settings import OnLeak
from localft.units import count

LeakKind = Literal["exact", "near", "contained", "same prompt"]
Item = TypeVar("Item")

LEAKS: tuple[LeakKind, ...] = ("exact", "near", "contained")
_BATCH_CHARACTERS = 1 << 18
_SAMPLE_ROWS, _SAMPLE_CHARACTERS = 2048, 10_000
_STOCK, _FEW = 0.02, 20


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
    """

    n_train: int = 0
    n_val: int = 0
    leaks: tuple[Leak, ...] = ()
    leaking: frozenset[int] = frozenset()
    same_prompt: tuple[Leak, ...] = ()
    n_same_prompt: int = 0
    n_stock: int = 0

    @property
    def counts(self) -> Mapping[LeakKind, int]:
        """Validation rows by the kind of their gravest leak, for all three kinds."""
        found = Counter(leak.kind for leak in self.leaks)
        return {kind: found[kind] for kind in LEAKS}

    def notes(self, on_leak: OnLeak) -> list[str]:
        """A sentence that says how many validation rows leak, how, and what came of it; empty where none does."""
        if not self.leaks:
            return []
        words = {"exact": "{} copied", "near": "{} nearly the same", "contained": "{} by an answer"}
        parts = ", ".join(words[kind].format(f"{n:,}") for kind, n in self.counts.items() if n)
        leaks = "leaks" if len(self.leaks) == 1 else "leak"
        what = "the loss on them tells nothing of new rows; `localft data check` lists them, --on-leak drop avoids it"
        if on_leak == "drop":
            what = f"{count(len(self.leaking), 'training row')} left out (--on-leak drop)"
        return [
            f"{len(self.leaks):,} of {count(self.n_val, 'validation row')} {leaks} into training rows ({parts}): {what}"
        ]

    def to_dict(self) -> dict[str, Any]:
        """Counts and every finding as JSON-serialisable values."""
        values = asdict(self) | {"counts": self.counts, "n_leaking": len(self.leaking)}
        del values["leaking"]
        return values | {name: [leak.to_dict() for leak in getattr(self, name)] for name in ("leaks", "same_prompt")}


def settle(train: Sequence[Item], leakage: Leakage, on_leak: OnLeak, held: str = "validation") -> list[Item]:
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
        leak = "leaks" if len(leakage.leaks) == 1 else "leak"
        raise DatasetError(
            f"{len(leakage.leaks):,} of {count(leakage.n_val, f'{held} row')} {leak} into the training rows, "
            f"the first: {where}",
            "`--on-leak drop` leaves such training rows out; `localft data check` lists every one",
        )
    return [item for i, item in enumerate(train) if on_leak != "drop" or i not in leakage.leaking]


def find_leaks(train: Sequence[Row], val: Sequence[Row]) -> Leakage:
    """Compare validation rows with training rows.

    System messages do not count: every row may have the same. A row that is in both (parts of one text) is passed
    over. Time grows with the text, memory with the validation rows.

    Args:
        train, val: the rows; not modified.
    """
    comparison = _Comparison(train, val)
    return comparison.run() if comparison.val and train else Leakage(len(train), len(val))


def said(row: Row) -> str:
    """All that a row says but for its system messages."""
    return row.text or "\n".join(_turns(row))


def prompt(row: Row) -> str:
    """What stands before the last answer; "" of a text."""
    answers = [i for i, message in enumerate(row.messages) if message.role == "assistant"]
    return "\n".join(_turns(row, answers[-1])) if answers else ""


def _turns(row: Row, stop: int | None = None) -> list[str]:
    turns = (message for message in row.messages[:stop] if message.role != "system")
    return [f"{turn.content}\n{turn.input}" if turn.input else turn.content for turn in turns]


def _answers(row: Row) -> list[str]:
    return [row.text] if row.text else [turn.content for turn in row.messages if turn.role == "assistant"]


class _Best:
    """What gives one text or answer away: rows of different texts, and of them the most similar."""

    def __init__(self) -> None:
        self.similarity, self.row = 0.0, -1
        self.rows: set[int] = set()

    def add(self, row: int, similarity: float) -> None:
        self.rows.add(row)
        if (similarity, -row) > (self.similarity, -self.row):
            self.similarity, self.row = similarity, row


class _Comparison:
    """Distinct training texts, known by the first row that has them, against validation texts and answers."""

    def __init__(self, train: Sequence[Row], val: Sequence[Row]) -> None:
        self.train, self.n_val = train, len(val)
        in_train = {id(row) for row in train}
        self.val = [row for row in val if id(row) not in in_train]
        copies: dict[bytes, list[int]] = {}
        for i, row in enumerate(train):
            copies.setdefault(digest(normal(said(row))), []).append(i)
        self.first_of = {key: rows[0] for key, rows in copies.items()}
        self.copies = {rows[0]: rows for rows in copies.values()}

    def run(self) -> Leakage:
        texts = [normal(said(row)) for row in self.val]
        answers = [[letters(normal(answer)) for answer in _answers(row)] for row in self.val]
        near, contained = self._search({*texts}, {answer for each in answers for answer in each})
        stock = max(_STOCK * len(self.copies), _FEW)
        leaks, leaking, n_stock = [], set[int](), 0
        for row, text, given in zip(self.val, texts, answers, strict=True):
            told = [contained[answer] for answer in given]
            n_stock += any(len(best.rows) > stock for best in told)
            telling = [best for best in told if 0 < len(best.rows) <= stock]
            exact = _Best()
            if (first := self.first_of.get(digest(text))) is not None:
                exact.add(first, 1.0)
            answer = max(telling, key=lambda best: best.similarity, default=_Best())
            found = [self._leak(kind, row, best) for kind, best in zip(LEAKS, (exact, near[text], answer), strict=True)]
            leaks += [leak for leak in found if leak][:1]
            leaking.update(i for best in (exact, near[text], *telling) for i in self._rows(best))
        same, n_same = self._same_prompts()
        return Leakage(len(self.train), self.n_val, tuple(leaks), frozenset(leaking), same, n_same, n_stock)

    def _rows(self, best: _Best) -> list[int]:
        return [i for first in best.rows for i in self.copies[first]]

    def _leak(self, kind: LeakKind, row: Row, best: _Best) -> Leak | None:
        if not best.rows:
            return None
        return Leak(kind, row, self.train[best.row], best.similarity, len(self._rows(best)))

    def _search(self, texts: set[str], answers: set[str]) -> tuple[dict[str, _Best], dict[str, _Best]]:
        """For each text and each answer the training rows that give it away."""
        near_of, told_of = ({each: _Best() for each in sorted(these)} for these in (texts, answers))
        wanted, told = list(near_of.values()), list(told_of.values())
        near, contained = NearSearch(list(near_of), self._sample()), ContainedSearch(list(told_of))
        for rows, batch in self._batches():
            for pair in near.look(batch):
                wanted[pair.wanted].add(rows[pair.found], pair.similarity)
            for pair in contained.look([letters(text) for text in batch]):
                told[pair.wanted].add(rows[pair.found], pair.similarity)
        return near_of, told_of

    def _sample(self) -> list[str]:
        """Some of the distinct training texts, evenly spaced."""
        rows = list(self.copies)
        n = min(len(rows), _SAMPLE_ROWS)
        chosen = (self.train[rows[i * len(rows) // n]] for i in range(n))
        return [normal(said(row)[:_SAMPLE_CHARACTERS]) for row in chosen]

    def _batches(self) -> Iterator[tuple[list[int], list[str]]]:
        """The distinct training texts with their rows, about 250,000 characters at a time."""
        rows, batch, size = list[int](), list[str](), 0
        for first in self.copies:
            rows.append(first)
            batch.append(normal(said(self.train[first])))
            size += len(batch[-1])
            if size >= _BATCH_CHARACTERS:
                yield rows, batch
                rows, batch, size = [], [], 0
        if batch:
            yield rows, batch

    def _same_prompts(self) -> tuple[tuple[Leak, ...], int]:
        """Validation rows that ask what a training row asks: those that answer otherwise, and how many in all."""
        asked = {digest(normal(prompt(row))): list[int]() for row in self.val if row.messages}
        for i, row in enumerate(self.train):
            if row.messages and (key := digest(normal(prompt(row)))) in asked:
                asked[key].append(i)
        same, n_same = [], 0
        for row in self.val:
            rows = asked[digest(normal(prompt(row)))] if row.messages else []
            n_same += bool(rows)
            if rows and digest(normal(said(row))) not in self.first_of:
                same.append(Leak("same prompt", row, self.train[rows[0]], 1.0, len(rows)))
        return tuple(same), n_same
