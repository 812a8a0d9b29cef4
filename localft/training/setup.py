"""From settings to the plan of a run: find and convert the base model, prepare the data, plan the steps."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from localft import hardware
from localft.adapter.origin import find_by_hash
from localft.data.batching.batches import plan_batches
from localft.data.batching.micro_batch import MICRO_TOKENS, evaluation_batches
from localft.data.dataset import Dataset, prepare
from localft.data.reading.data_file import no_such_file
from localft.data.reading.sources import Sources, find_sources, is_remote, split_weight
from localft.errors import ConfigError, DatasetError, EngineError, LocalftError, ModelError
from localft.events import Notice
from localft.files import real_path
from localft.hashes import file_sha256
from localft.home import localft_home
from localft.model.gguf.header import file_type
from localft.model.tokenizer import Tokenizer
from localft.report import Report
from localft.run.record import BaseModel, RunRecord
from localft.settings.data_settings import DataSettings
from localft.settings.train_config import SETTINGS, TrainConfig
from localft.training.earlier_adapter import find_earlier_adapter
from localft.training.engine import fits_memory, lora_shapes
from localft.training.plan import TrainPlan
from localft.training.recipe import with_recipe
from localft.training.targets import rank_note


def set_up(config: TrainConfig, previous: RunRecord | None = None, report: Report | None = None) -> TrainPlan:
    """Find and convert the base model, prepare the data, plan the steps.

    Args:
        previous: the run to go on with; what it resolved is kept, and its files must be the same.
        report: called as report(stage, done, total) while something takes long.

    Raises:
        LocalftError: model, data or a setting cannot be used; or a file changed since `previous`.
    """
    notices: list[Notice] = []
    # The data first: a wrong path should not have to wait for a download.
    root = _root(config, previous) if previous else Path()
    sources = data_sources(config, root, report, fetch=previous is None)
    files = _data_files(sources, previous)
    base = _find_base(config, previous, notices, report)
    _same_base(base, previous)
    config = with_hardware(config, Path(base.path))
    earlier = find_earlier_adapter(config.from_run, base) if config.from_run and not previous else None
    if earlier:
        config = earlier.settings(config)
        notices.append(Notice(f"starting from the adapter `{earlier.path}`"))
    dataset = _prepare_data(config, previous, base, sources, report)
    if previous and dataset.fingerprint != previous.fingerprint:
        raise LocalftError(
            "the data gives other tokens than when this run was started, though its files are the same",
            "go on with the versions in the run's config.json, or start a new run",
        )
    if not previous:
        config = with_recipe(config, len(dataset.train), Path(base.path))
    shapes = lora_shapes(config, Path(base.path))
    if note := rank_note(shapes, config.lora_rank):
        notices.append(Notice(note))
    batches = plan_batches(
        dataset.train,
        batch_size=config.batch_size,
        micro_batch_size=config.micro_batch_size,
        seed=config.seed,
        packing=config.packing,
        n_ctx=dataset.n_ctx,
        micro_tokens=previous.resolved.micro_tokens if previous else MICRO_TOKENS,
        passes=[(share.n_row, share.weight) for share in dataset.shares],
    )
    if config.packing:
        packing = batches.describe_packing(dataset.n_ctx)
        dataset = replace(dataset, summary=replace(dataset.summary, packing=packing))
    validation = tuple(evaluation_batches(dataset.val, config.val_batch_size, batches.micro_tokens))
    return TrainPlan(
        config,
        previous,
        base,
        dataset,
        batches,
        validation,
        shapes,
        files,
        tuple(notices),
        not sources.val,
        root,
        earlier.state() if earlier else None,
    )


def _find_base(
    config: TrainConfig,
    previous: RunRecord | None,
    notices: list[Notice],
    report: Report | None,
) -> BaseModel:
    from localft.model.convert import convert
    from localft.model.probe import usable_gguf

    if previous and (kept := _kept_base(config, previous)):
        path, name = kept, previous.base.name
    else:
        _refuse_outtype_of_file(config)
        result = convert(config.model, config.outtype, progress=_one_stage(report))
        notices += [Notice(warning, "warning") for warning in result.warnings]
        path, name = result.path, _base_name(config.model)
    if report:
        report("checking the base model", 0, 0)
    header = usable_gguf(path)
    return BaseModel(str(real_path(path)), name, header.architecture, file_type(header) or "", file_sha256(path))


def _kept_base(config: TrainConfig, previous: RunRecord) -> Path | None:
    """The base of a resumed run, where it was, or the same bytes in the current folder or localft's home; None: it
    can be converted from what is here.

    Raises:
        ModelError: it would have to be downloaded.
    """
    from localft.model.convert import converted
    from localft.model.source import resolve_model

    where = Path(previous.base.path)
    for path in (where, localft_home() / "models" / where.name):
        if _is_there(path) and path.is_file():
            return path
    if found := find_by_hash(previous.base.sha256):
        return found
    source = resolve_model(config.model)
    if source.repo_id is None or source.checkpoint is not None:
        return None
    if found := converted(config.model, config.outtype):
        return found
    command = f"localft convert {shlex.quote(config.model)} --outtype {config.outtype}"
    raise ModelError(
        f"the base model of this run, `{where}`, is not on this machine any more", f"fetch it with `{command}`"
    )


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


def _root(config: TrainConfig, previous: RunRecord) -> Path:
    """Where a resumed run's relative paths begin: where it was started, or here where they are here and not there."""
    there, here = Path(previous.cwd), Path.cwd()
    local = [name for name in config.data if not is_remote(name)]
    for root in (there, here):
        if local and all(_is_there(root / split_weight(name, root)[0]) for name in local):
            return root
    return there


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long, say
        return False


def data_sources(
    config: TrainConfig, root: Path = Path(), report: Report | None = None, *, fetch: bool = True
) -> Sources:
    """The files of a run.

    Args:
        root: where relative paths start.
        fetch: what is not on this machine yet; else it is refused.

    Raises:
        LocalftError: see `find_sources`; or a setting that they leave without a part.
    """
    val_data = None if config.no_val else config.val_data
    found = find_sources(
        config.data,
        val_data,
        config.replay,
        root,
        report,
        fetch=fetch,
        allow_expansion=config.allow_expansion,
    )
    if found.val and "val_split" in config.sources:
        raise ConfigError(
            f"`--val-split` has no part here: `{found.val[0]}` is there to validate on",
            "leave it out, or give the training file itself to --data",
        )
    return found


def _data_files(found: Sources, previous: RunRecord | None) -> dict[str, str]:
    files = {str(real_path(path)): _sha256(path) for path in found.files if path.is_file()}
    for name, sha256 in (previous.data_files if previous else {}).items():
        if sha256 not in files.values():
            what = "changed" if name in files else "is no longer there"
            raise LocalftError(
                f"data file `{name}` {what} since this run was started",
                "put the old file back, or start a new run on the new one",
            )
    for path in found.files:
        if not path.exists():
            raise no_such_file(path)
        if previous and files.get(str(real_path(path))) not in previous.data_files.values():
            raise LocalftError(
                f"data file `{path}` is none of those that this run was started on",
                "take it away from there, or start a new run",
            )
    return files


def _sha256(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise DatasetError(
            f"cannot read `{path}`: {error.strerror}", "check that it is a file that you may read"
        ) from None


def _prepare_data(
    config: TrainConfig, previous: RunRecord | None, base: BaseModel, sources: Sources, report: Report | None
) -> Dataset:
    if report:
        report("reading the data", 0, 0)
    tokenizer = Tokenizer(Path(base.path))
    n_ctx = previous.resolved.n_ctx if previous else config.ctx
    date = previous.template.get("date") if previous else None
    settings = data_settings(config, tokenizer.n_ctx_train, n_ctx, date)
    try:
        dataset = prepare(sources, tokenizer, settings, report, fits_memory(config, Path(base.path)))
    finally:
        tokenizer.close()
    if previous is None:
        return dataset
    reason = previous.resolved.n_ctx_reason
    return replace(dataset, n_ctx_reason=reason, summary=replace(dataset.summary, n_ctx_reason=reason))


def data_settings(config: TrainConfig, n_ctx_train: int, ctx: int | None, date: str | None = None) -> DataSettings:
    """What the settings of a run say about its data.

    Args:
        n_ctx_train: context that the model was trained on; 0 where it is not known.
        ctx: positions per sequence; None: from the data.
        date: of a run that is resumed.
    """
    shared = {field.name: getattr(config, field.name) for field in fields(DataSettings) if field.name in SETTINGS}
    return DataSettings(**{**shared, "ctx": ctx}, n_ctx_train=n_ctx_train, date=date)


def with_hardware(config: TrainConfig, base: Path) -> TrainConfig:
    """Fill in threads, device and memory for the GGUF `base` where nothing was given.

    Raises:
        EngineError: there is no device of the name that was given.
    """
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
    fill("device", lambda: hardware.choose_device(listed, base.stat().st_size))
    chosen = next((device for device in listed if device.name == config.device), None)
    fill("memory", lambda: hardware.choose_memory(chosen))
    return config


def _require_device(name: str, known: Sequence[str]) -> None:
    if name.lower() not in (each.lower() for each in known):
        raise EngineError(f"there is no device `{name}`", f"this machine has {', '.join(known)}")
