"""Shingles of texts: every stretch of n characters, as numbers that are quick to compare."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

_BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2^64
_INVERSE = pow(_BASE, -1, 2**64)
_TOGETHER = 1 << 20  # stretches


@dataclass(frozen=True, eq=False)
class Shingles:
    """The stretches of several texts, text after text.

    Attributes:
        hashes: uint64 [n], one for each stretch, repeats included.
        starts: int64 [n_text + 1]; those of text t are hashes[starts[t]:starts[t + 1]].
    """

    hashes: Hashes
    starts: NDArray[np.int64]

    def of(self, text: int) -> Hashes:
        """The distinct stretches of one text, ascending."""
        found = np.sort(self.hashes[self.starts[text] : self.starts[text + 1]])
        distinct: Hashes = found[np.diff(found, prepend=~found[:1]) != 0]
        return distinct

    def distinct(self) -> Shingles:
        """The distinct stretches of each text, ascending; they take the place of this object's hashes."""
        starts = np.zeros_like(self.starts)
        for text in range(starts.size - 1):
            found = self.of(text)
            starts[text + 1] = starts[text] + found.size
            self.hashes[starts[text] : starts[text + 1]] = found
        return Shingles(self.hashes[: starts[-1]], starts)

    def owners(self) -> NDArray[np.int64]:
        """int64 [n]: the text that each stretch belongs to."""
        return np.repeat(np.arange(self.starts.size - 1), np.diff(self.starts))

    def keep(self, mask: NDArray[np.bool_]) -> Shingles:
        """Without the stretches where `mask` [n] is False."""
        n_kept = np.add.reduceat(mask, self.starts[:-1], dtype=np.int64)
        return Shingles(self.hashes[mask], np.concatenate([[0], np.cumsum(n_kept)]))


def shingles(texts: Sequence[str], n: int) -> Shingles:
    """Every stretch of `n` characters of each text; a shorter text is one stretch.

    The hash is a polynomial of the code points modulo 2^64, from differences of its running sum, scrambled so that
    all its bits can be used.
    """
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    starts = np.concatenate([[0], np.cumsum(np.maximum(lengths - n + 1, 1))])
    hashes = np.empty(starts[-1], np.uint64)
    # a few texts at a time: what is computed on the way is ten times as large as what comes out
    first = 0
    while first < len(texts):
        stop = max(int(np.searchsorted(starts, starts[first] + _TOGETHER)), first + 1)
        hashes[starts[first] : starts[min(stop, len(texts))]] = _hashes(texts[first:stop], lengths[first:stop], n)
        first = stop
    return Shingles(hashes, starts)


def _hashes(texts: Sequence[str], lengths: NDArray[np.int64], n: int) -> Hashes:
    counts = np.maximum(lengths - n + 1, 1)
    gap = "\0" * n
    codes = np.frombuffer((gap.join(texts) + gap).encode("utf-32-le", "surrogatepass"), np.uint32)
    sums = np.zeros(codes.size + 1, np.uint64)
    np.cumsum((codes + np.uint64(1)) * _powers(_BASE, codes.size), out=sums[1:])
    hashes = (sums[n:] - sums[:-n]) * _powers(_INVERSE, codes.size - n + 1)
    here = np.zeros(codes.size + 1, np.int8)
    first = np.cumsum(lengths + n) - lengths - n
    np.add.at(here, first, 1)
    np.add.at(here, first + counts, -1)
    return _scrambled(hashes[np.cumsum(here[: hashes.size], dtype=np.int8).astype(bool)])


def _powers(base: int, n: int) -> Hashes:
    """base^0 … base^(n - 1) modulo 2^64."""
    return _powers_of_two(base, n.bit_length())[:n]


@functools.lru_cache(4)
def _powers_of_two(base: int, bits: int) -> Hashes:
    found = np.ones(1, np.uint64)
    for bit in range(bits):
        found = np.concatenate([found, found * np.uint64(pow(base, 1 << bit, 2**64))])
    return found


def _scrambled(hashes: Hashes) -> Hashes:
    """Sebastiano Vigna's SplitMix64 finaliser: a bijection after which every bit depends on every other."""
    hashes = (hashes ^ (hashes >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    hashes = (hashes ^ (hashes >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return hashes ^ (hashes >> np.uint64(31))
