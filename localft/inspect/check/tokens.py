"""Rows as tokens: how many, how long, which do not fit, which the template refuses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from localft.data.reading.data_file import place
from localft.data.rows.row import BUILT_KINDS, Row
from localft.data.split.sides import Sides
from localft.data.tokens.context_length import FittedRows, percentile99
from localft.data.tokens.run_wording import RunWording
from localft.data.tokens.tokenize import TokenizedRow, Unit
from localft.data.tokens.units import units_of
from localft.data.wording.template import describe
from localft.errors import DatasetError
from localft.inspect.check.problem import Problem, Problems
from localft.settings.data_settings import Overlength

_BARS = 12
_QUESTION = 112  # tokens that a question and what stands around its answer take beside a row of text, at most
_WIDTHS = [step * 10**power for power in range(8) for step in (1, 2, 4, 5, 8)]


@dataclass(frozen=True)
class Bar:
    """One bar of a histogram: `n` rows of `first` to `last` positions."""

    first: int
    last: int
    n: int


@dataclass(frozen=True)
class UseCounts:
    """What there is of one use, after everything was fitted into n_ctx: per epoch, a position counts as a token."""

    n_rows: int
    n_tokens: int
    n_supervised: int


@dataclass(frozen=True)
class TokenReport:
    """What rows become with one model.

    Attributes:
        template: how rows with answers are worded, in words.
        train, val: counts of what would be trained and validated on.
        mean, median, p99, longest: positions of the training rows as read.
        n_ctx, n_ctx_reason: what a run would take, and why.
        histogram: of those lengths.
        n_over, n_over_tokens: answer rows longer than n_ctx, and the tokens beyond it.
        n_cut: long texts, which are cut into windows and lose nothing.
        dropped: training rows that are left out, by reason.
        epoch: what one epoch holds, in words; "" where it is every row once.
        notes: sentences.
    """

    template: str
    train: UseCounts
    val: UseCounts
    mean: float
    median: int
    p99: int
    longest: int
    n_ctx: int
    n_ctx_reason: str
    histogram: tuple[Bar, ...]
    n_over: int
    n_over_tokens: int
    n_cut: int
    dropped: dict[str, int]
    notes: tuple[str, ...]
    epoch: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable values."""
        return asdict(self)


def tokenize(rows: Sequence[Row], wording: RunWording) -> tuple[Sequence[Unit], Problems]:
    """Every row that can be worded, and a problem for every other and for every answer without an end."""
    problems = Problems()

    def unit(row: Row) -> Unit | None:
        try:
            made = wording.unit(row)
        except DatasetError as error:
            told = (row.source, row.line, error.message, error.hint or "")
            problems.add(Problem("error", "refused by the template", *told))
            return None
        problems.extend(_endless(made, wording))
        return made

    return units_of(rows, unit), problems


def _endless(unit: Unit, wording: RunWording) -> Iterator[Problem]:
    """Rows of which a supervised stretch ends otherwise than with an end token."""
    ends = sorted(wording.tokenizer.end_ids)
    for part in unit.parts:
        mask = part.loss_mask
        last = [*np.flatnonzero(mask[:-1] > mask[1:]).tolist(), *([mask.size - 1] if mask[-1:].any() else [])]
        endless = int((~np.isin(part.tokens[last], ends)).sum())
        if endless:
            message = f"{place(unit.row.source, unit.row.line)}: an answer without an end token"
            hint = "the model would not learn to stop: choose another template, or a model with an EOS token"
            yield Problem("warning", "no end token", unit.row.source, unit.row.line, message, hint)
            return


def too_long(units: Sequence[Unit], n_ctx: int, overlength: Overlength, n_ctx_train: int = 0) -> Iterator[Problem]:
    """Rows with answers that do not fit into `n_ctx` positions.

    Args:
        n_ctx_train: context that the model was trained on; 0 where it is not known.
    """
    for unit in units:
        for part in unit.parts:
            if not part.is_text and part.length > n_ctx:
                yield _too_long(unit, part, n_ctx, overlength, n_ctx_train)


def _too_long(unit: Unit, part: TokenizedRow, n_ctx: int, overlength: Overlength, n_ctx_train: int) -> Problem:
    beyond = part.length - n_ctx
    kept = int(part.loss_mask[: n_ctx + 1].sum())
    done = "loses its end" if overlength == "truncate" and kept else "is left out"
    message = f"{place(part.source, part.line)} takes {part.length:,} positions, {beyond:,} more than n_ctx, and {done}"
    lost = f"truncated it would keep {kept:,} of {part.n_supervised:,} supervised tokens"
    hint = f"--ctx {part.length} keeps it whole; {lost if kept else 'no part of its answer lies within n_ctx'}"
    if 0 < n_ctx_train < part.length:
        hint = f"the model was trained on {n_ctx_train:,}; {hint}"
        if unit.row.source_kind in BUILT_KINDS and n_ctx_train > 2 * _QUESTION:
            room = f"--chunk-tokens {n_ctx_train - _QUESTION}"
            hint = f"the model was trained on {n_ctx_train:,}: build the rows with its --model and {room}"
    level: Any = "error" if overlength == "refuse" else "warning"
    return Problem(level, "too long", part.source, part.line, message, hint)


def report(
    read: Sequence[Unit], train: FittedRows, val: FittedRows, wording: RunWording, found: Sides, epoch: str = ""
) -> TokenReport:
    """Counts of what was read and of what is left after fitting.

    Args:
        read: units of the training files, before any is taken for validation.
        found: how they were split.
        epoch: see `TokenReport`.
    """
    n_ctx = found.n_ctx
    lengths = sorted(unit.length for unit in read)
    kinds = Counter(unit.row.kind for unit in read)
    parts = (part for unit in read for part in unit.parts)
    over = [part.length - n_ctx for part in parts if not part.is_text and part.length > n_ctx]
    return TokenReport(
        template=describe(wording.main(kinds)),
        train=_counts(train.rows),
        val=_counts(val.rows),
        mean=sum(lengths) / max(1, len(lengths)),
        median=lengths[len(lengths) // 2] if lengths else 0,
        p99=percentile99(lengths),
        longest=lengths[-1] if lengths else 0,
        n_ctx=n_ctx,
        n_ctx_reason=found.n_ctx_reason,
        histogram=tuple(histogram(lengths)),
        n_over=len(over),
        n_over_tokens=sum(over),
        n_cut=len({row.identity for row in (*train.cut_texts, *val.cut_texts)}),
        dropped=dict(found.dropped + train.dropped + val.dropped),
        notes=tuple(wording.notes(kinds)),
        epoch=epoch,
    )


def _counts(rows: Sequence[TokenizedRow]) -> UseCounts:
    return UseCounts(len(rows), sum(row.length for row in rows), sum(row.n_supervised for row in rows))


def histogram(lengths: Sequence[int]) -> Iterator[Bar]:
    """At most twelve bars of one round width from the shortest up to the 99th percentile, and one for what is longer.

    Args:
        lengths: ascending.
    """
    if not lengths:
        return
    top = max(1, percentile99(lengths))
    width = next(width for width in _WIDTHS if width * _BARS > top - lengths[0] // width * width)
    edges = range(lengths[0] // width * width, top + 1, width)
    found = np.histogram(lengths, [*edges, edges[-1] + width, max(lengths[-1] + 1, edges[-1] + width + 1)])[0].tolist()
    for first, n in zip(edges, found, strict=False):
        yield Bar(first, first + width - 1, n)
    if found[-1]:
        yield Bar(edges[-1] + width, lengths[-1], found[-1])
