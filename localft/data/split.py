"""Which rows validate: a seeded choice of whole rows, or the tail of a long text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from localft.data.tokenize import Unit, cut
from localft.errors import ConfigError


@dataclass(frozen=True)
class Split:
    """Rows to train on, rows to validate on (units: all that one row of a file became), and how they were chosen."""

    train: tuple[Unit, ...]
    val: tuple[Unit, ...]
    reason: str


def shuffled(n: int, *seed: int) -> NDArray[np.intp]:
    """A permutation of n that depends on nothing but the seeds (integers of any sign; 0 is a seed)."""
    generator = np.random.Generator(np.random.PCG64([value % 2**64 for value in seed]))
    return np.argsort(generator.random(n), kind="stable")


def split_rows(units: Sequence[Unit], n_ctx: int, *, val_split: float, val_samples: int | None, seed: int) -> Split:
    """Take validation rows out of the rows that there are.

    Whole rows are chosen, of the conversations alone where texts are given too. Where only texts are given, and so few
    that one whole text would be more than its share, each long text gives its tail.

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
    chosen = {pool[i] for i in shuffled(len(pool), seed, 1)[:wanted]}
    what = "conversations" if talks and len(talks) < len(units) else "rows"
    return Split(
        tuple(unit for i, unit in enumerate(units) if i not in chosen),
        tuple(unit for i, unit in enumerate(units) if i in chosen),
        f"{wanted} of {len(pool)} {what}, chosen with seed {seed}",
    )


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
        train.append(Unit(unit.row, (cut(row, 0, stop),)))
        val.append(Unit(unit.row, (cut(row, stop - 1, row.tokens.size),)))
    if not val and val_samples is not None:
        raise ConfigError(f"--val-samples {val_samples} leaves nothing of the text to train on", "ask for fewer")
    share = f"{val_samples} windows" if val_samples is not None else f"{val_split:.0%}"
    reason = f"the last {share} of the text" if len(units) == 1 else f"the last {share} of each long text"
    return Split(tuple(train), tuple(val), reason if val else "the text is too short to spare a part")
