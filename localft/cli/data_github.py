"""`localft data github`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from localft.errors import ConfigError

if TYPE_CHECKING:
    from localft.data.github.export import Options, Summary

HELP = """Turn a repository's pull requests and issues into rows.

One row for each: title, state, labels, description, what was said in order of time, and the changed files with their
patches; people are named by their roles. A long one becomes several rows. What was fetched is kept, so that a second
run asks only for what changed, and an interrupted one goes on.

A token is taken from GH_TOKEN or GITHUB_TOKEN (GH_ENTERPRISE_TOKEN or GITHUB_ENTERPRISE_TOKEN for a host of your own).
Without one GitHub allows 60 requests an hour; a pull request takes up to four.

\b
Examples:
  localft data github owner/name -o prs.jsonl
  localft data github owner/name -o merged.jsonl --kind pr --state merged --limit 200
  localft data github owner/name -o issues.jsonl --kind issue --since 2025-01-01
  localft data github owner/name -o again.jsonl --offline
  localft data github owner/name -o prs.jsonl --from saved/
"""
KINDS = {"pr": "pull_request", "issue": "issue"}
_EVERY = 30.0


@click.command("github", help=HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.argument("repository", metavar="OWNER/NAME")
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path, dir_okay=False), help="File of rows to write."
)
@click.option("--kind", type=click.Choice(list(KINDS)), help="Only these. [default: both]")
@click.option("--state", type=click.Choice(["open", "closed", "merged"]), help="Only those. [default: all]")
@click.option("--since", metavar="DATE", help="Only those that changed on this day or later.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most so many, the newest.")
@click.option(
    "--max-chars",
    type=int,
    default=8000,
    show_default=True,
    metavar="N",
    help="Characters per row; 0 never splits.",
)
@click.option("--logins", is_flag=True, help="Name people by their logins, not by their roles.")
@click.option("--bots", is_flag=True, help="Keep what bots said.")
@click.option(
    "--from", "saved", type=click.Path(path_type=Path), metavar="PATH", help="JSON that `gh` saved: a folder or a file."
)
@click.option("--offline", is_flag=True, help="Take what is in the cache; make no request.")
@click.option("--api-url", metavar="URL", help="The API's address. [default: https://api.github.com]")
@click.option(
    "--max-wait",
    type=click.FloatRange(min=0),
    default=15,
    show_default=True,
    metavar="MINUTES",
    help="Wait no longer for a rate limit.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what came of it as one JSON object.")
def command(output: Path, as_json: bool, **flags: Any) -> None:
    from localft.data.github.export import export

    options = _options(**flags)
    shown = Shown()
    try:
        summary = export(options, output, shown.say, shown.progress)
    except KeyboardInterrupt:
        shown.close()
        if options.saved is None:
            click.echo("what was fetched is kept: the same command goes on from there", err=True)
        raise
    finally:
        shown.close()
    for label, words in lines(summary):
        click.echo(f"{click.style(label.ljust(12), dim=True)}{words}", err=True)
    if as_json:
        import json

        click.echo(json.dumps(summary.to_dict(), ensure_ascii=False))


def _options(
    repository: str, kind: str | None, state: str | None, since: str | None, limit: int | None, **others: Any
) -> Options:
    from localft.data.github.export import API_URL, Options
    from localft.data.github.repository import Selection, parse_repository, parse_since

    saved, offline, api_url, max_chars = (others.pop(n) for n in ("saved", "offline", "api_url", "max_chars"))
    if saved is not None and (offline or api_url):
        raise ConfigError("`--from` reads files; `--offline` and `--api-url` have no meaning beside it", "leave it out")
    if max_chars != 0 and max_chars < 1000:
        raise ConfigError(f"`--max-chars {max_chars}` is too short for a row", "give 1000 or more, or 0 for no limit")
    if kind == "issue" and state == "merged":
        raise ConfigError("issues are open or closed, never merged", "leave out --kind, or choose another --state")
    return Options(
        repository=parse_repository(repository),
        selection=Selection(KINDS.get(kind or ""), state, parse_since(since) if since else "", limit),  # type: ignore[arg-type]
        saved=saved,
        offline=offline,
        api_url=api_url or API_URL,
        max_wait=60 * others.pop("max_wait"),
        max_chars=max_chars,
        **others,
    )


def lines(summary: Summary) -> list[tuple[str, str]]:
    """Label and text of what came of it."""
    from localft.data.summary import count
    from localft.report import about

    numbers = ((summary.n_pull_requests, "pull request"), (summary.n_issues, "issue"))
    found = " and ".join(count(n, noun) for n, noun in numbers if n)
    table = [("written", f"{count(summary.n_rows, 'row')} of {found} to {summary.output}")]
    mean = summary.n_chars // max(1, summary.n_rows)
    table.append(("length", f"{summary.n_chars:,} characters, {mean:,} a row; {count(summary.n_split, 'item')} split"))
    if summary.n_cut_lines:
        table.append(("cut", f"{count(summary.n_cut_lines, 'line')} of patches that are longer than a row"))
    table += [("left out", f"{n:,} {reason}") for reason, n in summary.left_out.items()]
    table += [("secrets", f"{n:,} {kind}") for kind, n in summary.secrets.items()]
    if summary.n_requests:
        left = "" if summary.remaining is None else f"; {summary.remaining:,} left this hour"
        free = f", {summary.n_not_modified:,} of them answered “not modified”" if summary.n_not_modified else ""
        table.append(("requests", f"{summary.n_requests:,}{free}{left}"))
        if summary.n_unchanged:
            table.append(("cache", f"{count(summary.n_unchanged, 'item')} needed no request"))
    table.append(("time", about(summary.seconds)))
    return table + [("note", note) for note in summary.notes]


class Shown:
    """How far the work is, on stderr: one line on a terminal, elsewhere a line now and then."""

    def __init__(self) -> None:
        self.stream = sys.stderr
        self.on = self.stream.isatty()
        self.told = time.monotonic()

    def progress(self, what: str, done: int, total: int) -> None:
        words = f"{done:,} of {total:,}  {what}" if total else what
        if self.on:
            self.stream.write(f"\r\x1b[K{words}")
            self.stream.flush()
        elif time.monotonic() - self.told >= _EVERY:
            self.told = time.monotonic()
            self.stream.write(f"{words}\n")
            self.stream.flush()

    def say(self, words: str) -> None:
        """A line that stays."""
        self.close()
        self.stream.write(f"{words}\n")
        self.stream.flush()

    def close(self) -> None:
        if self.on:
            self.stream.write("\r\x1b[K")
            self.stream.flush()
