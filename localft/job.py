"""A job: base model, data and plan of one run, all resolved and ready for an engine."""

from __future__ import annotations

import math
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localft import __version__, hardware
from localft.adapter import file_sha256
from localft.adapter.identity import file_type
from localft.config import TrainConfig
from localft.conversion.header import read_header
from localft.data.batches import BatchPlan, evaluation_batches, plan
from localft.data.dataset import Dataset, DataSettings, prepare
from localft.data.sources import Sources, find_sources
from localft.engine import AdamSpec, LoraSpec, MicroBatch
from localft.errors import ConfigError, DatasetError, EngineError, LocalftError, ModelError
from localft.events import Notice
from localft.record import BaseModel, Resolved, RunRecord
from localft.schedule import Schedule, warmup_steps
from localft.targets import select_targets
from localft.tokenizer import Tokenizer

if TYPE_CHECKING:
    from localft.engine.native import NativeEngine

Report = Callable[[str, int, int], None]
MICRO_TOKENS = 1024
VAL_SHARE = 0.15
MIN_BUDGET = 64 * 2**20


@dataclass(frozen=True)
class Job:
    """What an engine and the loop need, and what is said about it.

    Attributes:
        config: settings with the hardware's filled in.
        previous: the record of the run that this one goes on with.
        shapes: (n_out, n_in) of each adapted tensor.
        data_files: SHA-256 by absolute path.
        splits: validation rows are taken from the training files.
    """

    config: TrainConfig
    previous: RunRecord | None
    base: BaseModel
    dataset: Dataset
    plan: BatchPlan
    validation: Sequence[MicroBatch]
    shapes: Mapping[str, tuple[int, int]]
    data_files: dict[str, str]
    notices: tuple[Notice, ...]
    splits: bool

    @property
    def base_path(self) -> Path:
        return Path(self.base.path)

    @property
    def fingerprint(self) -> str:
        return self.dataset.fingerprint

    @property
    def n_threads(self) -> int:
        return self.config.threads or 0

    @property
    def total_steps(self) -> int:
        """Steps of the whole run: epochs, and `max_steps` where that is less, or where epochs were not asked for."""
        steps = self.config.epochs * self.plan.steps_per_epoch
        if self.config.max_steps is None:
            return steps
        asked = self.config.source("epochs") != "default"
        return min(steps, self.config.max_steps) if asked else self.config.max_steps

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
        per_step = sum(row.length for row in self.dataset.train) / self.plan.steps_per_epoch
        cost = sum(batch.n_tok for batch in self.validation) / 3
        steps = max(self.total_steps / 10, cost / (per_step * VAL_SHARE))
        return min(self.total_steps, math.ceil(steps))

    @property
    def schedule(self) -> Schedule:
        config, total = self.config, self.total_steps
        return Schedule(config.lr_schedule, config.lr, total, warmup_steps(config.warmup, total), config.min_lr)

    @property
    def lora(self) -> LoraSpec:
        config = self.config
        return LoraSpec(tuple(self.shapes), config.lora_rank, config.lora_alpha, config.lora_dropout, config.seed)

    @property
    def n_trainable(self) -> int:
        return sum(self.config.lora_rank * (n_in + n_out) for n_out, n_in in self.shapes.values())

    @property
    def max_tokens(self) -> int:
        """Tokens of the largest micro-batch there can be."""
        return max([self.plan.max_micro_tokens, *(batch.n_tok for batch in self.validation)])

    @property
    def activation_budget(self) -> int:
        """Bytes for activations: what training may use, less the base model."""
        return max((self.config.memory or 0) - self.base_path.stat().st_size, MIN_BUDGET)

    def open_engine(self) -> NativeEngine:
        """Load the base model into a training engine, set up as the run that is resumed was.

        Raises:
            EngineError: the device is unknown, or memory does not suffice.
        """
        from localft.engine.native import NativeEngine

        config, kept = self.config, self.previous.resolved if self.previous else None
        return NativeEngine(
            self.base_path,
            self.lora,
            AdamSpec(weight_decay=config.weight_decay, grad_clip=config.grad_clip),
            device=kept.device if kept else config.device,
            n_threads=self.n_threads,
            max_tokens=max(self.max_tokens, kept.max_tokens if kept else 0),
            memory_budget=self.activation_budget,
            kernels=kept.kernels if kept else config.kernels,
        )

    def resolved(self, engine: NativeEngine) -> Resolved:
        """What was decided, to be kept by every resume."""
        return Resolved(
            n_ctx=self.dataset.n_ctx,
            n_ctx_reason=self.dataset.n_ctx_reason,
            micro_tokens=self.plan.micro_tokens,
            max_tokens=self.max_tokens,
            steps_per_epoch=self.plan.steps_per_epoch,
            total_steps=self.total_steps,
            val_every=self.val_every,
            device=self.config.device or "",
            kernels=engine.kernels,
            n_threads=self.n_threads,
            memory_budget=self.activation_budget,
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
        """Settings whose default plays no part in this run."""
        config = self.config
        found = ["outtype"] if config.model.endswith(".gguf") else []
        found += ["epochs"] if config.max_steps is not None else []
        return found + (["val_split"] if config.val_samples or not self.splits or not self.validation else [])

    def summary(self) -> dict[str, Any]:
        """The data's counts, as plain values."""
        return self.dataset.summary.to_dict()

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


def prepare_job(config: TrainConfig, previous: RunRecord | None = None, report: Report | None = None) -> Job:
    """Find and convert the base model, prepare the data, plan the steps.

    Args:
        previous: the run to go on with; what it resolved is kept, and its files must be the same.
        report: called as report(stage, done, total) while something takes long.

    Raises:
        LocalftError: model, data or a setting cannot be used; or a file changed since `previous`.
    """
    notices: list[Notice] = []
    # The data first: a wrong path should not have to wait for a download.
    sources = _sources(config, previous)
    files = _data_files(sources, previous)
    base = _find_base(config, previous, notices, report)
    _same_base(base, previous)
    dataset = _prepare_data(config, previous, base, report)
    if previous and dataset.fingerprint != previous.fingerprint:
        raise LocalftError(
            "the data gives other tokens than when this run was started, though its files are the same",
            "go on with the versions in the run's config.json, or start a new run",
        )
    shapes = _shapes(config, base)
    config = _with_hardware(config, base)
    batches = plan(
        dataset.train,
        batch_size=config.batch_size,
        micro_batch_size=config.micro_batch_size,
        seed=config.seed,
        packing=config.packing,
        n_ctx=dataset.n_ctx,
        micro_tokens=previous.resolved.micro_tokens if previous else MICRO_TOKENS,
    )
    val_batch_size = config.val_batch_size or len(dataset.val) or 1
    validation = tuple(evaluation_batches(dataset.val, val_batch_size, batches.micro_tokens))
    return Job(config, previous, base, dataset, batches, validation, shapes, files, tuple(notices), not sources.val)


def _find_base(
    config: TrainConfig,
    previous: RunRecord | None,
    notices: list[Notice],
    report: Report | None,
) -> BaseModel:
    from localft.conversion import convert
    from localft.conversion.check import check_gguf

    if previous and Path(previous.base.path).is_file():
        path, name = Path(previous.base.path), previous.base.name
        check_gguf(path)
    else:
        _refuse_outtype_of_file(config)
        result = convert(config.model, config.outtype, progress=_one_stage(report))
        notices += [Notice(warning, "warning") for warning in result.warnings]
        path, name = result.path, _base_name(config.model)
        check_gguf(path)
    header = read_header(path)
    if report:
        report("checking the base model", 0, 0)
    return BaseModel(str(path.resolve()), name, header.architecture, file_type(header) or "", file_sha256(path))


def _one_stage(report: Report | None) -> Report | None:
    """Conversion names every tensor; one bar is enough for all of them."""
    return (lambda stage, done, total: report("preparing the base model", done, total)) if report else None


def _refuse_outtype_of_file(config: TrainConfig) -> None:
    if config.model.endswith(".gguf") and "outtype" in config.sources:
        raise ConfigError(
            f"`--outtype {config.outtype}` does not apply to `{config.model}`, which is converted already",
            "leave it out, or give the checkpoint to --model",
        )


def _base_name(model: str) -> str:
    return Path(model).stem if model.endswith(".gguf") else model.rstrip("/").split("/")[-1]


def _same_base(base: BaseModel, previous: RunRecord | None) -> None:
    if previous and base.sha256 != previous.base.sha256:
        raise ModelError(
            f"the base model `{base.path}` is not the file that this run was started on",
            f"put back the file with SHA-256 {previous.base.sha256[:16]}…, or start a new run",
        )


def _paths(config: TrainConfig, previous: RunRecord | None) -> tuple[list[Path], Path | None]:
    root = Path(previous.cwd) if previous else Path()
    return [root / path for path in config.data], root / config.val_data if config.val_data else None


def _sources(config: TrainConfig, previous: RunRecord | None) -> Sources:
    data, val_data = _paths(config, previous)
    found = find_sources(data, None if config.no_val else val_data)
    if found.val and "val_split" in config.sources:
        raise ConfigError(
            f"`--val-split` has no part here: `{found.val[0]}` is there to validate on",
            "leave it out, or give the training file itself to --data",
        )
    return found


def _data_files(found: Sources, previous: RunRecord | None) -> dict[str, str]:
    files = {str(path.resolve()): file_sha256(path) for path in (*found.train, *found.val) if path.is_file()}
    for name, sha256 in (previous.data_files if previous else {}).items():
        if files.get(name) != sha256:
            what = "changed" if name in files else "is no longer there"
            raise LocalftError(
                f"data file `{name}` {what} since this run was started",
                "put the old file back, or start a new run on the new one",
            )
    for path in (*found.train, *found.val):
        if not path.exists():
            raise DatasetError(f"no data file `{path}`", "check the path; relative paths start in the current folder")
    return files


def _prepare_data(config: TrainConfig, previous: RunRecord | None, base: BaseModel, report: Report | None) -> Dataset:
    if report:
        report("reading the data", 0, 0)
    data, val_data = _paths(config, previous)
    tokenizer = Tokenizer(Path(base.path))
    settings = DataSettings(
        ctx=previous.resolved.n_ctx if previous else config.ctx,
        overlength=config.overlength,  # type: ignore[arg-type]
        train_on_prompt=config.train_on_prompt,
        val_data=val_data,
        val_split=config.val_split,
        val_samples=config.val_samples,
        no_val=config.no_val,
        sample_start=config.sample_start,
        packing=config.packing,
        seed=config.seed,
        template=config.template,
        raw=config.raw,
        n_ctx_train=tokenizer.n_ctx_train,
        date=previous.template.get("date") if previous else None,
    )
    try:
        dataset = prepare(data, tokenizer, settings)
    finally:
        tokenizer.close()
    if previous is None:
        return dataset
    reason = previous.resolved.n_ctx_reason
    return replace(dataset, n_ctx_reason=reason, summary=replace(dataset.summary, n_ctx_reason=reason))


def _shapes(config: TrainConfig, base: BaseModel) -> dict[str, tuple[int, int]]:
    from localft.engine.native import lora_targets

    available = lora_targets(Path(base.path))
    chosen = select_targets(available, config.lora_targets, config.lora_layers, config.lora_rank)
    return {name: available[name] for name in chosen}


def _with_hardware(config: TrainConfig, base: BaseModel) -> TrainConfig:
    """Fill in threads, device and memory where nothing was given."""
    from localft.engine.native import devices

    listed = devices()
    if config.device and config.source("device") != "hardware":
        _require_device(config.device, [device.name for device in listed])

    def fill(name: str, choose: Callable[[], tuple[Any, str]]) -> None:
        nonlocal config
        if getattr(config, name) is None:
            value, reason = choose()
            config = config.with_values("hardware", {name: value}, {name: reason})

    fill("threads", hardware.choose_threads)
    fill("device", lambda: hardware.choose_device(listed, Path(base.path).stat().st_size))
    chosen = next((device for device in listed if device.name == config.device), None)
    fill("memory", lambda: hardware.choose_memory(chosen))
    return config


def _require_device(name: str, known: Sequence[str]) -> None:
    if name.lower() not in (each.lower() for each in known):
        raise EngineError(f"there is no device `{name}`", f"this machine has {', '.join(known)}")
