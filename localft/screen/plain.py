"""Showing a run without drawing: lines of JSON, or plain lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from typing import Any, Protocol, TypeVar

from localft.events import (
    Answers,
    DataReady,
    Interrupted,
    Notice,
    Progress,
    RunEnd,
    RunStart,
    Step,
    TrainEvent,
    Validation,
    json_line,
)
from localft.screen import run_report
from localft.screen.border import put, say
from localft.screen.metrics_table import BEST, COLUMNS, MetricsTable, aligned
from localft.visible import readable, spoken, visible

E = TypeVar("E", bound=TrainEvent)


class Screen(Protocol):
    """Shows a run while it happens."""

    def show(self, event: TrainEvent) -> None: ...

    def report(self, stage: str, done: int, total: int) -> None: ...

    def close(self) -> None: ...


class JsonScreen:
    """One line of JSON per event, on stdout."""

    def show(self, event: TrainEvent) -> None:
        if not isinstance(event, Progress):
            put(json_line(event))

    def report(self, stage: str, done: int, total: int) -> None:
        pass

    def close(self) -> None:
        pass


class PlainScreen:
    """Lines without colour or movement on stderr, for logs and pipes."""

    def __init__(self) -> None:
        self.reporter = MetricsTable()
        self.stage = ""

    def show(self, event: TrainEvent) -> None:
        event = cleaned(event)
        if isinstance(event, Notice):
            self.line(f"{'warning' if event.level == 'warning' else 'note'}: {event.message}")
        elif isinstance(event, DataReady):
            self.data(event)
        elif isinstance(event, RunStart):
            self.start(event)
        elif isinstance(event, (Step, Validation)):
            for row in self.reporter.rows(event):
                self.line(aligned(row.cells()) + (BEST if row.best else ""))
        elif isinstance(event, Answers):
            self.answers(event)
        elif isinstance(event, RunEnd):
            self.line("")
            self.labelled(run_report.end_lines(event))
        elif isinstance(event, Interrupted):
            self.flush()
            self.line(run_report.interrupted_text(event))

    def data(self, event: DataReady) -> None:
        for row in run_report.data_counts(event.summary):
            self.line(row[0].ljust(12) + "".join(cell.rjust(12) for cell in row[1:]))
        self.labelled(run_report.data_lines(event.n_ctx, event.n_ctx_reason, event.summary))
        self.line("")

    def start(self, event: RunStart) -> None:
        self.reporter.start(event)
        if event.run:
            self.line(f"run         {event.run}")
        self.labelled(run_report.fact_lines(event))
        for name, value, source in run_report.shown_settings(event):
            self.line(f"  {name} = {value} ({source})")
        if event.run:
            self.line("")
            self.line(aligned(COLUMNS))

    def answers(self, event: Answers) -> None:
        self.line("")
        pairs = (("prompt", event.prompt), ("expected", event.expected), ("base", event.base), ("adapter", event.tuned))
        self.labelled((label, " ".join(words.split())) for label, words in pairs)

    def labelled(self, lines: Iterable[tuple[str, str]]) -> None:
        for label, words in lines:
            self.line(f"{label:<12}{words}")

    def flush(self) -> None:
        for row in self.reporter.flush():
            self.line(aligned(row.cells()))

    def line(self, words: str) -> None:
        say(words, clean=readable)

    def report(self, stage: str, done: int, total: int) -> None:
        if stage != self.stage:
            self.stage = stage
            self.line(f"{visible(stage)} …")

    def close(self) -> None:
        self.flush()


def cleaned(event: E) -> E:
    """An event of which every text may be shown: a conversation's as `spoken`, any other as `visible`."""
    clean = spoken if isinstance(event, Answers) else visible
    texts = {each.name: getattr(event, each.name) for each in fields(event)}
    return replace(event, **{name: _cleaned(value, clean) for name, value in texts.items()})


def _cleaned(value: Any, clean: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {_cleaned(key, clean): _cleaned(each, clean) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_cleaned(each, clean) for each in value]
    return clean(value) if isinstance(value, str) else value
