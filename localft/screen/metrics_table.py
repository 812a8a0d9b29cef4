"""The table of a run's numbers: which rows are due, what they say, how they line up. No drawing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from localft.events import RunStart, Step, TrainEvent, Validation
from localft.units import duration, rate, size

ROWS_PER_RUN = 30
COLUMNS = ("step", "loss", "val loss", "lr", "grad norm", "tok/s", "ETA", "memory")
WIDTHS = (7, 8, 9, 9, 10, 8, 9, 11)
BEST = "  best"  # behind the row of the lowest validation loss so far
# Columns after step and losses, those first that a narrow terminal keeps.
_RANKED = ("ETA", "tok/s", "memory", "lr", "grad norm")


@dataclass(frozen=True)
class MetricsRow:
    """One printed line of numbers. `loss` and `tok_per_sec` are means over all steps since the line before."""

    step: int
    loss: float | None = None
    val_loss: float | None = None
    lr: float | None = None
    grad_norm: float | None = None
    tok_per_sec: float | None = None
    eta: float | None = None
    memory: int | None = None
    best: bool = False

    def cells(self) -> tuple[str, ...]:
        """Text of each column, "" where there is nothing to say."""

        def put(form: str, value: float | None) -> str:
            return "" if value is None else form.format(value)

        return (
            str(self.step),
            put("{:.4f}", self.loss),
            put("{:.4f}", self.val_loss),
            put("{:.2e}", self.lr),
            put("{:.4g}", self.grad_norm),
            "" if self.tok_per_sec is None else rate(self.tok_per_sec),
            "" if self.eta is None else duration(self.eta),
            "" if self.memory is None else size(self.memory),
        )


def fitting(width: int) -> tuple[int, ...]:
    """Which of `COLUMNS` a terminal of so many cells has room for in one line, by their numbers."""
    shown = {0, 1, 2}
    for name in _RANKED:
        at = COLUMNS.index(name)
        if sum(WIDTHS[i] for i in {*shown, at}) + len(BEST) < width:
            shown.add(at)
    return tuple(sorted(shown))


def aligned(cells: Sequence[str], shown: Sequence[int] = range(len(COLUMNS))) -> str:
    """Cells right-aligned under `COLUMNS`, or under those that are shown."""
    return "".join(cells[i].rjust(WIDTHS[i]) for i in shown)


@dataclass
class MetricsTable:
    """Turns events into rows: the first step's, then one every so many steps, at each validation, and the last.

    Attributes:
        every: steps between rows; None = about thirty rows in the whole run.
    """

    every: int | None = field(default=None, init=False)
    total_steps: int = 0
    val_every: int = 0
    held: MetricsRow | None = None
    first_step: int = -1
    step_seconds: list[float] = field(default_factory=list)
    val_seconds: list[float] = field(default_factory=list)
    since: list[Step] = field(default_factory=list)

    def start(self, event: RunStart) -> None:
        """Take over the run's length."""
        self.total_steps, self.val_every = event.total_steps, event.facts.get("val_every", 0)
        self.first_step = event.step + 1
        self.every = event.settings.get("report_every", {}).get("value")
        self.every = self.every or max(1, -(-event.total_steps // ROWS_PER_RUN))

    def rows(self, event: TrainEvent) -> Iterator[MetricsRow]:
        """The rows that are due with this event; a step that is validated shares its row with the validation."""
        if isinstance(event, Step):
            yield from self.flush()
            self.since.append(event)
            self.step_seconds.append(event.elapsed_s)
            if self._due(event.step):
                self.held = self._step_row(event)
                if not self._validates(event.step):
                    yield from self.flush()
        elif isinstance(event, Validation):
            self.val_seconds.append(event.elapsed_s)
            yield self._validation_row(event)

    def flush(self) -> Iterator[MetricsRow]:
        """The row that still waits for its validation, if any."""
        row, self.held = self.held, None
        if row:
            yield row

    def eta(self, step: int) -> float:
        """Seconds left after `step`: steps and validations at their mean duration so far."""
        left = self.total_steps - step
        seconds = left * _mean(self.step_seconds)
        if self.val_every:
            ahead = {*range(self.val_every, self.total_steps, self.val_every), self.total_steps}
            seconds += sum(at > step for at in ahead) * _mean(self.val_seconds)
        return seconds

    def _due(self, step: int) -> bool:
        return step in (self.first_step, self.total_steps) or step % (self.every or 1) == 0 or self._validates(step)

    def _validates(self, step: int) -> bool:
        return bool(self.val_every) and (step % self.val_every == 0 or step == self.total_steps)

    def _step_row(self, event: Step) -> MetricsRow:
        n_supervised = sum(each.n_supervised for each in self.since)
        loss = math.fsum((each.loss or 0.0) * each.n_supervised for each in self.since) / max(1, n_supervised)
        seconds = sum(each.elapsed_s for each in self.since)
        n_tok = sum(each.n_tok for each in self.since)
        self.since = []
        return MetricsRow(
            step=event.step,
            loss=loss,
            lr=event.lr,
            grad_norm=event.grad_norm,
            tok_per_sec=n_tok / max(seconds, 1e-9),
            eta=self.eta(event.step),
            memory=_memory(event),
        )

    def _validation_row(self, event: Validation) -> MetricsRow:
        held, self.held = self.held, None
        row = held or MetricsRow(event.step, memory=_memory(event))
        values = {**row.__dict__, "val_loss": event.val_loss, "best": event.best}
        if held:
            values["eta"] = self.eta(event.step)
        return MetricsRow(**values)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _memory(event: Step | Validation) -> int:
    return event.peak_mem_bytes + sum(event.device_mem_bytes.values())
