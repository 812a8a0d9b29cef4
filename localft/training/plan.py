"""The plan of one run: base model, data and steps, all resolved and ready for an engine."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localft import __version__
from localft.data.batching.batches import BatchPlan
from localft.data.batching.micro_batch import MicroBatch
from localft.data.dataset import Dataset
from localft.engine import EngineState
from localft.events import Notice
from localft.run.record import BaseModel, Resolved, RunRecord
from localft.settings.train_config import TrainConfig
from localft.training.engine import open_engine
from localft.training.memory import n_trainable
from localft.training.schedule import Schedule, warmup_steps

if TYPE_CHECKING:
    from localft.engine.native import NativeEngine

VAL_SHARE = 0.15


@dataclass(frozen=True)
class TrainPlan:
    """What an engine and the loop need, and what is said about it.

    Attributes:
        config: settings with the hardware's filled in.
        previous: the record of the run that this one goes on with.
        shapes: (n_out, n_in) of each adapted tensor.
        data_files: SHA-256 by absolute path.
        splits: validation rows are taken from the training files.
        root: where relative paths begin.
        start: the adapter that a new run starts from, where it is not a fresh one.
    """

    config: TrainConfig
    previous: RunRecord | None
    base: BaseModel
    dataset: Dataset
    batches: BatchPlan
    validation: Sequence[MicroBatch]
    shapes: Mapping[str, tuple[int, int]]
    data_files: dict[str, str]
    notices: tuple[Notice, ...]
    splits: bool
    root: Path
    start: EngineState | None = None

    @property
    def base_path(self) -> Path:
        return Path(self.base.path)

    @property
    def n_threads(self) -> int:
        return self.config.threads or 0

    @property
    def total_steps(self) -> int:
        """Steps of the whole run: epochs, and `max_steps` where that is less, or where epochs were not asked for."""
        steps = self.config.epochs * self.batches.steps_per_epoch
        if self.config.max_steps is None:
            return steps
        return min(steps, self.config.max_steps) if self.epochs_asked else self.config.max_steps

    @property
    def epochs_asked(self) -> bool:
        """The user said how many epochs; a model's card only suggests some."""
        return self.config.source("epochs") in ("flag", "config file")

    @property
    def val_every(self) -> int:
        if not self.validation:
            return 0
        if self.config.val_every:
            return self.config.val_every
        if self.previous:
            return self.previous.resolved.val_every
        return self._val_every()

    def _val_every(self) -> int:
        """A tenth of the run, or more rarely, so that validation takes little beside the training.

        A validation token costs about a third of a training token: it goes forward only.
        """
        per_step = self.batches.epoch_tokens / self.batches.steps_per_epoch
        cost = sum(batch.n_tok for batch in self.validation) / 3
        steps = max(self.total_steps / 10, cost / (per_step * VAL_SHARE))
        return min(self.total_steps, math.ceil(steps))

    @property
    def schedule(self) -> Schedule:
        config, total = self.config, self.total_steps
        return Schedule(config.lr_schedule, config.lr, total, warmup_steps(config.warmup, total), config.min_lr)

    @property
    def n_trainable(self) -> int:
        return n_trainable(self.config.lora_rank, self.shapes)

    @property
    def max_tokens(self) -> int:
        """Tokens of the largest micro-batch there can be."""
        return max([self.batches.max_micro_tokens, *(batch.n_tok for batch in self.validation)])

    def open_engine(self) -> NativeEngine:
        """Load the base model into a training engine, set up as the run that is resumed was.

        Raises:
            EngineError: the device is unknown, or memory does not suffice.
        """
        kept = self.previous.resolved if self.previous else None
        return open_engine(self.config, self.base_path, self.shapes, self.max_tokens, kept)

    def resolved(self, engine: NativeEngine) -> Resolved:
        """What was decided, to be kept by every resume."""
        return Resolved(
            n_ctx=self.dataset.n_ctx,
            n_ctx_reason=self.dataset.n_ctx_reason,
            micro_tokens=self.batches.micro_tokens,
            max_tokens=self.max_tokens,
            steps_per_epoch=self.batches.steps_per_epoch,
            total_steps=self.total_steps,
            val_every=self.val_every,
            device=self.config.device or "",
            kernels=engine.kernels,
            arithmetic=engine.arithmetic,
            n_threads=self.n_threads,
            memory_budget=engine.memory_budget,
            n_recompute=engine.n_recompute,
            target_tensors=tuple(self.shapes),
            n_trainable=self.n_trainable,
        )

    def facts(self, engine: NativeEngine) -> dict[str, Any]:
        """What the header says beside the settings."""
        return {
            "base": self.base.path,
            "base_name": self.base.name,
            "architecture": self.base.architecture,
            "type": self.base.type,
            "device": engine.device_name,
            "kernels": engine.kernels,
            "arithmetic": engine.arithmetic,
            "n_threads": self.n_threads,
            "n_recompute": engine.n_recompute,
            "memory_estimate": engine.memory_estimate,
            "n_layer": len({name.split(".")[1] for name in self.shapes if name.startswith("blk.")}),
            "n_target": len(self.shapes),
            "n_trainable": self.n_trainable,
            "n_ctx": self.dataset.n_ctx,
            "n_train": len(self.dataset.train),
            "val_every": self.val_every,
            "warmup_steps": self.schedule.warmup_steps,
            "unused": self.unused,
        }

    @property
    def unused(self) -> list[str]:
        """Settings that play no part in this run where nobody asked for them."""
        config = self.config
        found = ["outtype"] if config.model.endswith(".gguf") else []
        found += ["epochs"] if config.max_steps is not None and not self.epochs_asked else []
        found += ["on_leak"] if not self.validation else []
        return found + (["val_split"] if config.val_samples or not self.splits or not self.validation else [])

    def versions(self) -> dict[str, str]:
        """Of everything that the numbers depend on."""
        from localft.engine.native import ggml_version

        names = ("llama-cpp-python", "numpy", "gguf")
        return {
            "localft": __version__,
            "ggml": ggml_version(),
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in names},
        }
