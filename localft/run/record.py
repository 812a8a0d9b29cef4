"""RunRecord: all that must be known of a run to repeat it, to go on with it, and to chat with its adapter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any, get_args

from localft.run.stored import read_stored
from localft.settings.train_config import Source


@dataclass(frozen=True)
class BaseModel:
    """The GGUF that is trained on.

    Attributes:
        path: absolute.
        name: what the user calls it: a card's name, a repo id, a file's stem.
        type: of its weights, such as "q8_0"; "" where the file does not say.
    """

    path: str
    name: str
    architecture: str
    type: str
    sha256: str


@dataclass(frozen=True)
class Resolved:
    """What was decided at the start and is kept by every resume, so that the numbers stay the same.

    Attributes:
        n_ctx: tokens per row at most, and `n_ctx_reason`.
        micro_tokens: tokens up to which rows share a micro-batch.
        max_tokens: tokens of the largest micro-batch, training or validation.
        val_every: steps between validations; 0 = none.
        device, kernels, arithmetic, n_threads, memory_budget (bytes): as the engine was opened.
        n_recompute: layers that recompute their activations, as the engine decided; None = unknown.
        target_tensors: base tensors that carry LoRA.
        n_trainable: Σ rank · (n_in + n_out).
    """

    n_ctx: int
    n_ctx_reason: str
    micro_tokens: int
    max_tokens: int
    steps_per_epoch: int
    total_steps: int
    val_every: int
    device: str
    kernels: str
    n_threads: int
    memory_budget: int
    n_recompute: int | None
    target_tensors: tuple[str, ...]
    n_trainable: int
    arithmetic: str = "f32"


@dataclass(frozen=True)
class RunRecord:
    """Everything about a run that its folder's `config.json` and its checkpoints hold.

    Attributes:
        folder: absolute path of the run.
        cwd: the folder that it was started in, where its relative paths begin.
        created: ISO 8601, with the time zone.
        settings: `TrainConfig.to_dict()`.
        template: how rows were formatted (`TemplateInfo.to_dict()`).
        data_files: SHA-256 of every data file, by absolute path.
        fingerprint: SHA-256 over all tokenized rows.
        versions: of localft and of what it stands on.
        leaks: validation rows that training rows give away, by manner.
    """

    folder: str
    cwd: str
    created: str
    settings: dict[str, Any]
    base: BaseModel
    resolved: Resolved
    template: dict[str, Any]
    data_files: dict[str, str]
    fingerprint: str
    versions: dict[str, str] = field(default_factory=dict)
    leaks: dict[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunRecord:
        """The inverse of `to_dict`.

        Raises:
            KeyError, ValueError: the values are not a record's.
        """
        record = read_stored(cls, values)
        for name, entry in record.settings.items():
            _check_setting(name, entry)
        day = record.template.get("date")
        if day is not None:
            date.fromisoformat(str(day))
        return record


def _check_setting(name: str, entry: Any) -> None:
    """Refuse what is not a setting's value, its source, and the reason where there is one."""
    if not isinstance(entry, dict) or "value" not in entry or not isinstance(entry.get("reason", ""), str):
        raise ValueError(f"the setting `{name[:80]}` is no object with a value")
    if entry.get("source") not in get_args(Source):
        raise ValueError(f"the setting `{name[:80]}` has no known source")
