"""What is trained on and what validates: n_ctx, the split, and what leaks from one side into the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from localft.data.rows.row import Row
from localft.data.rows.sequences import Mapped, picked
from localft.data.split.find_leaks import find_leaks
from localft.data.split.leakage import Leakage, settle
from localft.data.split.shuffle import shuffled
from localft.data.split.validation import Split, split_rows
from localft.data.tokens.context_length import Fits, choose_n_ctx
from localft.data.tokens.tokenize import Unit
from localft.settings.data_settings import DataSettings, OnLeak
from localft.units import count

_LEFT_OUT = "of a document that validates, and no part of the validation"
_LEAKING = "gives a validation row away (--on-leak drop)"


@dataclass(frozen=True)
class Sides:
    """Both sides of a run's data.

    Attributes:
        n_ctx, n_ctx_reason: positions per sequence, and why.
        split: the rows that train and validate.
        leakage: what the training rows give away, those that were then dropped included.
        dropped: rows on neither side, by reason.
    """

    n_ctx: int
    n_ctx_reason: str
    split: Split
    leakage: Leakage
    dropped: Counter[str] = field(default_factory=Counter)

    def settled(self, on_leak: OnLeak) -> Sides:
        """With "drop" without the training rows that give a validation row away, otherwise as it is.

        Raises:
            DatasetError: something leaks and `on_leak` is "refuse".
        """
        train = settle(self.split.train, self.leakage, on_leak)
        n_gone = len(self.split.train) - len(train)
        split = replace(self.split, train=train)
        return replace(self, split=split, dropped=self.dropped + Counter({_LEAKING: n_gone}))


def choose_sides(
    units: Sequence[Unit],
    given: Sequence[Unit],
    val: Sequence[Path],
    settings: DataSettings,
    fits: Fits | None = None,
) -> Sides:
    """Choose n_ctx and the validation rows, and compare both sides.

    Args:
        units: per row of the training files, what it became.
        given: the same of the validation files; empty where they are not to be used.
        val: the validation files.
        fits: see `choose_n_ctx`.

    Raises:
        ConfigError: nothing would be left to train on.
    """
    n_ctx, reason = choose_n_ctx(units, settings.ctx, settings.n_ctx_train, settings.wrap_packed, fits)
    split = _split(units, given, val, n_ctx, settings)
    leakage = find_leaks(_rows_of(split.train), _rows_of(split.val))
    return Sides(n_ctx, reason, split, leakage, Counter({_LEFT_OUT: len(split.left_out)}))


def _split(
    units: Sequence[Unit], given: Sequence[Unit], val: Sequence[Path], n_ctx: int, settings: DataSettings
) -> Split:
    if not units:
        return Split((), given, "no row to train on")
    if settings.all_data:
        too = f", those of {', '.join(f'`{path.name}`' for path in val)} too" if val else ""
        return Split(units, (), f"none: every row is trained on{too} (--all-data)")
    if settings.no_val:
        return Split(units, (), "none (--no-val)")
    if not val:
        samples, share = settings.val_samples, settings.val_split
        return split_rows(units, n_ctx, val_split=share, val_samples=samples, seed=settings.seed)
    if settings.val_samples is None or settings.val_samples >= len(given):
        every = "all " if len(given) > 1 else ""
        return Split(units, given, f"{every}{count(len(given), 'row')} of the validation file")
    chosen = np.sort(shuffled(len(given), settings.seed, 1)[: settings.val_samples])
    reason = f"{len(chosen):,} of {count(len(given), 'row')} of the validation file, chosen with seed {settings.seed}"
    return Split(units, picked(given, chosen), reason)


def _rows_of(units: Sequence[Unit]) -> Sequence[Row]:
    return Mapped(lambda unit: unit.row, units)
