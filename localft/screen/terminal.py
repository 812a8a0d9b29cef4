"""Everything that rich draws. Goes to stderr; stdout stays free for data."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.box import ROUNDED, SIMPLE
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column, Table
from rich.text import Text

from localft.events import (
    Answers,
    DataReady,
    Interrupted,
    Notice,
    RunEnd,
    RunStart,
    Step,
    TrainEvent,
    Validation,
)
from localft.events import Progress as ProgressEvent
from localft.run.folder import ROOT
from localft.screen import run_report
from localft.screen.border import canvas
from localft.screen.metrics_table import BEST, COLUMNS, WIDTHS, MetricsRow, MetricsTable, aligned, fitting
from localft.screen.plain import JsonScreen, PlainScreen, Screen, cleaned
from localft.units import duration
from localft.visible import visible

MAX_WIDTH = 110
MAX_VALUE = 24
SOURCE_STYLES = {
    "flag": "cyan",
    "config file": "cyan",
    "model card": "magenta",
    "adapter": "magenta",
    "data": "blue",
    "hardware": "blue",
    "default": "dim",
}


def open_screen(as_json: bool) -> Screen:
    """Event lines on stdout, or a drawing on a terminal, or plain lines elsewhere."""
    if as_json:
        return JsonScreen()
    console = Console(file=canvas(), highlight=False, markup=False, emoji=False)
    if console.is_terminal and not console.is_dumb_terminal:
        return TerminalScreen(console)
    return PlainScreen()


class TerminalScreen:
    """Panels, a row per report, and a bar at the bottom."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.width = min(console.width, MAX_WIDTH)
        self.columns = fitting(console.width)
        self.reporter = MetricsTable()
        self.bar: Progress | None = None
        self.task = TaskID(0)
        self.training = False
        self.answered = False

    def show(self, event: TrainEvent) -> None:
        event = cleaned(event)
        if isinstance(event, ProgressEvent):
            self.progress(event)
        elif isinstance(event, (Step, Validation)):
            self.metrics(event)
        elif isinstance(event, Notice):
            self.notice(event)
        elif isinstance(event, DataReady):
            self.stop_bar()
            self.console.print(data_panel(event, self.width))
        elif isinstance(event, RunStart):
            self.start(event)
        elif isinstance(event, Answers):
            self.answers(event)
        elif isinstance(event, RunEnd):
            self.stop_bar()
            self.console.print(end_panel(event, self.width))
        elif isinstance(event, Interrupted):
            self.close()
            self.console.print(Text("\n" + run_report.interrupted_text(event)))

    def notice(self, event: Notice) -> None:
        style, word = ("yellow", "warning") if event.level == "warning" else ("cyan", "note")
        self.console.print(Text.assemble((f"{word}: ", style), event.message))

    def start(self, event: RunStart) -> None:
        self.stop_bar()
        self.reporter.start(event)
        self.console.print(start_panel(event, self.width))
        if not event.run:
            return
        self.console.print(Text(aligned(COLUMNS, self.columns), style="dim"))
        self.training = True
        self.bar = _bar(self.console, TextColumn("{task.fields[note]}", style="dim", markup=False))
        self.task = self.bar.add_task("starting", total=event.total_steps, completed=event.step, note="")
        self.bar.start()

    def metrics(self, event: Step | Validation) -> None:
        for row in self.reporter.rows(event):
            self.console.print(row_text(row, self.columns))
        if self.bar and isinstance(event, Step):
            left = duration(self.reporter.eta(event.step))
            note = f"step {event.step:,} of {self.reporter.total_steps:,} · {left} left"
            self.bar.update(self.task, completed=event.step, note=note)

    def progress(self, event: ProgressEvent) -> None:
        if self.bar and self.training:
            words = "validating" if event.stage == "validation" else "training"
            part = f" {event.done}/{event.total}" if event.total > 1 else ""
            self.bar.update(self.task, description=words + part)

    def answers(self, event: Answers) -> None:
        self.stop_bar()
        if not self.answered:
            self.console.print(Text("\nValidation prompts, answered greedily\n", style="bold"))
            self.answered = True
        self.console.print(answers_table(event, self.width))
        self.console.print()

    def report(self, stage: str, done: int, total: int) -> None:
        stage = visible(stage)
        if self.training:
            self.stop_bar()
        if self.bar is None:
            self.bar = _bar(self.console, TextColumn("{task.percentage:>3.0f} %", style="dim", markup=False))
            self.task = self.bar.add_task(stage, total=None)
            self.bar.start()
        self.bar.update(self.task, description=stage, completed=done, total=total or None)

    def stop_bar(self) -> None:
        if self.bar:
            self.bar.stop()
        self.bar, self.training = None, False

    def close(self) -> None:
        self.stop_bar()
        for row in self.reporter.flush():
            self.console.print(row_text(row, self.columns))


def _bar(console: Console, last: TextColumn) -> Progress:
    # room is left at the right edge: where Ctrl-C's echo wraps, the bar can no longer be taken away
    one_line = Column(no_wrap=True, overflow="ellipsis")
    # a file's name may look like markup
    stage = TextColumn("  {task.description:<18}", markup=False, table_column=one_line)
    columns = (stage, BarColumn(bar_width=max(8, min(36, console.width - 66))), last)
    return Progress(*columns, console=console, transient=True, refresh_per_second=8)


def row_text(row: MetricsRow, shown: Sequence[int] = range(len(COLUMNS))) -> Text:
    """One report as a line; the losses stand out, an improvement is green and says so."""
    line, cells = Text(), row.cells()
    for i in shown:
        name = COLUMNS[i]
        style = {"loss": "bold", "val loss": "bold green" if row.best else "bold"}.get(name, "")
        line.append(cells[i].rjust(WIDTHS[i]), style=style or ("dim" if name in ("ETA", "memory") else ""))
    return line.append(BEST if row.best else "", style="green")


def labelled(lines: Iterable[tuple[str, str]]) -> Table:
    """Labels on the left, texts on the right, without lines between."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True, min_width=9)
    grid.add_column(overflow="fold")
    for label, words in lines:
        grid.add_row(label, Text(words))
    return grid


def panel(title: str, parts: Sequence[RenderableType], width: int, right: str = "") -> Panel:
    """A quiet frame."""
    return Panel(
        Group(*parts),
        box=ROUNDED,
        border_style="dim",
        title=Text(f" {title} ", style="bold"),
        title_align="left",
        subtitle=Text(f" {right} ", style="dim") if right else None,
        subtitle_align="right",
        width=width,
        padding=(1, 2),
    )


def data_panel(event: DataReady, width: int) -> Panel:
    """Counts of the rows, and what was done to them."""
    header, *rows = run_report.data_counts(event.summary)
    table = Table.grid(padding=(0, 3))
    table.add_column(style="dim", min_width=9)
    for _ in header[1:]:
        table.add_column(justify="right", min_width=8)
    table.add_row(*(Text(cell, style="dim") for cell in header))
    for row in rows:
        table.add_row(*row)
    lines = run_report.data_lines(event.n_ctx, event.n_ctx_reason, event.summary)
    return panel("Data", [table, Text(), labelled(lines)], width)


def start_panel(event: RunStart, width: int) -> Panel:
    """What was decided and why, then every setting with its source."""
    title = "localft finetune" if event.run else "localft finetune (dry run)"
    settings = run_report.shown_settings(event)
    return panel(
        title, [labelled(run_report.fact_lines(event)), Text(), settings_table(settings, width)], width, event.run
    )


def settings_table(settings: Sequence[tuple[str, str, str]], width: int) -> Table:
    """Name, value and source; in two columns where they fit."""
    n_columns = 2 if width >= 90 else 1
    room = MAX_VALUE if n_columns == 2 else max(8, min(MAX_VALUE, width - 37))
    grid = Table.grid(padding=(0, 2))
    for _ in range(n_columns):
        grid.add_column(style="dim", no_wrap=True)
        grid.add_column(no_wrap=True)
        grid.add_column(no_wrap=True, min_width=11)
    n_rows = -(-len(settings) // n_columns)
    for i in range(n_rows):
        cells: list[Any] = []
        for name, value, source in settings[i::n_rows]:
            shown = value if len(value) <= room else "…" + value[1 - room :]
            cells += [name, Text(shown), Text(source, style=SOURCE_STYLES[source])]
        grid.add_row(*cells)
    return grid


def answers_table(event: Answers, width: int) -> Group:
    """One prompt with both answers side by side, and the answer in the data below."""
    table = Table(
        box=SIMPLE,
        width=width,
        padding=(0, 1),
    )
    table.add_column("base", ratio=1, overflow="fold", header_style="dim")
    table.add_column("with the adapter", ratio=1, overflow="fold", header_style="dim")
    table.add_row(Text(event.base.strip() or "(nothing)"), Text(event.tuned.strip() or "(nothing)", style="bold"))
    parts: list[RenderableType] = [Padding(Text(event.prompt.strip(), style="cyan"), (0, 2)), table]
    if event.expected:
        parts.append(Padding(Text(f"in the data: {event.expected.strip()}", style="dim"), (0, 2)))
    return Group(*parts)


def end_panel(event: RunEnd, width: int) -> Panel:
    """What came of it, and what to do next."""
    chat = chat_command(event.run)
    next_lines = Text.assemble(("talk to it:  ", "dim"), (chat, "bold"))
    return panel("Done", [labelled(run_report.end_lines(event)), Text(), next_lines], width, event.run)


def chat_command(run: str) -> str:
    """The command that chats with a run; the newest needs no name."""
    return "localft chat --lora" if Path(run).parent == ROOT else f"localft chat --lora {shlex.quote(run)}"
