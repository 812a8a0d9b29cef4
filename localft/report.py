"""What the screen says about a run, as plain text: units, aligned rows, the time left. No drawing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from localft.config import SETTINGS
from localft.data.summary import count
from localft.evaluate import perplexity
from localft.events import Estimate, Interrupted, RunEnd, RunStart, Step, TrainEvent, Validation

ROWS_PER_RUN = 30
COLUMNS = ("step", "loss", "val loss", "lr", "grad norm", "tok/s", "ETA", "memory")
WIDTHS = (7, 9, 10, 10, 11, 9, 9, 11)


def duration(seconds: float) -> str:
    """Wall time as 0:42, 12:03 or 3:07:00."""
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def about(seconds: float) -> str:
    """A time that is only known roughly: 4.6 s, 42 s, then as `duration`."""
    if seconds >= 59.5:
        return duration(seconds)
    return f"{seconds:.0f} s" if seconds >= 9.95 else f"{seconds:.1f} s"


def size(n_bytes: float) -> str:
    """Bytes in MiB below one GiB, in GiB from there on."""
    return f"{n_bytes / 2**30:.2f} GiB" if n_bytes >= 2**30 else f"{n_bytes / 2**20:.0f} MiB"


def rate(tok_per_sec: float) -> str:
    """Tokens per second with as many digits as mean something."""
    return f"{tok_per_sec:,.0f}" if tok_per_sec >= 100 else f"{tok_per_sec:.3g}"


@dataclass(frozen=True)
class ReportRow:
    """One printed line of numbers. `loss` and `tok_per_sec` are means over all steps since the line before."""

    step: int
    total_steps: int
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


def aligned(cells: Sequence[str]) -> str:
    """Cells right-aligned under `COLUMNS`."""
    return "".join(cell.rjust(width) for cell, width in zip(cells, WIDTHS, strict=True))


@dataclass
class Reporter:
    """Turns events into rows: the first step's, then one every so many steps, at each validation, and the last.

    Attributes:
        every: steps between rows; None = about thirty rows in the whole run.
    """

    every: int | None = field(default=None, init=False)
    total_steps: int = 0
    val_every: int = 0
    held: ReportRow | None = None
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

    def rows(self, event: TrainEvent) -> Iterator[ReportRow]:
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

    def flush(self) -> Iterator[ReportRow]:
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

    def _step_row(self, event: Step) -> ReportRow:
        n_supervised = sum(each.n_supervised for each in self.since)
        loss = math.fsum((each.loss or 0.0) * each.n_supervised for each in self.since) / max(1, n_supervised)
        seconds = sum(each.elapsed_s for each in self.since)
        n_tok = sum(each.n_tok for each in self.since)
        self.since = []
        return ReportRow(
            step=event.step,
            total_steps=self.total_steps,
            loss=loss,
            lr=event.lr,
            grad_norm=event.grad_norm,
            tok_per_sec=n_tok / max(seconds, 1e-9),
            eta=self.eta(event.step),
            memory=_memory(event),
        )

    def _validation_row(self, event: Validation) -> ReportRow:
        held, self.held = self.held, None
        row = held or ReportRow(event.step, self.total_steps, memory=_memory(event))
        values = {**row.__dict__, "val_loss": event.val_loss, "best": event.best}
        if held:
            values["eta"] = self.eta(event.step)
        return ReportRow(**values)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _memory(event: Step | Validation) -> int:
    return event.peak_mem_bytes + sum(event.device_mem_bytes.values())


def shown_settings(event: RunStart) -> list[tuple[str, str, str]]:
    """(name, value, source) of every setting that says something; those left unset are derived, and said elsewhere."""
    unused = event.facts.get("unused", ())
    shown = []
    for name, entry in event.settings.items():
        value, source = entry["value"], entry["source"]
        hidden = SETTINGS[name].metadata["setting"].hidden
        if (value is None or value is False or hidden) and source == "default":
            continue
        if source in ("default", "model card") and name in unused:
            continue
        shown.append((name, setting_text(name, value), source))
    return shown


def setting_text(name: str, value: Any) -> str:
    """A setting's value in a few characters."""
    if name == "memory" and isinstance(value, int):
        return size(value)
    if name == "warmup" and value < 1:
        return f"{value * 100:g} %"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return " ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def fact_lines(event: RunStart) -> list[tuple[str, str]]:
    """Label and text of the header's first lines: what was decided, and why."""
    facts, settings = event.facts, event.settings
    reason = {name: f" ({entry['reason']})" if "reason" in entry else "" for name, entry in settings.items()}
    value = {name: entry["value"] for name, entry in settings.items()}
    steps = f"{count(event.total_steps, 'step')}, {event.steps_per_epoch:,} per epoch"
    validation = f"validation every {facts['val_every']:,}" if facts["val_every"] else "no validation"
    lines = [
        ("base", " · ".join(filter(None, (facts["base_name"], facts["architecture"], facts["type"], facts["base"])))),
        ("adapter", f"rank {value['lora_rank']}, alpha {value['lora_alpha']:g} on {count(facts['n_target'], 'tensor')}"
                    f" · {facts['n_trainable']:,} parameters"),
        ("length", f"{steps} · warm-up {facts['warmup_steps']:,} · {validation}"),
        ("device", f"{facts['device']}{reason['device']} · {count(facts['n_threads'], 'thread')}{reason['threads']}"
                   f" · kernels {facts['kernels']}, {facts['arithmetic']}"),
        ("memory", f"up to {size(value['memory'])}{reason['memory']}{_recompute(facts)}"),
    ]  # fmt: skip
    if event.step:
        lines.append(("resumed", f"after step {event.step:,}"))
    if event.estimate:
        lines.append(("estimate", _estimate(event, event.estimate)))
    return lines


def _estimate(event: RunStart, estimate: Estimate) -> str:
    n_left = event.total_steps - event.step
    whole = f"{about(estimate.seconds)} {'for what is left' if event.step else 'in all'}"
    epoch = f"{about(estimate.epoch_seconds)} per epoch, " if n_left > event.steps_per_epoch else ""
    validation = " with validation" if event.facts["val_every"] else ""
    return f"about {epoch}{whole}{validation} · peak memory about {size(estimate.peak_mem_bytes)}"


def _recompute(facts: Mapping[str, Any]) -> str:
    n_recompute = facts["n_recompute"]
    how = f"{count(n_recompute, 'layer')} recomputed" if n_recompute else "all kept"
    return f" · {size(facts['memory_estimate'])} for activations, {how}"


def data_lines(n_ctx: int, n_ctx_reason: str, summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Label and text of what stands around the table of counts."""
    formats = ", ".join(count(n, "row") + f" of {name}" for name, n in summary["formats"].items())
    longest = (
        f"mean {summary['mean_length']:,.0f} · 99 % ≤ {summary['p99_length']:,} · longest {summary['longest']:,} tokens"
    )
    lines = [
        ("files", ", ".join(summary["files"])),
        ("format", f"{formats} · {summary['template']}" if summary["template"] else formats),
        ("lengths", longest),
        ("n_ctx", f"{n_ctx:,}: {n_ctx_reason}"),
    ]
    if summary["val_reason"]:
        lines.append(("split", summary["val_reason"]))
    if summary["epoch"]:
        lines.append(("epoch", summary["epoch"]))
    if summary["n_cut"]:
        text = f"{count(summary['n_cut'], 'long text')} into {summary['n_windows']:,} windows, nothing lost"
        lines.append(("cut", text))
    if summary["n_truncated"]:
        lines.append(
            ("truncated", f"{count(summary['n_truncated'], 'row')}, by {summary['n_truncated_tokens']:,} tokens in all")
        )
    lines += [("dropped", f"{count(n, 'row')}: {reason}") for reason, n in summary["dropped"].items()]
    return lines + [("note", note) for note in summary["notes"]]


def data_counts(summary: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """The table of counts: header, training rows, and validation rows where there are any."""
    table = [("", "rows", "tokens", "supervised")]
    parts = [("train", "n_train", "n_tokens", "n_supervised")]
    if summary["n_replay"]:
        parts.append(("replay", "n_replay", "n_replay_tokens", "n_replay_supervised"))
    if summary["n_val"]:
        parts.append(("validation", "n_val", "n_val_tokens", "n_val_supervised"))
    return table + [(label, *(f"{summary[key]:,}" for key in keys)) for label, *keys in parts]  # type: ignore[misc]


def end_lines(event: RunEnd) -> list[tuple[str, str]]:
    """Label and text of what came of the run."""
    lines = []
    if event.val_loss_before is not None and event.val_loss_after is not None:
        before, after = event.val_loss_before, event.val_loss_after
        text = f"{before:.4f} → {after:.4f} · perplexity {perplexity(before):,.4g} → {perplexity(after):,.4g}"
        lines.append(("val loss", text))
        if after >= before:
            lines.append(
                ("", "the adapter is no better than the base: more data, a lower --lr or fewer --epochs may help")
            )
        elif event.best_step < event.step:
            lines.append(("", f"best at step {event.best_step:,} of {event.step:,}; that adapter is the one to use"))
    speed = f" · {rate(event.n_tok / event.seconds)} tok/s with validation" if event.seconds else ""
    guess = event.estimate
    time = f", estimated {about(guess.seconds)}" if guess else ""
    memory = f", estimated {size(guess.peak_mem_bytes)}" if guess else ""
    lines.append(("time", f"{duration(event.seconds)}{time} · {count(event.n_tok, 'token')} trained on{speed}"))
    lines.append(("memory", f"{size(event.peak_mem_bytes)} at its peak in training{memory}"))
    lines.append(("adapter", event.adapter))
    return lines


def interrupted_text(event: Interrupted) -> str:
    """Where the run stands, and how to go on."""
    if not event.resume:
        return f"stopped; all {event.step:,} steps were done and saved"
    return f"stopped after step {event.step:,}; go on with: {event.resume}"
