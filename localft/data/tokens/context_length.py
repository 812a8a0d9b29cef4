"""n_ctx from the rows, and rows into n_ctx: long texts in windows, long answers dropped, truncated or refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from localft.data.reading.data_file import place
from localft.data.rows.row import Row
from localft.data.tokens.tokenize import TokenizedRow, Unit, windows, wrapped
from localft.errors import DatasetError
from localft.units import count

_ROUND = 32
_TEXT_N_CTX = 1024
Fits = Callable[[int], bool]


@dataclass
class FittedRows:
    """Rows of at most n_ctx positions, and what had to be done to make them so.

    Attributes:
        cut_texts, n_windows: texts that were cut one by one, and into how many windows.
        n_wrapped, n_wrapped_windows: texts that were joined first, and the windows of all of them.
    """

    rows: list[TokenizedRow] = field(default_factory=list)
    cut_texts: list[Row] = field(default_factory=list)
    n_windows: int = 0
    n_wrapped: int = 0
    n_wrapped_windows: int = 0
    n_truncated: int = 0
    n_truncated_tokens: int = 0
    dropped: Counter[str] = field(default_factory=Counter)


def percentile99(lengths: Sequence[int]) -> int:
    """The shortest length that at least 99 % of the rows do not exceed."""
    return sorted(lengths)[-(-99 * len(lengths) // 100) - 1] if lengths else 0


def choose_n_ctx(
    units: Sequence[Unit], ctx: int | None, n_ctx_train: int, wrap: bool = False, fits: Fits | None = None
) -> tuple[int, str]:
    """Positions per sequence, and why.

    It is the longest of the rows that cannot be cut, those with answers, rounded up to a multiple of 32, at most what
    the model was trained on and what the memory allows. Texts lose nothing by being cut, so beyond 1024 positions they
    do not ask for more.

    Args:
        units: the rows that are read to train on.
        ctx: what the user asked for, or None.
        n_ctx_train: 0 where it is not known.
        wrap: texts are joined, so that they fill 1024 positions together if not alone.
        fits: whether a row of so many positions fits into memory; None: not known.
    """
    if ctx is not None:
        beyond = f"; the model was trained on {n_ctx_train:,}" if 0 < n_ctx_train < ctx else ""
        return ctx, f"--ctx{beyond}"
    longest, text = (_longest(units, is_text) for is_text in (False, True))
    total = sum(part.length for unit in units if unit.is_text for part in unit.parts) if wrap else 0
    window = min(max(text, total), _TEXT_N_CTX)
    rounded = max(_ROUND, -(-max(longest, window) // _ROUND) * _ROUND)
    if wrap and total and window >= longest:
        why, reason = "texts are joined to fill it", "texts are joined and cut into windows of this size"
        reason += "; --ctx sets another"
    elif longest >= window:
        why = f"the longest row with an answer is {longest:,}"
        reason = f"the longest row with an answer, {longest:,}, rounded up"
        reason += "; longer texts are cut" if text > rounded else ""
    else:
        why = f"the longest text is {text:,}"
        reason = f"the longest text, {text:,}, rounded up"
        if text > _TEXT_N_CTX:
            reason = f"long texts are cut into windows of at most {_TEXT_N_CTX:,}; --ctx sets another size"
    if 0 < n_ctx_train < rounded:
        rounded, reason = n_ctx_train, f"all that the model was trained on; {why}"
    if fits and rounded > _TEXT_N_CTX and not fits(rounded):
        rounded, reason = _most_that_fits(fits, rounded), f"all that the memory allows (--memory); {why}"
    return rounded, reason


def _longest(units: Sequence[Unit], is_text: bool) -> int:
    return max((unit.length for unit in units if unit.is_text == is_text), default=0)


def _most_that_fits(fits: Fits, too_many: int) -> int:
    low, high = _TEXT_N_CTX // _ROUND, -(-too_many // _ROUND)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle * _ROUND) else (low, middle)
    return low * _ROUND


def lost_answers(units: Sequence[Unit], n_ctx: int) -> str:
    """What to say where many of the rows with answers, or all of a kind, do not fit into `n_ctx`; else ""."""
    rows, long = Counter[str](), Counter[str]()
    for unit in units:
        if not unit.is_text:
            rows[unit.row.kind] += 1
            long[unit.row.kind] += unit.length > n_ctx
    if not long.total() or (long.total() <= 0.01 * rows.total() and all(long[kind] < rows[kind] for kind in rows)):
        return ""
    share = f"{long.total():,} of {count(rows.total(), 'row')} with answers"
    are = "is" if long.total() == 1 else "are"
    whole = [kind for kind in rows if long[kind] == rows[kind] and len(rows) > 1]
    all_of = f", all of the kind {' and '.join(whole)} among them," if whole else ""
    longest = _longest(units, False)
    return (
        f"{share}{all_of} {are} longer than n_ctx {n_ctx:,} and {are} left out: --ctx {-(-longest // _ROUND) * _ROUND} "
        "takes all of them, `--overlength truncate` their beginnings"
    )


def fit_units(units: Sequence[Unit], n_ctx: int, overlength: str, wrap: bool = False) -> FittedRows:
    """Bring every row to at most `n_ctx` positions.

    Args:
        units: rows as read; not modified.
        n_ctx: positions per sequence.
        overlength: "drop", "truncate" or "refuse", for rows with answers; texts are always cut into windows.
        wrap: texts are joined first, so that all windows but the last have `n_ctx` positions; see `wrapped`.

    Raises:
        DatasetError: an answer row is too long, and `overlength` is "refuse".
    """
    fit = FittedRows()
    parts = [(unit.row, part) for unit in units for part in unit.parts]
    if overlength == "refuse":
        _refuse([part for _, part in parts if not part.is_text and part.length > n_ctx], n_ctx)
    texts = [part for _, part in parts if wrap and part.is_text]
    for row, part in parts:
        if wrap and part.is_text:
            continue
        if part.length <= n_ctx:
            _keep(fit, part, "nothing in it is supervised")
        elif part.is_text:
            cuts = windows(part, n_ctx)
            fit.cut_texts.append(row)
            fit.n_windows += len(cuts)
            fit.rows += cuts
        elif overlength == "drop":
            fit.dropped[f"longer than n_ctx {n_ctx:,} (--overlength drop)"] += 1
        elif _keep(fit, part.cut(0, n_ctx + 1), f"no part of the answer lies within n_ctx {n_ctx:,}"):
            fit.n_truncated += 1
            fit.n_truncated_tokens += part.length - n_ctx
    if texts:
        cuts = wrapped(texts, n_ctx)
        fit.n_wrapped, fit.n_wrapped_windows = len(texts), len(cuts)
        fit.rows += cuts
    return fit


def joined(fits: Sequence[FittedRows]) -> FittedRows:
    """The rows of several, in their order, and what was done to all of them."""
    whole = FittedRows()
    for fit in fits:
        whole.rows += fit.rows
        whole.cut_texts += fit.cut_texts
        whole.n_windows += fit.n_windows
        whole.n_wrapped += fit.n_wrapped
        whole.n_wrapped_windows += fit.n_wrapped_windows
        whole.n_truncated += fit.n_truncated
        whole.n_truncated_tokens += fit.n_truncated_tokens
        whole.dropped += fit.dropped
    return whole


def _keep(fit: FittedRows, row: TokenizedRow, otherwise: str) -> bool:
    if row.n_supervised == 0:
        fit.dropped[otherwise] += 1
        return False
    fit.rows.append(row)
    return True


def _refuse(rows: Sequence[TokenizedRow], n_ctx: int) -> None:
    if rows:
        first = rows[0]
        longer = f"{count(len(rows), 'row')} {'is' if len(rows) == 1 else 'are'} longer than n_ctx {n_ctx:,}"
        message = f"{longer}, the first in {place(first.source, first.line)}"
        hint = f"it takes {first.length:,} positions: raise --ctx, or give `--overlength drop` or `truncate`"
        raise DatasetError(message, hint)
