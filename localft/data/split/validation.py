"""Which rows validate: a seeded choice of whole documents, or the tail of a long text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from localft.data.rows.documents import number_documents
from localft.data.split.shuffle import shuffled
from localft.data.tokens.tokenize import Unit
from localft.errors import ConfigError


@dataclass(frozen=True)
class Split:
    """What to train on, what to validate on (units: all that one row of a file became), and how it was chosen.

    Attributes:
        left_out: rows of documents that validate which are on neither side.
    """

    train: tuple[Unit, ...]
    val: tuple[Unit, ...]
    reason: str
    left_out: tuple[Unit, ...] = ()


def split_rows(units: Sequence[Unit], n_ctx: int, *, val_split: float, val_samples: int | None, seed: int) -> Split:
    """Take validation rows out of the rows that there are.

    Whole documents are chosen (see `number_documents`), and of them the conversations validate where texts are given
    too. Where rows name their documents, each kind of source gives its share, or each file where no kind is named.
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
        return Split(tuple(units), (), "none asked for")
    talks = [i for i, unit in enumerate(units) if not unit.is_text]
    pool = talks or list(range(len(units)))
    few = len(units) == 1 or (val_samples or len(units) * val_split) < 1
    if not talks and units and few and (len(units) == 1 or any(unit.length > n_ctx for unit in units)):
        return _tails(units, n_ctx, val_split, val_samples)
    wanted = max(1, round(len(pool) * val_split)) if val_samples is None else val_samples
    if wanted >= len(units) or (wanted > len(pool)):
        if val_samples is not None:
            raise ConfigError(
                f"--val-samples {val_samples} leaves nothing of {len(pool)} rows to train on", "ask for fewer"
            )
        return Split(tuple(units), (), "too few rows to spare one")
    return _Choice(units, pool, wanted, val_samples is not None, seed).split()


class _Choice:
    """A choice of documents that hold about `wanted` of the rows in `pool`; at most so many where `at_most`."""

    def __init__(self, units: Sequence[Unit], pool: Sequence[int], wanted: int, at_most: bool, seed: int) -> None:
        self.units, self.pool, self.wanted, self.at_most, self.seed = units, pool, wanted, at_most, seed
        self.documents = number_documents(unit.row for unit in units)
        self.sizes = Counter(self.documents[i] for i in pool)
        first = {self.documents[i]: i for i in reversed(pool)}
        mixed = [pool[i] for i in shuffled(len(pool), seed, 1)]
        self.order = [self.documents[i] for i in mixed if first[self.documents[i]] == i]
        self.named = any(unit.row.doc or unit.row.source_kind for unit in units)
        self.strata = {document: self._stratum(first[document]) for document in self.order}

    def _stratum(self, i: int) -> str:
        row = self.units[i].row
        return (row.source_kind or row.source) if self.named else ""

    def split(self) -> Split:
        chosen = self._choose()
        if not chosen:
            return Split(tuple(self.units), (), "too few documents to spare one")
        wanted = set(self.pool)
        held = [i for i, document in enumerate(self.documents) if document in chosen]
        val = [i for i in held if i in wanted][: self.wanted if self.at_most else None]
        left_out = sorted(set(held) - set(val))
        train = (unit for unit, document in zip(self.units, self.documents, strict=True) if document not in chosen)
        validating, rest = (tuple(self.units[i] for i in part) for part in (val, left_out))
        return Split(tuple(train), validating, self._reason(len(val), len(chosen)), rest)

    def _choose(self) -> set[int]:
        """In seeded order, each document that brings its stratum nearer to its quota."""
        n_document = len(set(self.documents))
        if n_document < 2:
            return set()
        in_strata: Counter[str] = Counter()
        for document in self.order:
            in_strata[self.strata[document]] += self.sizes[document]
        left = quotas(in_strata, self.wanted)
        chosen = set()
        for document in self.order:
            stratum, size = self.strata[document], self.sizes[document]
            if size <= left[stratum] or (size < 2 * left[stratum] and not self.at_most):
                left[stratum] -= size
                chosen.add(document)
        if len(chosen) == n_document:
            chosen.remove(self.order[-1])
        if not chosen and len(self.order) > 1:
            chosen.add(min(self.order, key=self.sizes.__getitem__))
        return chosen

    def _reason(self, n_val: int, n_chosen: int) -> str:
        what = "conversations" if len(self.pool) < len(self.units) else "rows"
        rows, seeded = f"{n_val:,} of {len(self.pool):,} {what}", f"chosen with seed {self.seed}"
        if not self.named:
            together = "; equal rows stay together" if len(self.order) < len(self.pool) else ""
            return f"{rows}, {seeded}{together}"
        kinds = list(dict.fromkeys(self.strata[document] for document in sorted(self.order)))
        each = f", of {', '.join(kinds[:4])}{', …' if len(kinds) > 4 else ''} alike" if len(kinds) > 1 else ""
        return f"{rows}: {n_chosen} of {len(self.order)} documents{each}, {seeded}"


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
        stop = row.tokens.size - wanted
        train.append(Unit(unit.row, (row.cut(0, stop),)))
        val.append(Unit(unit.row, (row.cut(stop - 1, row.tokens.size),)))
    if not val and val_samples is not None:
        raise ConfigError(f"--val-samples {val_samples} leaves nothing of the text to train on", "ask for fewer")
    share = f"{val_samples} windows" if val_samples is not None else f"{val_split:.0%}"
    reason = f"the last {share} of the text" if len(units) == 1 else f"the last {share} of each long text"
    return Split(tuple(train), tuple(val), reason if val else "the text is too short to spare a part")
