"""Validation rows that training rows give away: copies, near-duplicates, and answers that stand in another row."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence, Set
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from localft.data.rows.normal_form import letters, normal, normal_digest
from localft.data.rows.row import Row
from localft.data.split.leak_search import ContainedSearch, NearSearch
from localft.data.split.leakage import LEAKS, MOST_LISTED, Leak, Leakage, LeakKind

LONGEST = 1 << 21  # characters of a text that are looked at together
SLICE_ROWS, SLICE_CHARACTERS, MOST_SLICES = 1 << 16, 1 << 23, 8
_OVERLAP = 1 << 16
_BATCH_CHARACTERS = 1 << 18
_SAMPLE_ROWS, _SAMPLE_CHARACTERS = 2048, 10_000
_STOCK, _FEW = 0.02, 20


def find_leaks(train: Sequence[Row], val: Sequence[Row]) -> Leakage:
    """Compare validation rows with training rows.

    System messages do not count: every row may have the same. A row that is in both (parts of one text) is passed
    over. Validation rows are looked for in slices, each in all training rows; beyond `MOST_SLICES` of them only for
    copies. Of a validation text of more than `LONGEST` characters the beginning is looked for. So memory is bounded but
    for a few bytes for each row.

    Args:
        train, val: the rows; not modified.
    """
    comparison = _Comparison(train, val) if train and val else None
    return comparison.run() if comparison and comparison.val else Leakage(len(train), len(val))


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


class RowNumbers(Set[int]):
    """Numbers of rows, a byte for each row that there is."""

    def __init__(self, mask: NDArray[np.bool_]) -> None:
        self.mask = mask

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and 0 <= number < self.mask.size and bool(self.mask[number])

    def __iter__(self) -> Iterator[int]:
        return iter(np.flatnonzero(self.mask).tolist())

    def __len__(self) -> int:
        return int(np.count_nonzero(self.mask))


class _Texts:
    """The distinct training texts: each is known by a number, and by the first row that has it.

    Attributes:
        first: int64 [n_text], the first row of each text, ascending.
        n_rows: int64 [n_text], how many rows have it.
        of_row: int64 [n_row], the text of each row.
    """

    def __init__(self, keys: NDArray[np.uint64]) -> None:
        self._keys, first, of_row, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
        order = np.argsort(first)
        self.first, self.n_rows = first[order], counts[order]
        self._rank = np.argsort(order)
        self.of_row = self._rank[of_row]

    def __len__(self) -> int:
        return int(self.first.size)

    def find(self, key: int) -> int | None:
        """The text with this key."""
        at = int(np.searchsorted(self._keys, np.uint64(key)))
        return int(self._rank[at]) if at < self._keys.size and int(self._keys[at]) == key else None


class _Best:
    """What gives one text or answer away: how many texts, and of them the most similar.

    Args:
        most: so many texts are remembered; of more only how many they are.
    """

    def __init__(self, most: float = 0) -> None:
        self.similarity, self.text = 0.0, -1
        self.n_texts = self.n_rows = 0
        self.texts = array("q")
        self._most, self._last = most, -1

    def add(self, text: int, similarity: float, n_rows: int) -> None:
        if text != self._last:  # else it is another part of the same text
            self.n_texts += 1
            self.n_rows += n_rows
            if self.n_texts <= self._most:
                self.texts.append(text)
        self._last = text
        if (similarity, -text) > (self.similarity, -self.text):
            self.similarity, self.text = similarity, text


class _Wanted(NamedTuple):
    """A slice of the validation rows, with what is looked for."""

    rows: list[Row]
    texts: list[str]
    answers: list[list[str]]


class _Findings:
    """Leaks as they are found: those beyond `MOST_LISTED` of a kind are counted."""

    def __init__(self) -> None:
        self.leaks: list[Leak] = []
        self.unlisted: Counter[LeakKind] = Counter()
        self._n: Counter[LeakKind] = Counter()

    def add(self, leak: Leak) -> None:
        self._n[leak.kind] += 1
        if self._n[leak.kind] <= MOST_LISTED:
            self.leaks.append(leak)
        else:
            self.unlisted[leak.kind] += 1


class _Comparison:
    """Distinct training texts against validation texts and answers."""

    def __init__(self, train: Sequence[Row], val: Sequence[Row]) -> None:
        self.train, self.n_val = train, len(val)
        of_val = {row.identity for row in val}
        both, keys = set[object](), array("Q")
        for row in train:
            keys.append(_key(said(row)))
            if row.identity in of_val:
                both.add(row.identity)
        self.val: Sequence[Row] = [row for row in val if row.identity not in both] if both else val
        self.texts = _Texts(_array(keys))
        self.leaking = np.zeros(len(self.texts), np.bool_)

    def run(self) -> Leakage:
        found, n_stock, n_unseen = _Findings(), 0, 0
        for number, wanted in enumerate(self._slices()):
            if seen := number < MOST_SLICES:
                near, contained = self._search(wanted)
            else:
                near, contained, n_unseen = {}, {}, n_unseen + len(wanted.rows)
            for row, text, answers in zip(*wanted, strict=True):
                told = [contained[answer] for answer in answers] if seen else []
                n_stock += any(best.n_texts > self._stock for best in told)
                telling = [best for best in told if 0 < best.n_texts <= self._stock]
                self.leaking[[each for best in telling for each in best.texts]] = True
                answer = max(telling, key=lambda best: best.similarity, default=_Best())
                kinds = zip(LEAKS, (self._copied(row), near[text] if seen else _Best(), answer), strict=True)
                if leak := next((self._leak(kind, row, best) for kind, best in kinds if best.n_texts), None):
                    found.add(leak)
        n_same = self._same_prompts(found)
        leaks, same = (tuple(leak for leak in found.leaks if (leak.kind in LEAKS) == one) for one in (True, False))
        of_rows, unlisted = RowNumbers(self.leaking[self.texts.of_row]), dict(found.unlisted)
        return Leakage(len(self.train), self.n_val, leaks, of_rows, same, n_same, n_stock, unlisted, n_unseen)

    @property
    def _stock(self) -> float:
        return max(_STOCK * len(self.texts), _FEW)

    def _slices(self) -> Iterator[_Wanted]:
        wanted, size = _Wanted([], [], []), 0
        for row in self.val:
            text = normal(said(row)[:LONGEST])
            answers = [letters(normal(answer[:LONGEST])) for answer in _answers(row)]
            wanted.rows.append(row)
            wanted.texts.append(text)
            wanted.answers.append(answers)
            size += len(text)
            if len(wanted.rows) >= SLICE_ROWS or size >= SLICE_CHARACTERS:
                yield wanted
                wanted, size = _Wanted([], [], []), 0
        if wanted.rows:
            yield wanted

    def _copied(self, row: Row) -> _Best:
        best = _Best()
        if (text := self.texts.find(_key(said(row)))) is not None:
            self._add(best, text, 1.0)
            self.leaking[text] = True
        return best

    def _leak(self, kind: LeakKind, row: Row, best: _Best) -> Leak:
        return Leak(kind, _place(row), self._place_of(best.text), best.similarity, best.n_rows)

    def _place_of(self, text: int) -> Row:
        return _place(self.train[int(self.texts.first[text])])

    def _search(self, wanted: _Wanted) -> tuple[dict[str, _Best], dict[str, _Best]]:
        """For each text and each answer the training texts that give it away."""
        near_of = {text: _Best() for text in sorted({*wanted.texts})}
        answers = sorted({answer for each in wanted.answers for answer in each})
        told_of = {answer: _Best(self._stock) for answer in answers}
        alike, told = list(near_of.values()), list(told_of.values())
        near, contained = NearSearch(list(near_of), self._sample()), ContainedSearch(list(told_of))
        for numbers, batch, is_start in self._batches():
            for pair in near.look(batch) if is_start else ():
                self._add(alike[pair.wanted], numbers[pair.found], pair.similarity)
                self.leaking[numbers[pair.found]] = True
            for pair in contained.look([letters(text) for text in batch]):
                self._add(told[pair.wanted], numbers[pair.found], pair.similarity)
        return near_of, told_of

    def _add(self, best: _Best, text: int, similarity: float) -> None:
        best.add(text, similarity, int(self.texts.n_rows[text]))

    def _sample(self) -> list[str]:
        """Some of the distinct training texts, evenly spaced."""
        n = min(len(self.texts), _SAMPLE_ROWS)
        chosen = (self.train[int(self.texts.first[i * len(self.texts) // n])] for i in range(n))
        return [normal(said(row)[:_SAMPLE_CHARACTERS]) for row in chosen]

    def _batches(self) -> Iterator[tuple[list[int], list[str], bool]]:
        """The distinct training texts with their numbers, about 250,000 characters at a time.

        A text of more than `LONGEST` characters comes in overlapping parts, each alone; the third value is False for
        those behind its beginning.
        """
        numbers, batch, size = list[int](), list[str](), 0
        for number, first in enumerate(self._first_rows()):
            text = said(first)
            if len(text) > LONGEST:
                for start in range(0, len(text) - _OVERLAP, LONGEST - _OVERLAP):
                    yield [number], [normal(text[start : start + LONGEST])], start == 0
                continue
            numbers.append(number)
            batch.append(normal(text))
            size += len(batch[-1])
            if size >= _BATCH_CHARACTERS:
                yield numbers, batch, True
                numbers, batch, size = [], [], 0
        if batch:
            yield numbers, batch, True

    def _first_rows(self) -> Iterator[Row]:
        chosen = np.zeros(len(self.train), np.bool_)
        chosen[self.texts.first] = True
        return (row for row, is_first in zip(self.train, chosen, strict=True) if is_first)

    def _same_prompts(self, found: _Findings) -> int:
        """How many validation rows ask what a training row asks; those that answer otherwise go to `found`."""
        asking = np.fromiter((bool(row.messages) for row in self.val), np.bool_, len(self.val))
        if not asking.any():
            return 0
        asked = _array(array("Q", (_key(prompt(row)) for row in self.val if row.messages)))
        rows = array("q", (i for i, row in enumerate(self.train) if row.messages))
        keys = _array(array("Q", (_key(prompt(row)) for row in self.train if row.messages)))
        known, first, counts = np.unique(keys, return_index=True, return_counts=True)
        at = np.searchsorted(known, asked)
        at[at == known.size] = 0
        hits = known[at] == asked if known.size else np.zeros(asked.size, np.bool_)
        for i, here in zip(np.flatnonzero(asking)[hits].tolist(), at[hits].tolist(), strict=True):
            row = self.val[i]
            if self.texts.find(_key(said(row))) is None:
                train = self.train[rows[int(first[here])]]
                found.add(Leak("same prompt", _place(row), _place(train), 1.0, int(counts[here])))
        return int(np.count_nonzero(hits))


def _array(keys: array[int]) -> NDArray[np.uint64]:
    return np.frombuffer(keys, np.uint64) if keys else np.zeros(0, np.uint64)


def _key(text: str) -> int:
    return int.from_bytes(normal_digest(text)[:8], "little")


def _place(row: Row) -> Row:
    """Where a row stands, without its words."""
    return Row(row.kind, row.source, row.line)
