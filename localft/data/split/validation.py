"""Which rows validate: a seeded choice of whole documents, or the tail of a long text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from localft.data.rows.documents import number_documents
from localft.data.rows.sequences import picked
from localft.data.split.shuffle import shuffled
from localft.data.tokens.tokenize import Unit
from localft.errors import ConfigError

Numbers = NDArray[np.int64]
_ONE_DOCUMENT = "too few documents to spare one"


@dataclass(frozen=True)
class Split:
    """What to train on, what to validate on (units: all that one row of a file became), and how it was chosen.

    Attributes:
        left_out: rows of documents that validate which are on neither side.
    """

    train: Sequence[Unit]
    val: Sequence[Unit]
    reason: str
    left_out: Sequence[Unit] = ()


def split_rows(units: Sequence[Unit], n_ctx: int, *, val_split: float, val_samples: int | None, seed: int) -> Split:
    """Take validation rows out of the rows that there are.

    Whole documents are chosen (see `number_documents`), single rows where all are of one, and of them the conversations
    validate where texts are given too. Where rows name their documents, each kind of source gives its share, or each
    file where no kind is named.
    Where only texts are given, and so few that one whole text would be more than its share, each long text gives its
    tail.

    Args:
        units: per row of the files, what it became.
        n_ctx: positions per sequence, for `val_samples` of a long text.
        val_split: share of the rows, or of a long text's tokens.
        val_samples: so many rows (windows of a long text) in place of the share; None: the share.
        seed: of the choice; 0 is a seed.

    Raises:
        ConfigError: nothing would be left to train on.
    """
    if val_samples == 0 or (val_samples is None and val_split == 0):
        return Split(units, (), "none asked for")
    few = len(units) == 1 or (val_samples or len(units) * val_split) < 1
    texts_alone = bool(units) and few and all(unit.is_text for unit in units)
    if texts_alone and (len(units) == 1 or any(unit.length > n_ctx for unit in units)):
        return _tails(units, n_ctx, val_split, val_samples)
    found = choose_rows(units, val_split=val_split, val_samples=val_samples, seed=seed)
    if found.reason == _ONE_DOCUMENT:
        rows = choose_rows(units, val_split=val_split, val_samples=val_samples, seed=seed, by_document=False)
        if rows.val.size:
            found = rows._replace(reason=f'{rows.reason}, though all are of one document (their "doc")')
    if found.train.size == len(units):
        return Split(units, (), found.reason)
    train, val, left_out = (picked(units, part) for part in (found.train, found.val, found.left_out))
    return Split(train, val, found.reason, left_out)


class RowChoice(NamedTuple):
    """Which rows train, which validate and which do neither (numbers [n], ascending), and how they were chosen."""

    train: Numbers
    val: Numbers
    left_out: Numbers
    reason: str


def choose_rows(
    units: Sequence[Unit], *, val_split: float, val_samples: int | None, seed: int, by_document: bool = True
) -> RowChoice:
    """The same of whole rows alone.

    Args:
        units: of which only the rows are looked at.
        val_split, val_samples, seed: see `split_rows`.
        by_document: rows that name the same document stay together.

    Raises:
        ConfigError: nothing would be left to train on.
    """
    talks = np.flatnonzero(np.fromiter((not unit.is_text for unit in units), np.bool_, len(units)))
    pool = talks if talks.size else np.arange(len(units))
    wanted = max(1, round(pool.size * val_split)) if val_samples is None else val_samples
    if wanted >= len(units) or wanted > pool.size:
        if val_samples is not None:
            raise ConfigError(
                f"--val-samples {val_samples} leaves nothing of {pool.size} rows to train on", "ask for fewer"
            )
        return RowChoice(np.arange(len(units)), _NONE, _NONE, "too few rows to spare one")
    return _Choice(units, pool, wanted, val_samples is not None, seed, by_document).split()


_NONE: Numbers = np.zeros(0, np.int64)


class _Choice:
    """A choice of documents that hold about `wanted` of the rows in `pool`; at most so many where `at_most`.

    Attributes:
        documents: [n_row] the document of each row; of each document `sizes` says how many rows of the pool it has.
        order: the pool's documents, as the seed has them.
    """

    def __init__(
        self, units: Sequence[Unit], pool: Numbers, wanted: int, at_most: bool, seed: int, by_document: bool
    ) -> None:
        self.units, self.pool, self.wanted, self.at_most, self.seed = units, pool, wanted, at_most, seed
        self.documents = number_documents((unit.row for unit in units), by_name=by_document)
        self.sizes = np.bincount(self.documents[pool], minlength=len(units))
        of_pool, first = np.unique(self.documents[pool], return_index=True)
        first_of = np.zeros(len(units), np.int64)
        first_of[of_pool] = pool[first]
        mixed = pool[shuffled(pool.size, seed, 1)]
        self.order = self.documents[mixed][first_of[self.documents[mixed]] == mixed]
        self.named = by_document and any(unit.row.doc or unit.row.source_kind for unit in units)
        self.strata: dict[int, str] = {}
        if self.named:
            names = dict[str, str]()
            for document in self.order.tolist():
                row = units[int(first_of[document])].row
                name = row.source_kind or row.source
                self.strata[document] = names.setdefault(name, name)

    def split(self) -> RowChoice:
        chosen = self._choose()
        if not chosen.any():
            return RowChoice(np.arange(len(self.units)), _NONE, _NONE, _ONE_DOCUMENT)
        held = np.flatnonzero(chosen[self.documents])
        val = held[np.isin(held, self.pool)][: self.wanted if self.at_most else None]
        train = np.flatnonzero(~chosen[self.documents])
        n_chosen = int(np.count_nonzero(chosen))
        return RowChoice(train, val, np.setdiff1d(held, val), self._reason(val.size, n_chosen))

    def _choose(self) -> NDArray[np.bool_]:
        """In seeded order, each document that brings its stratum nearer to its quota: [n_row], by document."""
        chosen = np.zeros(len(self.units), np.bool_)
        n_document = np.unique(self.documents).size
        if n_document < 2:
            return chosen
        order, sizes = self.order.tolist(), self.sizes[self.order].tolist()
        in_strata: Counter[str] = Counter()
        for document, size in zip(order, sizes, strict=True):
            in_strata[self.strata.get(document, "")] += size
        left, n_chosen = quotas(in_strata, self.wanted), 0
        for document, size in zip(order, sizes, strict=True):
            stratum = self.strata.get(document, "")
            if size <= left[stratum] or (size < 2 * left[stratum] and not self.at_most):
                left[stratum] -= size
                chosen[document] = True
                n_chosen += 1
        if n_chosen == n_document:
            chosen[order[-1]] = False
            n_chosen -= 1
        if not n_chosen and len(order) > 1:
            chosen[order[int(np.argmin(sizes))]] = True
        return chosen

    def _reason(self, n_val: int, n_chosen: int) -> str:
        what = "conversations" if self.pool.size < len(self.units) else "rows"
        rows, seeded = f"{n_val:,} of {self.pool.size:,} {what}", f"chosen with seed {self.seed}"
        if not self.named:
            together = "; equal rows stay together" if self.order.size < self.pool.size else ""
            return f"{rows}, {seeded}{together}"
        kinds = list(dict.fromkeys(self.strata[document] for document in sorted(self.order.tolist())))
        each = f", of {', '.join(kinds[:4])}{', …' if len(kinds) > 4 else ''} alike" if len(kinds) > 1 else ""
        return f"{rows}: {n_chosen} of {self.order.size} documents{each}, {seeded}"


def quotas(sizes: Mapping[str, int], total: int) -> dict[str, int]:
    """`total` shared out in proportion to `sizes`, in whole numbers: the largest remainders are rounded up."""
    exact = {name: total * size / sum(sizes.values()) for name, size in sizes.items()}
    shares = {name: int(share) for name, share in exact.items()}
    by_remainder = sorted(exact, key=lambda name: shares[name] - exact[name])
    for name in by_remainder[: total - sum(shares.values())]:
        shares[name] += 1
    return shares


def _tails(units: Sequence[Unit], n_ctx: int, val_split: float, val_samples: int | None) -> Split:
    train: list[Unit] = []
    val: list[Unit] = []
    for unit in units:
        row = unit.parts[0]
        wanted = max(1, round(row.length * val_split)) if val_samples is None else val_samples * n_ctx
        if wanted >= row.length or (len(units) > 1 and row.length <= n_ctx):
            train.append(unit)
            continue
        n_token = row.length + 1
        stop = n_token - wanted
        train.append(Unit(unit.row, (row.cut(0, stop),)))
        val.append(Unit(unit.row, (row.cut(stop - 1, n_token),)))
    if not val and val_samples is not None:
        raise ConfigError(f"--val-samples {val_samples} leaves nothing of the text to train on", "ask for fewer")
    share = f"{val_samples} windows" if val_samples is not None else f"{val_split:.0%}"
    reason = f"the last {share} of the text" if len(units) == 1 else f"the last {share} of each long text"
    return Split(tuple(train), tuple(val), reason if val else "the text is too short to spare a part")
