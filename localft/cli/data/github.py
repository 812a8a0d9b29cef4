"""`localft data github`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from localft.cli.command import Command
from localft.cli.data import options
from localft.cli.given import refuse_idle
from localft.cli.parameters import UserPath
from localft.errors import ConfigError

if TYPE_CHECKING:
    from localft.curation.github.export import Options, Secrets, Summary
    from localft.curation.github.selection import Kind

HELP = """Turn a repository's pull requests and issues into rows.

One row for each: title, state, labels, description, what was said in order of time, and the changed files with their
patches; people are named by their roles. One that is longer than --chunk-tokens becomes several rows. What was fetched
is kept: a second run asks only for what changed, and an interrupted one goes on.

A token is taken from GH_TOKEN or GITHUB_TOKEN (GH_ENTERPRISE_TOKEN or GITHUB_ENTERPRISE_TOKEN for a host of your own).
Without one GitHub allows 60 requests an hour; a pull request takes up to four.

\b
Examples:
  localft data github owner/name -o prs.jsonl
  localft data github owner/name -o merged.jsonl --kind pr --state merged --limit 200
  localft data github owner/name -o issues.jsonl --kind issue --since 2025-01-01
  localft data github owner/name -o prs.jsonl --model tinymistral --chunk-tokens 1024
  localft data github owner/name -o again.jsonl --offline
  localft data github owner/name -o prs.jsonl --from saved/

Keys, tokens and passwords are replaced by what they are: `[redacted: aws access key]`. Patches of lock files and of
vendored, generated and minified files are left out, and so are bots.
"""
KINDS: dict[str, Kind] = {"pr": "pull_request", "issue": "issue"}


@click.command(
    "github", cls=Command, help=HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.argument("repository", metavar="OWNER/NAME")
@options.out_file("rows", "output")
@click.option("--kind", type=click.Choice(list(KINDS)), help="Only these. [default: both]")
@click.option("--state", type=click.Choice(["open", "closed", "merged"]), help="Only those. [default: all]")
@click.option("--since", metavar="DATE", help="Only those that changed on this day or later.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most so many, the newest.")
@options.row_length
@options.secrets("what has some")
@click.option("--logins", is_flag=True, help="Name people by their logins, not by their roles.")
@click.option("--bots", is_flag=True, help="Keep what bots said and opened.")
@click.option("--from", "saved", type=UserPath(), metavar="PATH", help="JSON that `gh` saved: a folder or a file.")
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
@options.force
@options.as_json("what came of it")
def command(output: Path, as_json: bool, **flags: Any) -> None:
    from localft.cli.progress_line import ProgressLine
    from localft.curation.github.export import export
    from localft.screen.border import put, say

    chosen = _options(**flags)
    line = ProgressLine(every=30)

    def progress(what: str, done: int, total: int) -> None:
        line.show(f"{done:,} of {total:,}  {what}" if total else what)

    try:
        summary = export(chosen, output, line.say, progress)
    except KeyboardInterrupt:
        line.close()
        if chosen.saved is None:
            say("what was fetched is kept: the same command goes on from there")
        raise
    finally:
        line.close()
    show(summary, chosen.secrets)
    if as_json:
        import json

        put(json.dumps(summary.to_dict(), ensure_ascii=False))


def _options(
    repository: str, kind: str | None, state: Any, since: str | None, limit: int | None, bots: bool, **others: Any
) -> Options:
    from localft.curation.dates import parse_since
    from localft.curation.github.export import API_URL, Options
    from localft.curation.github.repository import parse_repository
    from localft.curation.github.selection import Selection

    saved, offline, api_url = (others.pop(name) for name in ("saved", "offline", "api_url"))
    if saved is not None and (offline or api_url):
        raise ConfigError("`--from` reads files; `--offline` and `--api-url` have no meaning beside it", "leave it out")
    if saved is not None or offline:
        refuse_idle(("max_wait",), "has no meaning where no request is made")
    if kind == "issue" and state == "merged":
        raise ConfigError("issues are open or closed, never merged", "leave out --kind, or choose another --state")
    return Options(
        repository=parse_repository(repository),
        selection=Selection(KINDS.get(kind or ""), state, parse_since(since) if since else "", limit, bots),
        saved=saved,
        offline=offline,
        api_url=api_url or API_URL,
        max_wait=60 * others.pop("max_wait"),
        **others,
    )


def show(summary: Summary, secrets: Secrets) -> None:
    """The table on stderr."""
    from localft.cli.output import echo_labelled
    from localft.curation.github.report import lines
    from localft.screen.border import say
    from localft.visible import Styled

    if summary.left_out:
        say(Styled(f"left out ({summary.left_out.total():,})", bold=True))
        width = max(map(len, summary.left_out))
        for reason, n in summary.left_out.most_common():
            say(f"  {reason.ljust(width)}  {n:7,}")
        say()
    echo_labelled(lines(summary, secrets), ("note", *(["secrets"] if summary.secrets and secrets == "keep" else [])))
