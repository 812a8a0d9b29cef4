"""What was found, as lines of text under titles."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from localft.data.rows.row import Row
from localft.data.split.leakage import Leak, Leakage, LeakKind
from localft.inspect.check.check import CheckReport
from localft.inspect.check.cost import Cost
from localft.inspect.check.problem import Problem
from localft.inspect.check.tokens import TokenReport
from localft.units import about, count, size

SHOWN = 10
_BAR = 30  # columns of the longest bar
_LABEL = 16
_KINDS: dict[LeakKind, str] = {
    "exact": "copied",
    "near": "nearly the same",
    "contained": "answer found",
    "same prompt": "same prompt",
}


@dataclass(frozen=True)
class Section:
    """A title and what stands below it; `tone` is "error", "warning" or ""."""

    title: str
    lines: list[str]
    tone: str = ""


def sections(found: CheckReport, everything: bool) -> Iterator[Section]:
    """All there is to say; what matters most stands last, where a terminal shows it.

    Args:
        everything: list every problem and leak, not the first ten.
    """
    yield Section("Files", _files(found))
    if found.tokens:
        yield Section("Tokens", _tokens(found, found.tokens))
        yield Section("Lengths", _lengths(found.tokens))
    if found.cost:
        yield Section("Time", _cost(found.cost))
    if found.leakage.n_val:
        yield Section("Leakage", _leakage(found.leakage, everything), "warning" if found.leakage.leaks else "")
    unseen = [found.leakage.unseen] if found.leakage.n_unseen else []
    if found.missing or found.notes or unseen:
        yield Section("Notes", [f"  {note}" for note in (*found.missing, *unseen, *found.notes)])
    if found.warnings:
        lines = list(_problems(found, found.warnings, everything))
        yield Section(f"Warnings ({found.n_problems('warning'):,})", lines, "warning")
    if found.errors:
        lines = list(_problems(found, found.errors, everything))
        yield Section(f"Errors ({found.n_problems('error'):,})", lines, "error")


def verdict(found: CheckReport) -> str:
    """The last line."""
    n_rows = sum(len(read.rows) for read in found.files)
    n_gone = sum(found.tokens.dropped.values()) if found.tokens else 0
    usable = f"{count(n_rows, 'row')} read, {n_gone:,} left out" if n_gone else f"{count(n_rows, 'row')} can be used"
    if found.errors:
        return f"{count(found.n_problems('error'), 'error')}: `localft finetune` would not start on this data"
    leaks = f", {count(found.leakage.n_leaks, 'leak')}" if found.leakage.leaks else ""
    if found.warnings or leaks:
        return f"{usable}; {count(found.n_problems('warning'), 'warning')}{leaks}"
    return f"{usable}; nothing is wrong with them"


def wrapped(line: str, width: int) -> str:
    """A line broken between words, what follows below where its text begins."""
    indent = len(line) - len(line.lstrip())
    labelled = indent == 2 and line[_LABEL + 1 : _LABEL + 2] == " " and line[_LABEL + 2 : _LABEL + 3] != " "
    below = " " * (_LABEL + 2 if labelled else indent + 2)
    broken = textwrap.TextWrapper(width, line[:indent], below, break_long_words=False, break_on_hyphens=False)
    return broken.fill(line[indent:])


def _line(label: str, words: str) -> str:
    return f"  {label.ljust(_LABEL)}{words}"


def _files(found: CheckReport) -> list[str]:
    lines = []
    for read in found.files:
        formats = ", ".join(f"{count(n, 'row')} of {name}" for name, n in read.formats.most_common()) or "no rows"
        empty = f", {read.n_empty:,} left out" if read.n_empty else ""
        lines.append(_line(read.use, f"{read.name}: {formats}{empty}"))
    return lines


def _tokens(found: CheckReport, tokens: TokenReport) -> list[str]:
    lines = [_line("", "".join(word.rjust(12) for word in ("rows", "tokens", "supervised")))]
    for use, counts in (("train", tokens.train), ("validation", tokens.val)):
        numbers = (counts.n_rows, counts.n_tokens, counts.n_supervised)
        lines.append(_line(use, "".join(f"{n:,}".rjust(12) for n in numbers)))
    lines += [_line("worded as", tokens.template), _line("split", found.split)]
    lines += [_line("epoch", tokens.epoch)] if tokens.epoch else []
    lines += [_line("left out", f"{count(n, 'row')}: {reason}") for reason, n in tokens.dropped.items()]
    return lines + [_line("note", note) for note in tokens.notes]


def _lengths(tokens: TokenReport) -> list[str]:
    parts = (f"mean {tokens.mean:,.0f}", f"median {tokens.median:,}", f"99 % ≤ {tokens.p99:,}")
    lines = [_line("positions", " · ".join((*parts, f"longest {tokens.longest:,}")))]
    most = max((bar.n for bar in tokens.histogram), default=1)
    width = len(f"{tokens.longest:,}")
    for bar in tokens.histogram:
        # a bar that is not empty is never invisible
        drawn = "█" * round(_BAR * bar.n / most) or ("▏" if bar.n else "")
        lines.append(_line(f"{bar.first:>{width},} – {bar.last:>{width},}", f"{drawn} {bar.n:,}".strip()))
    lines.append(_line("n_ctx", f"{tokens.n_ctx:,}: {tokens.n_ctx_reason}"))
    if tokens.n_over:
        over = f"{count(tokens.n_over, 'training row')} longer, by {count(tokens.n_over_tokens, 'token')} in all"
        lines.append(_line("too long", over))
    if tokens.n_cut:
        lines.append(_line("cut", f"{count(tokens.n_cut, 'long text')} into windows, nothing lost"))
    return lines


def _cost(cost: Cost) -> list[str]:
    where = f"{cost.device}, {count(cost.n_threads, 'thread')}"
    epoch = f"about {about(cost.seconds)} with one validation: {count(cost.n_steps, 'step')} on {where}"
    return [_line("an epoch", epoch), _line("peak memory", f"about {size(cost.peak_mem_bytes)}")]


def _leakage(leakage: Leakage, everything: bool) -> list[str]:
    n_leaks = leakage.n_leaks
    of = f"{count(leakage.n_val, 'validation row')} beside {count(leakage.n_train, 'training row')}"
    lines = [_line("leak", f"{n_leaks:,} of {of}")]
    lines += [_line(_KINDS[kind], f"{n:,}") for kind, n in leakage.counts.items() if n]
    if leakage.n_same_prompt:
        n, n_other = leakage.n_same_prompt, leakage.n_answered_otherwise
        other = f"{n:,} {'has' if n == 1 else 'have'} a training row's prompt, {n_other:,} with another answer"
        lines.append(_line(_KINDS["same prompt"], f"{other} (no leak)"))
    if leakage.n_stock:
        lines.append(_line("stock phrase", f"{count(leakage.n_stock, 'answer')} that many rows give (no leak)"))
    if leakage.leaks:
        rows = count(len(leakage.leaking), "training row")
        lines.append(
            _line("what to do", f"`--on-leak drop` leaves out {rows}; better: validate on rows of other sources")
        )
    listed = (*leakage.leaks, *leakage.same_prompt) if everything else leakage.leaks[:SHOWN]
    width = max((len(_place(leak.val)) for leak in listed), default=0)
    lines += [f"  {_place(leak.val).ljust(width)}  {_said(leak)}" for leak in listed]
    if not everything and n_leaks > SHOWN:
        lines.append(f"  … and {n_leaks - SHOWN:,} more (--all)")
    elif n_leaks > len(leakage.leaks):
        lines.append(f"  … and {n_leaks - len(leakage.leaks):,} more")
    return lines


def _said(leak: Leak) -> str:
    of = "1.00" if leak.kind in ("exact", "same prompt") else f"{leak.similarity:.2f}"
    more = f" +{leak.n_train - 1:,}" if leak.n_train > 1 else ""
    return f"{_KINDS[leak.kind]:<15}  {of}  {_place(leak.train)}{more}"


def _place(row: Row) -> str:
    return f"{row.source}:{row.line}"


def _problems(found: CheckReport, problems: Sequence[Problem], everything: bool) -> Iterator[str]:
    """Kind by kind, ten in all unless every one is wanted, of each kind at least one."""
    kinds: dict[str, list[Problem]] = {}
    for problem in problems:
        kinds.setdefault(problem.kind, []).append(problem)
    left, hint = SHOWN, ""
    for number, (kind, here) in enumerate(kinds.items()):
        shown = here if everything else here[: max(1, left // (len(kinds) - number))]
        left -= len(shown)
        n = len(here) + found.unlisted[here[0].level, kind]
        yield f"  {kind}: {n:,}"
        for problem in shown:
            yield f"    {problem.message}"
            if problem.hint and problem.hint != hint:
                yield f"      → {problem.hint}"
            hint = problem.hint
        if n > len(shown):
            yield f"    … and {n - len(shown):,} more" + ("" if everything else " (--all)")
