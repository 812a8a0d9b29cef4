"""Going on with a run: finding its checkpoint, where it goes on, and what may change on the way.

A checkpoint may be a stranger's. It decides numbers, never places: what is written lies in the folder that the
checkpoint lies in, or where the command says.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from localft.addresses import without_secrets
from localft.errors import ConfigError, LocalftError
from localft.files import real_path
from localft.home import at_home
from localft.run.checkpoint import read_progress
from localft.run.folder import Run, all_runs, newest_run, require_free, require_run, resume_command
from localft.run.record import RunRecord
from localft.settings.resolve import check_together, read_config_file
from localft.settings.setting import coerce, flag_name
from localft.settings.train_config import SETTINGS, TrainConfig

# Settings that a resumed run takes from the new command, with what that does.
_LONGER = "the learning rate follows the new length from here on"
APPLIED: dict[str, str] = {
    "epochs": _LONGER,
    "max_steps": _LONGER,
    "val_every": "",
    "checkpoint_every": "",
    "report_every": "",
    "threads": "the last digits may differ from an uninterrupted run's",
    "memory": "",
}
PATHS = ("data", "val_data", "replay", "from_run")
# Each says how long a run is; together, the shorter holds.
LENGTHS = ("epochs", "max_steps")
# Settings that are taken from the command alone.
PLACES = ("out", "checkpoint_in", "checkpoint_out", "lora_out")
_NOT_WRITTEN = "a checkpoint's places are not written to; give it again to write there"


@dataclass(frozen=True)
class Change:
    """A setting that the new command changed, and what follows from it."""

    flag: str
    before: Any
    after: Any
    effect: str


def find_checkpoint(
    resume: str | Path | bool | None, checkpoint_in: str | None, given: Mapping[str, Any] = {}
) -> Path | None:
    """The checkpoint to go on from; None = start afresh.

    Args:
        resume: a run's folder or a checkpoint file; True = the newest run that is not at its end.
        checkpoint_in: the old command form's file, which need not be there.
        given: settings of the new command, of which some may make a run longer.

    Raises:
        LocalftError: the run that was asked for is not there, or has no checkpoint.
    """
    if resume and checkpoint_in:
        raise ConfigError("`--resume` and `--checkpoint-in` contradict each other", "leave one of them out")
    if checkpoint_in:
        path = Path(checkpoint_in)
        return path if path.exists() else None
    if not resume:
        return None
    if resume is True:
        return _newest_unfinished(given).checkpoint
    path = Path(at_home(str(resume)))
    if path.is_file():
        return path
    run = Run.open(path)
    if not run.checkpoint.is_file():
        raise LocalftError(
            f"run `{path}` has no checkpoint: it ended before the first one",
            f"start it again: `localft finetune … --out {shlex.quote(str(path))}` takes its folder",
        )
    return run.checkpoint


def _newest_unfinished(given: Mapping[str, Any]) -> Run:
    """The run that was started or resumed last, of those that have steps left; where none has, the last."""
    for run in reversed(all_runs()):
        with suppress(LocalftError):
            if run.checkpoint.is_file() and _steps_left(run.checkpoint, given) > 0:
                return run
    return newest_run(to_resume=True)


def _steps_left(checkpoint: Path, given: Mapping[str, Any]) -> int:
    record, cursor = read_progress(checkpoint)
    lengths = {name: coerce(SETTINGS[name], given[name], "flag") for name in LENGTHS if given.get(name) is not None}
    if "epochs" in lengths:
        lengths["epochs"] *= record.resolved.steps_per_epoch
    return min(lengths.values(), default=record.resolved.total_steps) - cursor.step


def own_folder(checkpoint: Path, record: RunRecord) -> Path | None:
    """The folder of the run that a checkpoint is of: the one that it lies in under its usual name, or else the run here
    whose own record says that it is the same. None: there is none.

    Raises:
        LocalftError: it lies in a folder of something else.
    """
    beside = Run(checkpoint.parent)
    if checkpoint.name != beside.checkpoint.name:
        return next((run.folder for run in all_runs() if _is_of(run, record)), None)
    require_run(beside.folder)
    return beside.folder


def place(own: Path | None, out: str | None) -> Path | None:
    """The folder that a resumed run writes into; None = a new one, which may be `out`.

    Raises:
        LocalftError: `out` holds another run.
    """
    if own is not None and (out is None or real_path(Path(out)) == real_path(own)):
        return own
    require_free(out)
    return None


def _is_of(run: Run, record: RunRecord) -> bool:
    try:
        found = run.record
    except LocalftError:
        return False
    same = (found.created, found.fingerprint, found.base.sha256)
    return same == (record.created, record.fingerprint, record.base.sha256)


def apply_changes(
    record: RunRecord, checkpoint: Path, flags: Mapping[str, Any], config_file: Path | None
) -> tuple[TrainConfig, list[Change]]:
    """The settings of the run in `record`, read from `checkpoint`, with those of the new command that may change.

    Raises:
        ConfigError: an unknown setting, or one that a run cannot change on the way.
    """
    before = TrainConfig.from_dict(record.settings)
    config = replace(before, out=None, checkpoint_in=None, checkpoint_out=None, lora_out=None)
    given = {**(read_config_file(config_file) if config_file else {}), **flags}
    TrainConfig().with_values("flag", given)
    changed: dict[str, Any] = {}
    for name, raw in given.items():
        value = coerce(SETTINGS[name], raw, "flag")
        if not _same(name, getattr(config, name), value, record):
            changed[name] = value
    for name in changed:
        if name not in APPLIED and name not in PLACES:
            raise _refusal(name, getattr(config, name), changed[name], checkpoint)
    changes = [
        Change(flag_name(name), getattr(config, name), value, APPLIED[name])
        for name, value in changed.items()
        if name not in PLACES
    ]
    for name in ("checkpoint_out", "lora_out"):
        if getattr(before, name) is not None and given.get(name) is None:
            changes.append(Change(flag_name(name), getattr(before, name), "nothing", _NOT_WRITTEN))
    config, outdated = _with_one_length(config.with_values("flag", changed), given)
    check_together(config)
    return config, changes + outdated


def _with_one_length(config: TrainConfig, given: Mapping[str, Any]) -> tuple[TrainConfig, list[Change]]:
    """Where the new command says how long the run is in one way, what the old one said in the other no longer holds."""
    said = [name for name in LENGTHS if given.get(name) is not None]
    if len(said) != 1:
        return config, []
    (name,), (other,) = said, [each for each in LENGTHS if each not in said]
    changes = []
    if config.source(other) in ("flag", "config file"):
        effect = f"{flag_name(name)} says how long the run is"
        changes.append(Change(flag_name(other), getattr(config, other), "nothing", effect))
        sources = {key: source for key, source in config.sources.items() if key != other}
        config = replace(config, **{other: getattr(TrainConfig(), other)}, sources=sources)
    return config.with_values("flag", {name: given[name]}), changes


def _same(name: str, before: Any, after: Any, record: RunRecord) -> bool:
    if name in PATHS and before is not None and after is not None:
        old, new = (before, after) if isinstance(before, tuple) else ((before,), (after,))
        return [_real(path, record.cwd) for path in old] == [_real(path, ".") for path in new]
    return bool(before == after)


def _real(path: str, folder: str) -> str:
    return os.path.realpath(Path(folder) / without_secrets(path))


def _refusal(name: str, before: Any, after: Any, checkpoint: Path) -> ConfigError:
    was = "unset" if before is None else f"`{_words(before)}`"
    return ConfigError(
        f"a resumed run keeps its settings: `{flag_name(name)}` is {was} and cannot become `{_words(after)}`",
        f"leave it out (`{resume_command(checkpoint)}`), or start a new run",
    )


def _words(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
