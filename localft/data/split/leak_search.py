"""Pairs of texts that share much of what they say, found without comparing every text with every other.

Texts come in small batches, so memory does not grow with them; what is looked for is held whole.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from localft.data.split.shingles import Hashes, Shingles, shingles

NEAR = 0.7  # of the shingles that two texts have together, the share that both have
NEAR_SHINGLE = 5  # characters
CONTAINED = 0.8  # of an answer's shingles, the share that stands in one text
ANSWER_SHINGLE = 32  # characters, about six words; a shorter answer is in no text by more than chance

_SLOTS, _BANDS, _SEED = 128, 32, 1
_DOUBT = 0.15  # four standard deviations of an estimate from 128 slots
_EXACTLY = 8  # pairs of one text and batch that are compared shingle by shingle, the likeliest first
_COMMON, _FEW = 0.1, 20
_MOST_SHINGLES = 256
_TOGETHER = 1024  # texts
_LEAST_BITS, _MOST_BITS = 16, 26


class Pair(NamedTuple):
    """`found` is the number of the text in the batch, `wanted` of what was looked for."""

    found: int
    wanted: int
    similarity: float


class NearSearch:
    """Texts of which two share at least `NEAR` of their shingles of five characters (Jaccard's index).

    Shingles that stand in more than a tenth of the rows are the data's wording, not what a row says: they do not count.
    MinHash proposes the pairs, the shingles themselves decide.

    Args:
        wanted: texts to look for, in their normal form.
        sample: some of the texts to look in, for what is common.
    """

    def __init__(self, wanted: Sequence[str], sample: Sequence[str]) -> None:
        self._common = _Known(_common_shingles(sample))
        self._wanted = self._telling(wanted)
        self._sets: dict[int, Hashes] = {}
        self._signatures = _signatures(self._wanted)
        keys = _bands(self._signatures)
        self._order = np.argsort(keys, axis=0)
        self._keys = np.take_along_axis(keys, self._order, 0)
        self._known = [_Known(self._keys[:, band]) for band in range(_BANDS)]

    def look(self, texts: Sequence[str]) -> Iterator[Pair]:
        """Every pair of one of `texts` and one that is wanted."""
        found = self._telling(texts)
        sets: dict[int, Hashes] = {}
        for text, wanted, estimate, exactly in self._likely(_signatures(found)):
            similarity = estimate
            if exactly:
                one, other = _kept(sets, found, text), _kept(self._sets, self._wanted, wanted)
                similarity = _jaccard(one, other)
            if similarity >= NEAR:
                yield Pair(text, wanted, similarity)

    def _telling(self, texts: Sequence[str]) -> Shingles:
        """The shingles of `texts` that are not common; all of a text that has no others."""
        every = shingles(texts, NEAR_SHINGLE)
        telling = ~self._common.has(every.hashes)
        left = np.add.reduceat(telling, every.starts[:-1], dtype=np.int64)
        return every.keep(telling | np.repeat(left == 0, np.diff(every.starts)))

    def _likely(self, signatures: NDArray[np.uint32]) -> Iterator[tuple[int, int, float, bool]]:
        """Text, what is wanted, their similarity as the signatures tell it, and whether to look closer."""
        wanteds, texts = np.divmod(self._candidates(_bands(signatures)), len(signatures))
        starts = np.flatnonzero(np.diff(wanteds, prepend=-1)).tolist()
        for start, end in itertools.pairwise([*starts, wanteds.size]):
            wanted, here = int(wanteds[start]), texts[start:end]
            estimates = (signatures[here] == self._signatures[wanted]).mean(1)
            order = np.argsort(-estimates, kind="stable")
            order = order[estimates[order] >= np.where(np.arange(order.size) < _EXACTLY, NEAR - _DOUBT, NEAR)]
            likely = zip(here[order].tolist(), estimates[order].tolist(), strict=True)
            yield from ((text, wanted, estimate, rank < _EXACTLY) for rank, (text, estimate) in enumerate(likely))

    def _candidates(self, keys: Hashes) -> NDArray[np.int64]:
        """wanted · n_text + text of every pair that agrees in a whole band, ascending."""
        codes = np.zeros(0, np.int64)
        for band in range(_BANDS):
            text = np.flatnonzero(self._known[band].has(keys[:, band]))
            if text.size:
                here, order = self._keys[:, band], self._order[:, band]
                first = np.searchsorted(here, keys[text, band])
                counts = np.searchsorted(here, keys[text, band], "right") - first
                wanted = order[np.repeat(first, counts) + _ramp(counts)]
                codes = np.union1d(codes, wanted * len(keys) + np.repeat(text, counts))
        return codes


class ContainedSearch:
    """Answers of which at least `CONTAINED` stands in one text: the share of its shingles of 32 characters.

    Of a long answer 256 shingles are looked for, those that fewest other answers have.

    Args:
        answers: what to look for, as `letters`; those shorter than a shingle are never found.
    """

    def __init__(self, answers: Sequence[str]) -> None:
        self._used = [i for i, answer in enumerate(answers) if len(answer) >= ANSWER_SHINGLE]
        distinct = shingles([answers[i] for i in self._used], ANSWER_SHINGLE).distinct()
        ordered = np.sort(distinct.hashes)
        chosen = [_rarest(distinct.hashes[start:stop], ordered) for start, stop in itertools.pairwise(distinct.starts)]
        self._sizes = np.array([each.size for each in chosen], np.int64)
        flat = np.concatenate([_NONE, *chosen])
        order = np.argsort(flat, kind="stable")
        self._answers = np.repeat(np.arange(len(chosen)), self._sizes)[order]
        keys, self._first, self._counts = np.unique(flat[order], return_index=True, return_counts=True)
        self._keys = _Known(keys)

    def look(self, texts: Sequence[str]) -> Iterator[Pair]:
        """Every pair of one of `texts` (as `letters`) and an answer that stands in it."""
        if not self._used:
            return
        found = shingles(texts, ANSWER_SHINGLE)
        hits = self._keys.has(found.hashes)
        keys = np.searchsorted(self._keys.hashes, found.hashes[hits])
        texts_of, keys = np.divmod(np.unique(found.owners()[hits] * self._counts.size + keys), self._counts.size)
        counts = self._counts[keys]
        answers = self._answers[np.repeat(self._first[keys], counts) + _ramp(counts)]
        pairs, n_found = np.unique(np.repeat(texts_of, counts) * len(self._used) + answers, return_counts=True)
        shares = n_found / self._sizes[pairs % len(self._used)]
        for pair, share in zip(pairs[shares >= CONTAINED].tolist(), shares[shares >= CONTAINED].tolist(), strict=True):
            yield Pair(pair // len(self._used), self._used[pair % len(self._used)], share)


_NONE = np.zeros(0, np.uint64)


class _Known:
    """Hashes to look up, ascending, with a table that tells of most others at once that they are not among them."""

    def __init__(self, hashes: Hashes) -> None:
        self.hashes = hashes
        bits = min(max(_LEAST_BITS, (16 * hashes.size).bit_length()), _MOST_BITS)
        self._shift = np.uint64(64 - bits)
        self._maybe = np.zeros(1 << bits, np.bool_)
        self._maybe[hashes >> self._shift] = True

    def has(self, hashes: Hashes) -> NDArray[np.bool_]:
        """Which of `hashes` [n] are known."""
        found: NDArray[np.bool_] = self._maybe[hashes >> self._shift]
        if found.any():
            some = hashes[found]
            at = np.minimum(np.searchsorted(self.hashes, some), self.hashes.size - 1)
            found[found] = self.hashes[at] == some
        return found


def _common_shingles(sample: Sequence[str]) -> Hashes:
    """Shingles that stand in more than a tenth of the texts, and in more than twenty, ascending."""
    every = shingles(sample, NEAR_SHINGLE)
    found, counts = np.unique(np.concatenate([every.of(i) for i in range(len(sample))]), return_counts=True)
    return found[counts > max(_COMMON * len(sample), _FEW)]


def _signatures(texts: Shingles) -> NDArray[np.uint32]:
    """MinHash of each text: uint32 [n_text, 128]; two texts agree in a slot as often as their shingles do."""
    from rensa import RMinHash

    found = np.empty((texts.starts.size - 1, _SLOTS), np.uint32)
    for first in range(0, len(found), _TOGETHER):  # the library hands out lists of Python's numbers
        starts = texts.starts[first : first + _TOGETHER + 1]
        matrix = RMinHash.digest_matrix_from_flat_token_hashes(
            texts.hashes[starts[0] : starts[-1]],
            (starts - starts[0]).astype(np.uint64),
            num_perm=_SLOTS,
            seed=_SEED,
        )
        found[first : first + _TOGETHER] = matrix.to_rows()
    return found


def _bands(signatures: NDArray[np.uint32]) -> Hashes:
    """Four slots each as one number: uint64 [n_text, 32]."""
    parts = signatures.reshape(len(signatures), _BANDS, _SLOTS // _BANDS).astype(np.uint64)
    factors = np.array([0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0xD6E8FEB86659FD93], np.uint64)
    keys: Hashes = (parts * factors).sum(2, dtype=np.uint64)
    return keys


def _jaccard(one: Hashes, other: Hashes) -> float:
    together = np.concatenate([one, other])
    together.sort()
    both = int((together[1:] == together[:-1]).sum())
    return both / (one.size + other.size - both)


def _kept(sets: dict[int, Hashes], texts: Shingles, text: int) -> Hashes:
    """The distinct shingles of a text, found once."""
    if text not in sets:
        sets[text] = texts.of(text)
    return sets[text]


def _rarest(hashes: Hashes, ordered: Hashes) -> Hashes:
    """At most 256 of an answer's shingles, first those that fewest answers have.

    Args:
        ordered: the shingles of all answers, ascending.
    """
    n_answers = np.searchsorted(ordered, hashes, "right") - np.searchsorted(ordered, hashes)
    return hashes[np.argsort(n_answers, kind="stable")[:_MOST_SHINGLES]]


def _ramp(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """0 … count - 1 for each of `counts`, end to end."""
    ends = np.cumsum(counts)
    return np.arange(ends[-1] if ends.size else 0) - np.repeat(ends - counts, counts)
