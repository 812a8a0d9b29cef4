"""`localft data build`: a folder or repository to JSON lines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from localft.cli.command import Command
from localft.cli.data import options
from localft.cli.parameters import complete_path
from localft.settings.setting import parse_size

if TYPE_CHECKING:
    from localft.curation.repository.build import Request, Result

HELP = """Turn code, docs and git history into rows to train on.

Each SOURCE is a folder, a git working copy or a git URL. Every row is one JSON line with its text, the id of the
document that it came from ("doc") and where that is ("source"). What was left out, and why, is shown on stderr.

\b
Examples:
  localft data build . -o data.jsonl
  localft data build . --kind repo --kind docs --kind history -o data.jsonl
  localft data build https://github.com/owner/name.git --rev v1.2 -o data.jsonl
  localft data build https://github.com/owner/name.wiki.git -o wiki.jsonl
  localft data build src docs --model tinymistral --exclude "tests/" -o data.jsonl

Binaries, generated, minified and vendored files, lock files, licences, data files and what .gitignore names are left
out. Keys, tokens and passwords are replaced by what they are: `[redacted: aws access key]`.
"""


def size(context: click.Context, option: click.Parameter, value: str) -> int:
    """Bytes, from 65536, 64k or 1.5M."""
    try:
        return parse_size(value)
    except ValueError:
        raise click.BadParameter(f"`{value}` is no size: give bytes, or 64k, 1M", context, option) from None


@click.command(
    "build",
    cls=Command,
    help=HELP,
    short_help="Turn code, docs and git history into rows.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...", shell_complete=complete_path)
@options.out_file("rows")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice(["repo", "docs", "history"]),
    help="What to make rows of; repeatable. [default: repo and docs; docs alone for a wiki or a folder of pages]",
)
@click.option("--rev", metavar="REV", help="Read a branch, tag or commit. [default: the folder as it is, a URL's HEAD]")
@click.option(
    "--as-of", metavar="DATE", help="The day of which files and pages are, for answers. [default: of their last commit]"
)
@click.option(
    "--max-commits", type=click.IntRange(1), metavar="N", help="Of history the newest N commits. [default: all]"
)
@click.option("--since", metavar="DATE", help="Of history the commits of this day or later. [default: all]")
@click.option("--name", help="Name in the documents' ids. [default: owner/name on GitHub, else the folder's]")
@click.option("--include", multiple=True, metavar="GLOB", help="Only these files, as in .gitignore; repeatable.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="Not these files, as in .gitignore; repeatable.")
@click.option(
    "--keep",
    multiple=True,
    type=click.Choice(["vendored", "lock file", "licence", "generated", "minified", "data file"]),
    metavar="REASON",
    help="Do not leave files out for this reason of the table; repeatable.",
)
@options.row_length
@options.secrets("rows that have some")
@click.option(
    "--max-file-size", callback=size, metavar="SIZE", default="1M", show_default=True, help="Leave larger files out."
)
@options.force
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object, every name in it.")
def command(out: Path, as_json: bool, **flags: Any) -> None:
    from localft.cli.progress_line import progress_line
    from localft.curation.repository.build import Request, build
    from localft.curation.repository.report import as_json as json_pieces
    from localft.screen.border import put

    request = Request(**flags)
    with progress_line(pause=0.1) as line:

        def report(what: str, done: int, total: int) -> None:
            of = f" of {total:,}" if total else ""
            line(f"{what}: {done:,}{of}" if done else what, done, total)

        result = build(request, out, report)
    if as_json:
        for piece in json_pieces(result, request, out):
            put(piece, end="")
    else:
        show(result, request, out)


def show(result: Result, request: Request, out: Path) -> None:
    """The table on stderr."""
    from shutil import get_terminal_size

    from localft.cli.output import echo_labelled
    from localft.curation.repository.report import lines, skipped
    from localft.screen.border import say
    from localft.visible import Styled, visible

    rows = list(skipped(result))
    if rows:
        width = max(len(reason) for reason, _, _ in rows)
        room = max(get_terminal_size((160, 24)).columns - width - 13, 20)
        say(Styled(f"left out ({result.ledger.counts.total():,})", bold=True))
        for reason, n, names in rows:
            names = visible(names)
            names = names if len(names) <= room else f"{names[: room - 1]}…"
            say(f"  {reason.ljust(width)}  {n.rjust(7)}  ", Styled(names, dim=True))
        say()
    echo_labelled(lines(result, request, out), ("note", *(["secrets"] if request.secrets == "keep" else [])))
