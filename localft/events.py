"""What training tells the world: plain records, the same for the screen, `metrics.jsonl` and `--json`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from localft.json_text import to_json


@dataclass(frozen=True)
class TrainEvent:
    """One thing that happened. `to_dict` gives its keys with "event" first, ready for JSON."""

    event: ClassVar[str] = "event"

    def to_dict(self) -> dict[str, Any]:
        return {"event": self.event, **asdict(self)}


@dataclass(frozen=True)
class Notice(TrainEvent):
    """A sentence that the user should read. `level` is "info" or "warning"."""

    event: ClassVar[str] = "notice"
    message: str
    level: str = "info"


@dataclass(frozen=True)
class Progress(TrainEvent):
    """How far something is that takes a while; for the screen only, never stored.

    Attributes:
        stage: what is being done, such as "validation" or "step".
        done, total: in units of the stage; total 0 = unknown.
    """

    event: ClassVar[str] = "progress"
    stage: str
    done: int
    total: int


@dataclass(frozen=True)
class DataReady(TrainEvent):
    """The rows are tokenized: what was found, kept, cut and dropped, and why.

    Attributes:
        summary: `localft.data.summary.DataSummary` as a plain dict.
    """

    event: ClassVar[str] = "data"
    n_ctx: int
    n_ctx_reason: str
    summary: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Estimate:
    """What is ahead of a run, as far as a few timed micro-batches can tell.

    Attributes:
        seconds: of all steps and validations that are left; in a run's end, of those before a resume too.
        epoch_seconds: of one epoch with its validations.
        peak_mem_bytes: resident memory of the process at its peak in training, devices' buffers included.
    """

    seconds: float
    epoch_seconds: float
    peak_mem_bytes: int


@dataclass(frozen=True)
class RunStart(TrainEvent):
    """A run begins, or goes on where its checkpoint left it.

    Attributes:
        settings: every setting as {"value", "source", "reason"?}.
        step: updates already done (0 in a new run).
        facts: what was resolved at the start: base, device, kernels, n_threads, n_recompute, n_trainable, …
        estimate: None where no step is left.
    """

    event: ClassVar[str] = "start"
    run: str
    step: int
    total_steps: int
    steps_per_epoch: int
    settings: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    estimate: Estimate | None = None


@dataclass(frozen=True)
class Metrics(TrainEvent):
    """The numbers of one step or one validation. All have the same keys; what does not apply is None.

    Attributes:
        step: updates done.
        epoch: passes over the data done, with fraction.
        loss: nats per supervised token of this step, before its update.
        val_loss: nats per supervised token over all validation rows.
        lr: learning rate of this step's update.
        grad_norm: global norm before clipping.
        tok_per_sec: non-pad tokens per wall second, of this step or this validation.
        n_supervised: supervised targets behind the loss.
        n_tok: all tokens that went through.
        peak_mem_bytes: peak resident memory of the process so far.
        device_mem_bytes: peak bytes of each device's buffers, apart.
        elapsed_s: wall seconds of this step or validation.
    """

    step: int
    epoch: float
    loss: float | None
    val_loss: float | None
    lr: float | None
    grad_norm: float | None
    tok_per_sec: float
    n_supervised: int
    peak_mem_bytes: int
    n_tok: int = 0
    elapsed_s: float = 0.0
    device_mem_bytes: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Step(Metrics):
    """One optimizer update was made."""

    event: ClassVar[str] = "step"


@dataclass(frozen=True)
class Validation(Metrics):
    """The validation rows were evaluated. `best` says that no earlier validation of the run was lower."""

    event: ClassVar[str] = "validation"
    best: bool = False


@dataclass(frozen=True)
class Saved(TrainEvent):
    """A checkpoint was written."""

    event: ClassVar[str] = "checkpoint"
    step: int
    path: str


@dataclass(frozen=True)
class Answers(TrainEvent):
    """One validation prompt, answered greedily by the base model and by the adapter.

    Attributes:
        base, tuned: the answers; " …" stands behind one that was cut before its end.
    """

    event: ClassVar[str] = "answers"
    prompt: str
    expected: str
    base: str
    tuned: str


@dataclass(frozen=True)
class RunEnd(TrainEvent):
    """The run is complete.

    Attributes:
        val_loss_before, val_loss_after: before the first step and of the kept adapter; None without validation.
        best_step: the step of the adapter that was kept as the best.
        estimate: what was expected before the first step, to compare `seconds` and `peak_mem_bytes` with.
    """

    event: ClassVar[str] = "end"
    run: str
    step: int
    adapter: str
    best_step: int
    val_loss_before: float | None
    val_loss_after: float | None
    seconds: float
    n_tok: int
    peak_mem_bytes: int
    estimate: Estimate | None = None


@dataclass(frozen=True)
class Interrupted(TrainEvent):
    """The user stopped the run; `resume` is the command that goes on with it."""

    event: ClassVar[str] = "interrupted"
    step: int
    checkpoint: str
    resume: str


def json_line(event: TrainEvent) -> str:
    """An event as one line of JSON; numbers that JSON does not have become null."""
    return to_json(_finite(event.to_dict()))


def _finite(value: Any) -> Any:
    if isinstance(value, float) and value - value != 0:
        return None
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, (list, tuple)) else value
