"""Several sources in one epoch: how often each is passed over, and how much general text is mixed in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from localft.data.reading.sources import MOST_PASSES, Sources
from localft.data.rows.documents import document_keys
from localft.data.split.validation import Split
from localft.data.tokens.context_length import FittedRows, fit_units, joined
from localft.data.tokens.tokenize import TokenizedRow, Unit
from localft.errors import DatasetError
from localft.units import count


@dataclass(frozen=True)
class Share:
    """Training rows that stand together, of one source.

    Attributes:
        name: of the source, as the user wrote it.
        n_row: how many rows; those of all shares follow one another in `Dataset.train`.
        weight: passes over them in one epoch; of a fraction each epoch takes the next part, in a seeded order.
        is_replay: general text that is mixed in.
    """

    name: str
    n_row: int
    weight: float
    is_replay: bool = False


def mix(
    data: Sources,
    parts: Sequence[Sequence[Unit]],
    replay: Sequence[Unit],
    split: Split,
    n_ctx: int,
    overlength: str,
    wrap: bool = False,
) -> tuple[FittedRows, tuple[Share, ...]]:
    """Training rows of at most `n_ctx` positions, and how often an epoch passes over those of each source.

    Args:
        data: with the weights, and the share of the replayed text.
        parts: the rows of each of its parts; a part more where validation files are trained on too.
        replay: the rows of the text to mix in. Rows and documents that validate are left out of it.
        split: which rows train and validate.
        n_ctx, overlength, wrap: see `fit_units`.

    Returns:
        The rows, and the shares in their order; none where an epoch holds every row once.

    Raises:
        DatasetError: nothing of the text can be replayed, or too little; or see `fit_units`.
    """
    if data.replay is None and all(part.weight is None for part in data.parts):
        return fit_units(split.train, n_ctx, overlength, wrap), ()
    part_of = {unit.row.identity: number for number, part in enumerate(parts) for unit in part}
    trained: list[list[Unit]] = [[] for _ in parts]
    for unit in split.train:
        trained[part_of[unit.row.identity]].append(unit)
    fits = [fit_units(part, n_ctx, overlength, wrap) for part in trained]
    named = [(part.name, 1.0 if part.weight is None else part.weight) for part in data.parts]
    more = [("the validation files", 1.0)] * (len(parts) - len(named))
    shares = [Share(name, len(fit.rows), weight) for fit, (name, weight) in zip(fits, named + more, strict=True)]
    n_supervised = sum(share.weight * _n_supervised(fit.rows) for share, fit in zip(shares, fits, strict=True))
    if data.replay and n_supervised:
        fits.append(_replayed(replay, split, n_ctx, overlength, wrap, data.replay.name))
        share = data.replay_share
        weight = share / (1 - share) * n_supervised / _n_supervised(fits[-1].rows)
        if weight > MOST_PASSES:
            message = f"`{data.replay.name}` is too short to be {share:.0%} of the supervised tokens"
            raise DatasetError(f"{message}: an epoch would pass over it {weight:,.0f} times", "name a longer text")
        shares.append(Share(data.replay.name, len(fits[-1].rows), weight, is_replay=True))
    return joined(fits), tuple(share for share in shares if share.n_row)


def _replayed(replay: Sequence[Unit], split: Split, n_ctx: int, overlength: str, wrap: bool, name: str) -> FittedRows:
    held_out = {key for unit in (*split.val, *split.left_out) for key in document_keys(unit.row)}
    kept = [unit for unit in replay if held_out.isdisjoint(document_keys(unit.row))]
    fit = fit_units(kept, n_ctx, overlength, wrap)
    fit.dropped["replay that is held out for validation"] += len(replay) - len(kept)
    if not fit.rows:
        raise DatasetError(f"nothing of `{name}` can be replayed", "name another text, or leave out --replay")
    return fit


def _n_supervised(rows: Sequence[TokenizedRow]) -> int:
    return sum(row.n_supervised for row in rows)


def describe_epoch(shares: Sequence[Share], rows: Sequence[TokenizedRow]) -> str:
    """What one epoch holds, in words; "" where it is every row once."""
    if not shares:
        return ""
    words, tokens, supervised, replayed, start = [], 0.0, 0.0, 0.0, 0
    for share in shares:
        part = rows[start : start + share.n_row]
        start += share.n_row
        tokens += share.weight * sum(row.length for row in part)
        n = share.weight * _n_supervised(part)
        supervised += n
        replayed += n * share.is_replay
        words.append(f"{share.weight:.3g} × {count(share.n_row, 'row')} of `{share.name}`")
    about = "" if all(share.weight == int(share.weight) for share in shares) else "about "
    said = f"{', '.join(words)}: {about}{tokens:,.0f} tokens, {supervised:,.0f} supervised"
    return f"{said}, {replayed / supervised:.0%} of them replay" if replayed else said
