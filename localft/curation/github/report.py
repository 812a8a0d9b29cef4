"""What an export did, in lines for people."""

from __future__ import annotations

from collections.abc import Iterator

from localft.curation.github.export import Secrets, Summary
from localft.units import about, count, file_size

_DONE = {"redact": "redacted", "drop": "found, left out with all their rows", "keep": "found and KEPT"}


def lines(summary: Summary, secrets: Secrets) -> Iterator[tuple[str, str]]:
    """Labels and texts, in the order in which they are shown; an empty label goes on with the one before."""
    numbers = ((summary.n_pull_requests, "pull request"), (summary.n_issues, "issue"))
    found = " and ".join(count(n, noun) for n, noun in numbers if n)
    split = f"; {count(summary.n_split, 'item')} in several" if summary.n_split else ""
    yield "rows", f"{count(summary.n_rows, 'row')} from {found}{split}"
    mean = summary.n_tokens // max(1, summary.n_rows)
    exactly = "" if summary.tokens_exact else "about "
    yield "tokens", f"{exactly}{summary.n_tokens:,}; {mean:,} a row, at most {summary.longest:,}"
    yield "chunks", f"of at most {summary.chunk_tokens:,} tokens: {summary.chunk_reason}"
    if summary.n_cut_lines:
        yield "", f"{count(summary.n_cut_lines, 'line')} of patches that are longer than a row, left out"
    if summary.n_torn:
        yield "", f"{count(summary.n_torn, 'line')} longer than a row, torn at a space"
    kinds = ", ".join(f"{n:,} × {kind}" for kind, n in summary.secrets.most_common())
    where = count(summary.n_secret_items, "item")
    yield "secrets", f"{summary.secrets.total():,} in {where} {_DONE[secrets]}: {kinds}" if kinds else "none found"
    yield from _requests(summary)
    yield from (("note", note) for note in summary.notes)
    yield "written", f"{summary.output}, {file_size(summary.n_bytes)}, in {about(summary.seconds)}"


def _requests(summary: Summary) -> Iterator[tuple[str, str]]:
    if not summary.n_requests:
        return
    left = "" if summary.remaining is None else f"; {summary.remaining:,} left this hour"
    same = f", {summary.n_not_modified:,} of them answered “not modified”" if summary.n_not_modified else ""
    yield "requests", f"{summary.n_requests:,}{same}{left}"
    if summary.n_unchanged:
        yield "cache", f"{count(summary.n_unchanged, 'item')} needed no request"
