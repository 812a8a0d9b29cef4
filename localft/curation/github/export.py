"""Pull requests and issues to a file of rows, and what there is to say about it."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TextIO

from localft.curation.github.api.access import find_token, without_token
from localft.curation.github.api.cache import open_cache
from localft.curation.github.api.fetch import Fetcher, cached_items
from localft.curation.github.parts import split
from localft.curation.github.raw_item import RawItem
from localft.curation.github.records import Item, read_item
from localft.curation.github.repository import Repository
from localft.curation.github.saved import read_saved
from localft.curation.github.sections import ItemWording, Treated
from localft.curation.github.selection import Selection
from localft.curation.text_length import Measure, measure
from localft.errors import ConfigError, DatasetError
from localft.home import localft_home
from localft.outputs import output_path
from localft.report import Report
from localft.units import count

API_URL = "https://api.github.com"
Secrets = Literal["redact", "drop", "keep"]
_SMALLEST = 128


@dataclass(frozen=True)
class Options:
    """What to fetch and how to word it.

    Attributes:
        repository, selection: which pull requests and issues.
        saved: a file or folder of saved JSON in place of the API, or None.
        offline: take what is in the cache, make no request.
        api_url: the API's address.
        max_wait: the longest wait for a rate limit, seconds.
        model, chunk_tokens: whose tokens are counted, and the most that a row may have; None as `measure` has it.
        secrets: "redact" them, "drop" what has some, or "keep" them.
        logins: people by login, not by role.
        force: replace an output that is there, whosever it is.
    """

    repository: Repository
    selection: Selection
    saved: Path | None = None
    offline: bool = False
    api_url: str = API_URL
    max_wait: float = 900.0
    model: str | None = None
    chunk_tokens: int | None = None
    secrets: Secrets = "redact"
    logins: bool = False
    force: bool = False


@dataclass
class Summary:
    """What came out, JSON-serialisable with `to_dict`.

    Attributes:
        repository, output: of which, and into which file.
        n_pull_requests, n_issues, n_rows, n_tokens, n_bytes: what the file holds.
        tokens_exact, chunk_tokens, chunk_reason: a tokenizer counted them; how many a row may have, and why.
        longest: tokens of the longest row.
        n_split: items that became several rows.
        n_cut_lines: lines of patches that are longer than a row, and left out.
        n_torn: lines of prose that were longer than a row and were torn.
        left_out: what else is not in the rows, by reason.
        secrets: found, by kind.
        n_secret_items: pull requests and issues that had some.
        n_listed: in the pages of the list; 0 without the API.
        n_unchanged: items that needed no request.
        n_requests, n_not_modified: answers of the API, and those of them that said "not modified" (304).
        remaining: requests left this hour, or None.
        seconds: wall time.
        notes: whatever else the user should know, a sentence each.
    """

    repository: str
    output: str
    n_pull_requests: int = 0
    n_issues: int = 0
    n_rows: int = 0
    n_tokens: int = 0
    n_bytes: int = 0
    tokens_exact: bool = False
    chunk_tokens: int = 0
    chunk_reason: str = ""
    longest: int = 0
    n_split: int = 0
    n_cut_lines: int = 0
    n_torn: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    secrets: Counter[str] = field(default_factory=Counter)
    n_secret_items: int = 0
    n_listed: int = 0
    n_unchanged: int = 0
    n_requests: int = 0
    n_not_modified: int = 0
    remaining: int | None = None
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"left_out": dict(self.left_out), "secrets": dict(self.secrets)}


def export(options: Options, output: Path, say: Callable[[str], None], progress: Report) -> Summary:
    """Write the rows, the file whole or not at all.

    Args:
        options: what to fetch and how to word it.
        output: the JSON Lines file.
        say: told a line about every wait and every second try.
        progress: called with what is being done, how many are done, and of how many (0: not known).

    Raises:
        GitHubError: the API refuses, fails, or wants a longer wait than allowed.
        DatasetError: JSON that is not GitHub's, or nothing that is wanted.
        ConfigError: an unusable token or API address, no such model, or rows that could hold nothing.
        ModelError: the model's tokenizer cannot be loaded.
    """
    began = time.monotonic()
    if options.chunk_tokens is not None and options.chunk_tokens < _SMALLEST:
        message = f"--chunk-tokens `{options.chunk_tokens}` is too small for a title and what was said"
        raise ConfigError(message, f"give {_SMALLEST} or more")
    summary = Summary(str(options.repository), str(output))
    with (
        output_path(output, options.force) as temporary,
        closing(measure(options.model, options.chunk_tokens, progress)) as measured,
    ):
        summary.tokens_exact, summary.chunk_tokens = measured.exact, measured.limit
        summary.chunk_reason = measured.reason
        with (
            temporary.open("w", encoding="utf-8", errors="replace", newline="\n") as file,
            closing(_items(options, summary, say, progress)) as items,
        ):
            _write(items, options, measured, file, summary)
        if not summary.n_rows:
            raise _nothing(options, summary)
    summary.seconds = round(time.monotonic() - began, 3)
    return summary


def _items(options: Options, summary: Summary, say: Callable[[str], None], progress: Report) -> Generator[RawItem]:
    if options.saved is not None:
        yield from _saved(options, options.saved, summary)
        return
    from localft.curation.github.api.client import Client, parse_api_url

    host = parse_api_url(options.api_url).netloc.decode("ascii")
    cache = open_cache(localft_home(), host, options.repository)
    if options.offline:
        if not cache.numbers():
            message = f"nothing of `{options.repository}` is in the cache"
            raise DatasetError(message, "run once without --offline; `--from` reads JSON that `gh` saved")
        yield from cached_items(cache, options.selection, summary.left_out)
        return
    token = find_token(parse_api_url(options.api_url).host)
    if token is None:
        say(without_token(parse_api_url(options.api_url).host))
    with closing(Client(options.api_url, token, options.max_wait, say)) as client:
        fetcher = Fetcher(client, cache, options.repository, options.selection, progress)
        yield from fetcher.items()
        summary.n_listed, summary.n_unchanged = fetcher.n_listed, fetcher.n_unchanged
        summary.n_requests, summary.n_not_modified = client.n_requests, client.n_not_modified
        summary.remaining = client.remaining
        summary.left_out.update(fetcher.left_out)
        if fetcher.n_failed:
            summary.notes.append("what GitHub did not give is asked for again by the next run")
        if fetcher.renamed:
            summary.notes.append(f"`{options.repository}` is called `{fetcher.renamed}` now")


def _saved(options: Options, path: Path, summary: Summary) -> Iterator[RawItem]:
    saved = read_saved(path, options.repository)
    if saved.n_stray:
        summary.left_out["comments, reviews and files of what was not saved itself"] += saved.n_stray
    for what, n in saved.missing().items():
        summary.notes.append(f"{count(n, 'item')} came without {what}: docs/github.md says how to save them too")
    yield from saved.items(options.selection, summary.left_out)


def _write(items: Iterable[RawItem], options: Options, measured: Measure, file: TextIO, summary: Summary) -> None:
    wording = ItemWording(options.repository, options.logins, options.secrets == "keep")
    for raw in items:
        item = read_item(raw, options.repository)
        item = _heard(item, options.selection.bots, summary)
        treated = Treated()
        sections = wording.sections(item, treated)
        summary.secrets.update(treated.secrets)
        summary.n_secret_items += bool(treated.secrets)
        if treated.secrets and options.secrets == "drop":
            summary.left_out[f"{item.noun}s with secrets"] += 1
            continue
        summary.left_out.update({f"patches ({reason})": n for reason, n in treated.patches.items()})
        parts = split(sections, measured)
        for text in parts.texts:
            line = json.dumps(_row(text, item, options.repository), ensure_ascii=False) + "\n"
            file.write(line)
            n_tokens = measured.row(text)
            summary.n_tokens += n_tokens
            summary.n_bytes += len(line.encode("utf-8", "replace"))
            summary.longest = max(summary.longest, n_tokens)
        summary.n_rows += len(parts.texts)
        summary.n_split += len(parts.texts) > 1
        summary.n_cut_lines += parts.n_cut_lines
        summary.n_torn += parts.n_torn
        summary.n_pull_requests += item.kind == "pull_request"
        summary.n_issues += item.kind == "issue"


def _row(text: str, item: Item, repository: Repository) -> dict[str, Any]:
    source = {
        "kind": item.kind,
        "repository": str(repository),
        "number": item.number,
        "url": item.url,
        "date": item.created or None,
    }
    return {"text": text, "doc": f"{repository}#{item.number}", "source": source}


def _heard(item: Item, bots: bool, summary: Summary) -> Item:
    """An item without what bots said, and without what a maintainer has hidden."""
    kept = []
    for remark in item.remarks:
        reason = f"comments hidden as {remark.hidden}" if remark.hidden else ""
        if remark.by.bot and not bots:
            reason = "bots' comments and reviews"
        summary.left_out.update([reason] if reason else [])
        kept += [] if reason else [remark]
    return replace(item, remarks=tuple(kept))


def _nothing(options: Options, summary: Summary) -> DatasetError:
    message = f"`{options.repository}` has no {options.selection.words()}"
    if options.saved is not None:
        message += f" in `{options.saved}`"
    elif options.offline:
        message += " in the cache"
    left = ", ".join(f"{n:,} {reason}" for reason, n in summary.left_out.items())
    hint = f"left out: {left}" if left else "`--state`, `--kind`, `--since` and `--limit` choose others"
    return DatasetError(message, hint)
