"""`localft finetune`: train a LoRA adapter on a base model."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from signal import SIGHUP
from typing import TYPE_CHECKING, Any

import click

from localft.cli.command import Command
from localft.cli.parameters import UserPath, complete_run
from localft.cli.setting_options import NEWEST, GroupedOption, setting_options
from localft.cli.stop_signals import StopSignals
from localft.screen.border import say
from localft.settings.old_finetune_flags import is_old_form, translate
from localft.settings.train_config import MACHINE, MODEL, RUN, TRAIN

if TYPE_CHECKING:
    from localft.events import TrainEvent
    from localft.screen.plain import Screen


class FinetuneCommand(Command):
    """Understands the old program's command line too, and sorts its help page."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, translate(args) if is_old_form(args) else args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record:
                groups.setdefault(getattr(param, "group", "Other"), []).append(record)
        for name in sorted(groups, key=list(groups).index):
            with formatter.section(name):
                formatter.write_dl(groups[name])


def own_options() -> Iterator[click.Option]:
    """Options that are no settings: they say what to do, not how to train."""
    path = UserPath(dir_okay=False)
    yield GroupedOption(["--config"], type=path, metavar="FILE", help="TOML file of settings; flags go before it.")
    yield GroupedOption(
        ["--resume"],
        is_flag=False,
        flag_value=NEWEST,
        metavar="[RUN]",
        shell_complete=complete_run,
        help="Go on with a run: its folder or a checkpoint; without a value the newest that is not at its end.",
    )
    yield GroupedOption(["--dry-run"], is_flag=True, help="Show the resolved run and its data, then stop.")
    yield GroupedOption(["--json"], is_flag=True, help="Print events as lines of JSON on stdout.")


EXAMPLES = """Fine-tune a model with LoRA on your data.

The result is a run: a folder with the adapter, its settings and its metrics. Values come from flags, then from
--config, then from the model's card, then from the defaults; the run's header says which.

\b
Examples:
  localft finetune --model demo --data my.jsonl
  localft finetune --model tinymistral --data my.jsonl --val-data held-out.jsonl --epochs 2
  localft finetune --model demo --data faq.csv --prompt-column question --answer-column reply
  localft finetune --model demo --data pairs.jsonl:2 --data pages.jsonl --replay wiki.txt:20%
  localft finetune --model ./my-model.gguf --data book.txt --ctx 512 --max-steps 200
  localft finetune --config run.toml --lr 1e-4 --dry-run
  localft finetune --resume

Rows are JSON lines such as {"prompt": "…", "completion": "…"}, {"messages": […]}, {"instruction": "…",
"output": "…"} or {"text": "…"}, or plain text. The command line of llama.cpp's old finetune program (--model-base,
--train-data, …) is understood too.
"""


def run_command(config: Path | None, resume: str | None, dry_run: bool, json: bool, **flags: Any) -> None:
    """What `localft finetune` does: open the run, show its events, save on Ctrl-C, SIGTERM and SIGHUP."""
    from localft.screen.terminal import open_screen
    from localft.training.finetune import finetune

    given = {name: value for name, value in flags.items() if value is not None and value != ()}
    screen = open_screen(json)
    where: bool | str | None = True if resume == NEWEST else resume
    events = finetune(config=config, resume=where, dry_run=dry_run, report=screen.report, **given)
    with StopSignals() as signals:
        try:
            _show(events, screen, signals)
        finally:
            # a terminal that hung up takes no more words
            with suppress(OSError) if signals.came == SIGHUP else nullcontext():
                screen.close()


def _show(events: Iterator[TrainEvent], screen: Screen, signals: StopSignals) -> None:
    from localft.events import RunStart

    folder = ""
    try:
        for event in events:
            folder = event.run if isinstance(event, RunStart) else folder
            signals.once = bool(folder)
            screen.show(event)
    except KeyboardInterrupt:
        with suppress(OSError) if signals.came == SIGHUP else nullcontext():
            if folder:
                _interrupted(events, screen, Path(folder))
            else:
                say("interrupted")
        sys.exit(signals.exit_status)


def _interrupted(events: Iterator[TrainEvent], screen: Screen, folder: Path) -> None:
    """Let the loop save its checkpoint, wherever it was, and say how to go on."""
    from localft.events import Interrupted
    from localft.run.checkpoint import read_checkpoint
    from localft.run.folder import Run, resume_command

    events.close()  # type: ignore[attr-defined]
    run = Run(folder)
    if run.checkpoint.is_file():
        found = read_checkpoint(run.checkpoint)
        left = found.cursor.step < found.record.resolved.total_steps
        screen.show(Interrupted(found.cursor.step, str(run.checkpoint), resume_command(folder) if left else ""))


def _ordered(options: Sequence[click.Option]) -> list[click.Parameter]:
    order = [MODEL, TRAIN, "Adapter", "Validation", MACHINE, RUN]
    return sorted(options, key=lambda option: order.index(option.group) if option.group in order else len(order))  # type: ignore[attr-defined]


command = FinetuneCommand(
    "finetune",
    callback=run_command,
    params=_ordered([*setting_options(), *own_options()]),
    help=EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
