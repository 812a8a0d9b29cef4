"""`localft data check`: everything that is wrong with data, and what it will cost, before a run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

HELP = """Look through data before a run: every problem with its file and line, tokens, lengths, time, leakage.

DATA is one or more files, or a folder with train and valid files, as for `localft finetune --data`. With --model rows
are counted in its tokens; a model that is not on this machine is not downloaded. The exit status is 1 if there is
something that `localft finetune` would refuse, and 0 where there are only warnings.

\b
Examples:
  localft data check my.jsonl
  localft data check my.jsonl --model demo
  localft data check examples/parrot --model demo --all
  localft data check my.jsonl --val-data held-out.jsonl --json > report.json
"""
_TONES = {"error": "red", "warning": "yellow"}


@click.command("check", help=HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.argument("data", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--model", metavar="MODEL", help="A card's name, a repo id, a folder, or a .gguf file.")
@click.option("--val-data", type=click.Path(path_type=Path), metavar="FILE", help="A file of validation rows.")
@click.option("--ctx", type=click.IntRange(2), metavar="N", help="Tokens per row. [default: 99th percentile]")
@click.option(
    "--overlength",
    type=click.Choice(["drop", "truncate", "refuse"]),
    default="drop",
    show_default=True,
    help="What a run does with answer rows that are longer.",
)
@click.option("--train-on-prompt", is_flag=True, help="Learn from prompts too, not from answers alone.")
@click.option("--sample-start", metavar="TEXT", help="Split a .txt file into rows where this text begins.")
@click.option("--template", metavar="NAME", help="Format of the rows, in place of the model's own.")
@click.option("--raw", is_flag=True, help="Use rows as plain text, without any template.")
@click.option("--all", "everything", is_flag=True, help="List every problem, not the first ten.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole report as one JSON object.")
def command(data: tuple[Path, ...], everything: bool, as_json: bool, **flags: Any) -> None:
    from localft.cli.convert import Bar
    from localft.data.check.checking import CheckSettings, check

    shown = Bar()
    try:
        found = check(data, CheckSettings(**flags), shown.update)
    finally:
        shown.close()
    if as_json:
        import json

        click.echo(json.dumps(found.to_dict(), ensure_ascii=False))
    else:
        from localft.data.check.words import sections, verdict
        from localft.data.visible import visible

        for section in sections(found, everything):
            click.echo(click.style(section.title, bold=True, fg=_TONES.get(section.tone)))
            click.echo("".join(f"{visible(line)}\n" for line in section.lines))
        click.echo(click.style(verdict(found), fg="red" if found.errors else None))
    sys.exit(1 if found.errors else 0)
