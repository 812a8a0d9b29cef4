"""`localft data build`: sources → documents → secrets out → rows, one at a time, into one file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import IO

from localft.curation.chunking.chunks import Splitter
from localft.curation.chunking.layout import lay_out
from localft.curation.dates import parse_day, parse_since
from localft.curation.document import Document
from localft.curation.file_rules import Globs
from localft.curation.redaction import redact_lines
from localft.curation.repository import files, history
from localft.curation.repository.ledger import Ledger
from localft.curation.repository.source import KINDS, Source, guess_kinds, list_source, open_source
from localft.curation.text_length import Measure, measure
from localft.errors import ConfigError, DatasetError
from localft.files import real_path
from localft.outputs import output_path
from localft.report import Report
from localft.units import count

_NAMES = 3


@dataclass(frozen=True)
class Request:
    """What to build; see `localft data build --help`. Sizes in bytes."""

    sources: tuple[str, ...]
    kinds: tuple[str, ...] = ()
    name: str | None = None
    rev: str | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    model: str | None = None
    chunk_tokens: int | None = None
    secrets: str = "redact"
    max_file_size: int = 1 << 20
    force: bool = False
    as_of: str | None = None
    max_commits: int | None = None
    since: str | None = None


@dataclass
class Result:
    """What came out.

    Attributes:
        sources: each source's name, kinds, number of files listed, revision and why these kinds.
        n_rows, n_tokens, n_bytes: of the file that was written; tokens as `measure` counts them.
        rows, documents: by kind: "file", "page", "commit".
        whole: documents that are one row.
        longest: tokens of the longest row.
        measure: how tokens are counted and how many a row may have.
        secrets, secret_documents: found, by kind; documents that had some.
        repeated_rows: rows whose content an earlier row has, under another head; `repeated` names the first few.
        dropped_rows: left out because of a secret (--secrets drop).
        split_lines: lines that were longer than a chunk and had to be cut.
        cut_commits: commits whose rows lack a part of the diff.
        ledger: what was left out, and why.
    """

    measure: Measure
    ledger: Ledger
    sources: list[dict[str, object]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    n_rows: int = 0
    n_tokens: int = 0
    n_bytes: int = 0
    longest: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    documents: Counter[str] = field(default_factory=Counter)
    whole: int = 0
    secrets: Counter[str] = field(default_factory=Counter)
    secret_documents: int = 0
    repeated_rows: int = 0
    repeated: list[str] = field(default_factory=list)
    dropped_rows: int = 0
    split_lines: int = 0
    cut_commits: int = 0


def build(request: Request, out: Path, report: Report) -> Result:
    """Write the rows of all sources to `out`, whole or not at all.

    Memory holds one document at a time, whatever the number of files.

    Args:
        report: called as report(what, done, total) while something takes long.

    Raises:
        ConfigError: options that cannot hold.
        DatasetError: a source cannot be read, or there was nothing to write.
        ModelError: the model's tokenizer cannot be loaded.
    """
    _check(request, out)
    globs = Globs(request.include, request.exclude)
    with ExitStack() as opened:
        # first of all: whatever is in its place, or forbids to write there, is found before anything is fetched
        temporary = opened.enter_context(output_path(out, request.force))
        sources = []
        for given in request.sources:
            sources.append(open_source(given, request.name, request.rev, "history" in request.kinds))
            opened.callback(sources[-1].close)
        _check_names(sources)
        result = Result(measure(request.model, request.chunk_tokens, report), Ledger())
        opened.callback(result.measure.close)
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            for source in sources:
                result.notes += source.notes
                for document in _documents(source, request, globs, out, result, report):
                    _write(document, request, result, file)
        if not result.n_rows:
            raise DatasetError("there is nothing to write: no row is left", _why_nothing(result))
    return result


def _documents(
    source: Source, request: Request, globs: Globs, out: Path, result: Result, report: Report
) -> Iterator[Document]:
    """Documents of one source, kind by kind. A further kind of source is one more of these loops."""
    keep, ledger = frozenset(request.keep), result.ledger
    kinds, why, n_files = request.kinds, "--kind", 0
    if not kinds or {"repo", "docs"} & set(kinds):
        report(f"listing {source.name}", 0, 0)
        n_files = list_source(source, ledger, ledger.skip, keep)
        if not kinds:
            kinds, why = guess_kinds(source, ledger)
    kinds = tuple(kind for kind in KINDS if kind in kinds)
    facts = {"source": source.given, "name": source.name, "revision": source.revision, "files": n_files}
    result.sources.append({**facts, "kinds": list(kinds), "why": why})
    if n_files:
        own = str(real_path(out).parent / f".{out.name}.")
        choice = files.Choice(kinds, globs, keep, request.max_file_size, (str(real_path(out)), own))
        for document in files.documents(source, choice, ledger):
            report(f"reading {source.name}", sum(result.documents.values()) + ledger.counts.total(), n_files)
            yield document
    if "history" in kinds:
        span = history.Span(request.max_commits, parse_since(request.since) if request.since else "")
        for document in history.commits(source, globs, keep, ledger, 32 * result.measure.limit + (1 << 16), span):
            report(f"history of {source.name}", result.documents["commit"], 0)
            yield document


def _write(document: Document, request: Request, result: Result, file: IO[str]) -> None:
    """Write the rows of one document."""
    lines, found, hit = redact_lines(document.lines, document.layout == "diff")
    result.secrets += found
    result.secret_documents += bool(found)
    splitter = Splitter(result.measure)
    chunks = list(lay_out(document, document.lines if request.secrets == "keep" else lines, splitter))
    n_rows = len(chunks)
    for number, chunk in enumerate(chunks, 1):
        if request.secrets == "drop" and _has_secret(document, chunk.first, chunk.last, hit):
            result.dropped_rows += 1
            continue
        part = {"part": [number, n_rows]} if n_rows > 1 else {}
        snapshot = {"as_of": request.as_of} if request.as_of and document.source["kind"] != "commit" else {}
        row = {
            "text": chunk.text,
            "doc": document.doc,
            "source": {**document.source, **snapshot, **chunk.extra, **part},
        }
        line = json.dumps(row, ensure_ascii=False) + "\n"
        file.write(line)
        if not result.ledger.is_new(sha256(chunk.text[chunk.n_head :].strip().encode()).digest()):
            result.repeated_rows += 1
            if len(result.repeated) < _NAMES and document.path not in result.repeated:
                result.repeated.append(document.path)
        tokens = result.measure.row(chunk.text)
        kind = document.source["kind"]
        result.rows[kind] += 1
        result.n_rows += 1
        result.n_tokens += tokens
        result.n_bytes += len(line.encode("utf-8"))
        result.longest = max(result.longest, tokens)
        result.cut_commits += kind == "commit" and chunk.text.rstrip().rsplit("\n", 1)[-1].startswith("[left out: ")
    result.split_lines += splitter.n_split_lines
    if n_rows:
        result.documents[document.source["kind"]] += 1
        result.whole += n_rows == 1
    else:
        result.ledger.skip(files.NO_TEXT, document.path)


def _has_secret(document: Document, first: int, last: int, hit: set[int]) -> bool:
    return bool(hit) if document.layout == "diff" else any(first <= number <= last for number in hit)


def _check(request: Request, out: Path) -> None:
    if out.exists() and not out.is_file():
        raise ConfigError(f"--out `{out}` is no file that can be written whole", "give the path of a .jsonl file")
    if request.name and len(request.sources) > 1:
        raise ConfigError("--name names one source, and there are several", "build them one at a time")
    if request.rev and len(request.sources) > 1:
        raise ConfigError("--rev is a revision of one source, and there are several", "build them one at a time")
    if (request.max_commits, request.since) != (None, None) and "history" not in request.kinds:
        name = "--since" if request.max_commits is None else "--max-commits"
        raise ConfigError(f"{name} is of a history that is not asked for", "add --kind history")
    if request.since is not None:
        parse_since(request.since)
    if request.as_of is not None:
        parse_day(request.as_of)
    if request.max_file_size < 1:
        raise ConfigError(f"--max-file-size `{request.max_file_size}` leaves no file", "give a size such as 1M")


def _check_names(sources: list[Source]) -> None:
    tops: dict[str, Source] = {}
    for source in sources:
        other = tops.setdefault(source.name, source)
        if other.top != source.top:
            message = f"`{other.given}` and `{source.given}` are both called `{source.name}`"
            raise ConfigError(message, "build them one at a time, each with its --name")


def _why_nothing(result: Result) -> str:
    if result.dropped_rows:
        return f"--secrets drop left out {count(result.dropped_rows, 'row')}; --secrets redact keeps them"
    reasons = ", ".join(f"{n:,} {reason}" for reason, n in result.ledger.counts.most_common(4))
    why = f"left out: {reasons}" if reasons else "the source holds no file"
    return "; ".join([why, *result.notes[:1]])
