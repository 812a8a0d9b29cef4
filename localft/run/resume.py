"""Going on with a run: finding its checkpoint, and what may change on the way."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localft.errors import ConfigError, LocalftError
from localft.run.folder import CONFIG, Run, newest_run, resume_command
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
    "checkpoint_in": "",
    "checkpoint_out": "",
    "lora_out": "",
}
PATHS = ("data", "val_data", "replay", "out")
QUIET = frozenset({"checkpoint_in", "checkpoint_out", "lora_out"})


@dataclass(frozen=True)
class Change:
    """A setting that the new command changed, and what follows from it."""

    flag: str
    before: Any
    after: Any
    effect: str


def find_checkpoint(resume: str | Path | bool | None, checkpoint_in: str | None) -> tuple[Path, Path | None] | None:
    """The checkpoint to go on from, and its run's folder where that was given; None = start afresh.

    Args:
        resume: a run's folder or a checkpoint file; True = the newest run.
        checkpoint_in: the old command form's file, which need not be there.

    Raises:
        LocalftError: the run that was asked for is not there, or has no checkpoint.
    """
    if resume and checkpoint_in:
        raise ConfigError("`--resume` and `--checkpoint-in` contradict each other", "leave one of them out")
    if checkpoint_in:
        path = Path(checkpoint_in)
        return (path, None) if path.exists() else None
    if not resume:
        return None
    if resume is True:
        run = newest_run(to_resume=True)
        return run.checkpoint, run.folder
    path = Path(str(resume))
    if path.is_file():
        holds_run = (path.parent / CONFIG).is_file() and path.name == Run(path.parent).checkpoint.name
        return path, path.parent if holds_run else None
    run = Run.open(path)
    if not run.checkpoint.is_file():
        raise LocalftError(f"run `{path}` has no checkpoint: it ended before the first one", "start it again")
    return run.checkpoint, run.folder


def apply_changes(
    record: RunRecord, flags: Mapping[str, Any], config_file: Path | None
) -> tuple[TrainConfig, list[Change]]:
    """The settings of the run in `record`, with those of the new command that may change.

    Raises:
        ConfigError: an unknown setting, or one that a run cannot change on the way.
    """
    config = TrainConfig.from_dict(record.settings)
    given = {**(read_config_file(config_file) if config_file else {}), **flags}
    TrainConfig().with_values("flag", given)
    changed: dict[str, Any] = {}
    for name, raw in given.items():
        value = coerce(SETTINGS[name], raw, "flag")
        if not _same(name, getattr(config, name), value, record):
            changed[name] = value
    for name in changed:
        if name not in APPLIED:
            raise _refusal(name, getattr(config, name), changed[name], record)
    changes = [
        Change(flag_name(name), getattr(config, name), value, APPLIED[name])
        for name, value in changed.items()
        if name not in QUIET
    ]
    config = config.with_values("flag", changed)
    check_together(config)
    return config, changes


def _same(name: str, before: Any, after: Any, record: RunRecord) -> bool:
    if name == "out":
        return after is None or Path(after).resolve() == Path(record.folder)
    if name in PATHS and before is not None and after is not None:
        old, new = (before, after) if isinstance(before, tuple) else ((before,), (after,))
        return [_real(path, record.cwd) for path in old] == [_real(path, ".") for path in new]
    return bool(before == after)


def _real(path: str, folder: str) -> str:
    return os.path.realpath(Path(folder) / path)


def _refusal(name: str, before: Any, after: Any, record: RunRecord) -> ConfigError:
    was = "unset" if before is None else f"`{_words(before)}`"
    return ConfigError(
        f"a resumed run keeps its settings: `{flag_name(name)}` is {was} and cannot become `{_words(after)}`",
        f"leave it out (`{resume_command(Path(record.folder))}`), or start a new run",
    )


def _words(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
