"""What a build did: for people as lines, for programs as one JSON object."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from localft.curation.repository.build import Request, Result
from localft.units import count, file_size

_NAMES, _NAME_WIDTH = 3, 34
_DONE = {"redact": "redacted", "drop": "found, and the rows with them left out", "keep": "found and KEPT"}


def lines(result: Result, request: Request, out: Path) -> Iterator[tuple[str, str]]:
    """Labels and texts, in the order in which they are shown."""
    for source in result.sources:
        revision = f", {str(source['revision'])[:12]}" if source["revision"] else ""
        kinds = ", ".join(map(str, source["kinds"])) if isinstance(source["kinds"], list) else ""
        why = f" ({source['why']})" if source["why"] not in ("", "--kind") else ""
        n_files = f"{count(int(str(source['files'])), 'file')}, " if source["files"] else ""
        yield "source", f"{source['name']}: {n_files}{kinds}{why}{revision}"
    for kind, n_rows in result.rows.items():
        yield "rows", f"{count(n_rows, 'row')} from {count(result.documents[kind], kind)}"
    about = "" if result.measure.exact else "about "
    mean = result.n_tokens // result.n_rows
    yield "tokens", f"{about}{result.n_tokens:,}; {mean:,} a row, at most {result.longest:,}"
    yield "chunks", f"of at most {result.measure.limit:,} tokens: {result.measure.reason}"
    if result.split_lines:
        yield "", f"{count(result.split_lines, 'line')} longer than a chunk, cut"
    if result.cut_commits:
        yield "", f"{count(result.cut_commits, 'commit')} without a part of the diff, which the row names"
    if result.repeated_rows:
        more = ", …" if result.repeated_rows > len(result.repeated) >= _NAMES else ""
        names = ", ".join(map(_short, result.repeated)) + more
        yield "repeated", f"{count(result.repeated_rows, 'row')} with the content of an earlier one, in {names}"
    yield "secrets", _secrets(result, request)
    for note in result.notes:
        yield "note", note
    yield "written", f"{out}, {file_size(result.n_bytes)}"


def _secrets(result: Result, request: Request) -> str:
    if not result.secrets:
        return "none found"
    kinds = ", ".join(f"{n:,} × {kind}" for kind, n in result.secrets.most_common())
    dropped = f" ({count(result.dropped_rows, 'row')})" if request.secrets == "drop" else ""
    where = count(result.secret_documents, "document")
    return f"{result.secrets.total():,} in {where} {_DONE[request.secrets]}{dropped}: {kinds}"


def skipped(result: Result) -> Iterator[tuple[str, str, str]]:
    """Reason, count and a few names of what was left out, most first."""
    for reason, n in result.ledger.counts.most_common():
        names = [_short(name) for name in result.ledger.skipped(reason, _NAMES)]
        yield reason, f"{n:,}", ", ".join(names) + (", …" if n > len(names) else "")


def _short(name: str) -> str:
    return name if len(name) <= _NAME_WIDTH else "…" + name[1 - _NAME_WIDTH :]


def as_json(result: Result, request: Request, out: Path) -> Iterator[str]:
    """One JSON object in pieces: names of what was left out are all in it, and are never in memory together."""
    facts: dict[str, Any] = {
        "out": str(out),
        "sources": result.sources,
        "rows": result.n_rows,
        "rows_by_kind": dict(result.rows),
        "documents_by_kind": dict(result.documents),
        "whole_documents": result.whole,
        "tokens": result.n_tokens,
        "tokens_exact": result.measure.exact,
        "longest_row": result.longest,
        "chunk_tokens": result.measure.limit,
        "bytes": result.n_bytes,
        "split_lines": result.split_lines,
        "cut_commits": result.cut_commits,
        "repeated_rows": result.repeated_rows,
        "secrets": {
            "what": request.secrets,
            "found": dict(result.secrets),
            "documents": result.secret_documents,
            "dropped_rows": result.dropped_rows,
        },
        "notes": result.notes,
    }
    yield json.dumps(facts, ensure_ascii=False)[:-1] + ', "skipped": {'
    for i, (reason, n) in enumerate(result.ledger.counts.most_common()):
        yield f'{", " if i else ""}{json.dumps(reason)}: {{"count": {n}, "names": ['
        for j, name in enumerate(result.ledger.skipped(reason)):
            yield (", " if j else "") + json.dumps(name, ensure_ascii=False)
        yield "]}"
    yield "}}\n"
