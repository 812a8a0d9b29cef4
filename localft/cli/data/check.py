"""`localft data check`: everything that is wrong with data, and what it will cost, before a run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from localft.cli.command import Command
from localft.cli.data.piped import Named, piped
from localft.cli.parameters import UserPath, complete_path
from localft.cli.setting_options import setting_options
from localft.errors import ConfigError

if TYPE_CHECKING:
    from localft.inspect.check.check import CheckReport

HELP = """Look through data before a run: every problem with its file and line, tokens, lengths, time, leakage.

DATA is what `localft finetune --data` takes, one or several, or - for what is piped to it; the other options are those
of `localft finetune` too, and rows are chosen, cut and counted by the same code. With --model rows are counted in its
tokens; a model that is not on this machine is not downloaded. The exit status is 1 if there is something that `localft
finetune` would refuse, and 0 where there are only warnings.

\b
Examples:
  localft data check my.jsonl
  localft data check my.jsonl --model demo
  localft data check examples/parrot --model demo --all
  head -50 my.jsonl | localft data check -
  localft data check pairs.csv:2 notes --prompt-column question --answer-column reply
  localft data check my.jsonl --val-data held-out.jsonl --json > report.json
"""
SETTINGS = (
    *("model", "val_data", "val_split", "val_samples", "no_val", "all_data", "on_leak", "seed"),
    *("prompt_column", "answer_column", "sample_start", "template", "raw", "train_on_prompt"),
    *("ctx", "overlength", "packing", "batch_size", "allow_expansion"),
)
_TONES = {"error": "red", "warning": "yellow"}


def run_command(data: tuple[str, ...], config: Path | None, everything: bool, as_json: bool, **flags: Any) -> None:
    from localft.cli.progress_line import progress_line
    from localft.inspect.check.check import check
    from localft.model.source import card_defaults
    from localft.screen.border import put
    from localft.settings.resolve import resolve

    given = {name: value for name, value in flags.items() if value is not None}
    with piped(data) as (paths, named):
        resolved = resolve({**given, **({"data": paths} if data else {})}, config, card_defaults)
        if not resolved.data:
            raise ConfigError("there is no data to look at", "name files or folders: `localft data check my.jsonl`")
        with progress_line() as report:
            found = check(resolved, report)
    if as_json:
        import json

        put(named(json.dumps(found.to_dict())))  # names of files may hold bytes that UTF-8 has not
    else:
        _print(found, everything, named)
    sys.exit(1 if found.errors else 0)


def _print(found: CheckReport, everything: bool, named: Named) -> None:
    from localft.inspect.check.report import sections, verdict, wrapped
    from localft.screen.border import columns, say
    from localft.visible import Styled, visible

    width = columns(out=True)
    for section in sections(found, everything):
        say(Styled(section.title, _TONES.get(section.tone), bold=True), out=True)
        lines = (visible(named(line)) for line in section.lines)
        say("".join(f"{wrapped(line, width) if width else line}\n" for line in lines), out=True)
    say(Styled(named(verdict(found)), "red" if found.errors else None), out=True)


command = Command(
    "check",
    callback=run_command,
    params=[
        click.Argument(["data"], nargs=-1, shell_complete=complete_path),
        *setting_options(SETTINGS),
        click.Option(
            ["--config"],
            type=UserPath(dir_okay=False),
            metavar="FILE",
            help="TOML file of a run's settings.",
        ),
        click.Option(["--all", "everything"], is_flag=True, help="List every problem, not the first ten."),
        click.Option(["--json", "as_json"], is_flag=True, help="Print the whole report as one JSON object."),
    ],
    help=HELP,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
