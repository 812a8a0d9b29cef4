"""What a synthesis did: for people as lines, for programs as values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from localft.curation.synthetic.model.ask_model import AskProgress
from localft.curation.synthetic.synth import Result
from localft.units import count, duration, file_size, rate

_NOUNS = {"pull_request": "pull request"}


class Price:
    """What tokens cost, a million of each.

    Args:
        prompt, completion: in whatever currency the endpoint bills.
    """

    def __init__(self, prompt: float, completion: float) -> None:
        self.prompt, self.completion = prompt, completion

    def of(self, progress: AskProgress) -> float:
        return (progress.n_prompt * self.prompt + progress.n_completion * self.completion) / 1e6


def lines(result: Result, price: Price | None, out: Path) -> Iterator[tuple[str, str]]:
    """Labels and texts, in the order in which they are shown; a label that is repeated may be left out."""
    yield "read", f"{count(result.n_rows, 'row')}, {count(result.n_documents, 'document')} of them used"
    for reason, n in result.left_out.most_common():
        yield "left out", f"{n:,} {reason}"
    for maker in ("template", "model"):
        found = Counter({kind: n for (by, kind), n in result.pairs.items() if by == maker})
        if found or (maker == "model" and result.progress):
            kinds = ", ".join(f"{n:,} of {_NOUNS.get(kind, kind)}s" for kind, n in found.most_common())
            yield "pairs", f"{found.total():,} by {maker}" + (f": {kinds}" if kinds else "")
    for reason, n in result.dropped.most_common():
        yield "dropped", f"{n:,} {reason}"
    if result.progress:
        yield from _asked(result, result.progress, price)
    yield "written", f"{out}, {count(result.pairs.total(), 'row')}, {file_size(out.stat().st_size)}"


def _asked(result: Result, progress: AskProgress, price: Price | None) -> Iterator[tuple[str, str]]:
    if progress.done:
        about = "" if result.exact else "about "
        speed = f"{rate(progress.tok_per_sec)} tok/s written, {duration(progress.seconds)}"
        cost = f", cost {price.of(progress):,.2f}" if price else ""
        yield "tokens", f"{about}{progress.n_prompt:,} read, {progress.n_completion:,} written; {speed}{cost}"
    if progress.known:
        yield "note", f"{count(progress.known, 'row')} answered in an earlier run, from `{result.journal}`"
    if result.cut:
        yield "note", f"{count(result.cut, 'row')} longer than the model's context: it saw the beginning"


def progress_line(progress: AskProgress, price: Price | None, exact: bool) -> str:
    """One line while a model is asked."""
    done = progress.known + progress.done
    parts = [f"{done:,} of {count(progress.total, 'row')}", count(progress.n_pairs, "pair")]
    if progress.done:
        about = "" if exact else "about "
        parts.append(f"{about}{progress.n_prompt:,} + {progress.n_completion:,} tokens")
        parts.append(f"{rate(progress.tok_per_sec)} tok/s")
        if price:
            parts.append(f"cost {price.of(progress):,.2f}")
        parts.append(f"{duration(progress.seconds_left)} left")
    return f"{' · '.join(parts)}{' · ' + progress.waiting if progress.waiting else ''}"


def as_json(result: Result, price: Price | None, out: Path) -> dict[str, Any]:
    """The same as values."""
    progress = result.progress
    asked = None
    if progress:
        asked = {
            "rows": progress.done,
            "rows_known": progress.known,
            "rows_refused": progress.refused,
            "rows_failed": len(progress.failed),
            "prompt_tokens": progress.n_prompt,
            "completion_tokens": progress.n_completion,
            "tokens_exact": result.exact,
            "seconds": round(progress.seconds, 3),
            "cost": price.of(progress) if price else None,
            "rows_cut": result.cut,
            "journal": str(result.journal),
        }
    return {
        "out": str(out),
        "rows_read": result.n_rows,
        "documents": result.n_documents,
        "left_out": dict(result.left_out),
        "pairs": {by: {kind: n for (b, kind), n in result.pairs.items() if b == by} for by in ("template", "model")},
        "dropped": dict(result.dropped),
        "asked": asked,
    }
