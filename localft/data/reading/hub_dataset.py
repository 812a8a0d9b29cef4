"""Data sets of the Hugging Face hub, through the `datasets` library: fetched once, kept as JSON lines."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from localft.errors import ConfigError, DatasetError
from localft.files import temporary_folder
from localft.home import localft_home
from localft.report import Report
from localft.visible import one_line

_ID = re.compile(r"([A-Za-z0-9][\w.-]*)(/[A-Za-z0-9][\w.-]*)?(/[\w.-]+)?")
_FILES = {"train": "train", **dict.fromkeys(("valid", "validation", "val", "dev"), "valid"), "test": "test"}


def fetch(name: str, report: Report | None = None) -> Path:
    """A folder with the train, valid and test rows of a data set, as far as it has them.

    Args:
        name: `owner/name`, `owner/name/configuration`, or `name` for those without an owner.
        report: called as report(stage, rows that are there, rows in all).

    Raises:
        ConfigError: no such name is possible.
        DatasetError: `datasets` is not installed, or cannot fetch it, or it has no rows to train on.
    """
    folder = kept_at(name)
    if folder.is_dir():
        return folder
    splits = _load(name, report)
    if "train" not in splits:
        raise DatasetError(f"`hf:{name}` has no train rows, but {', '.join(splits)}", "download the part that you want")
    with temporary_folder(folder) as temporary:
        for split, rows in splits.items():
            if split in _FILES:
                _write(temporary / f"{_FILES[split]}.jsonl", rows, report)
        temporary.chmod(0o755)
        temporary.rename(folder)
    return folder


def kept_at(name: str) -> Path:
    """Where a data set is kept.

    Raises:
        ConfigError: no such name is possible.
    """
    if not _ID.fullmatch(name):
        raise ConfigError(f"`hf:{name}` names no data set", "expected hf:owner/name or hf:owner/name/configuration")
    return localft_home() / "data" / "hub" / name.replace("/", "--")


def _load(name: str, report: Report | None) -> Mapping[str, Any]:
    if report:  # in the place of the library's own bars
        os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    try:
        import datasets
    except ImportError:
        hint = "run `pip install 'localft[datasets]'`, or download its files and name them"
        raise DatasetError(
            f"`hf:{name}` is fetched with the library `datasets`, which is not installed", hint
        ) from None
    if report:
        report(f"downloading {name}", 0, 0)
    parts = name.split("/")
    repo, configuration = "/".join(parts[:2]), (parts[2] if parts[2:] else None)
    if Path(repo).exists():  # which the library would take in place of the hub's
        raise DatasetError(f"`hf:{name}` is on the hub, but `{repo}` is here too", f"write `./{repo}` for what is here")
    # before its version 4 a data set could bring a program, which the environment may allow; data is all that is wanted
    with suppress(AttributeError):
        datasets.config.HF_DATASETS_TRUST_REMOTE_CODE = False
    try:
        found: Mapping[str, Any] = datasets.load_dataset(repo, configuration)
    except Exception as error:  # the library lets errors of many others through
        while error.__cause__ is not None and isinstance(error.__cause__, Exception):
            error = error.__cause__
        raise DatasetError(
            f"`hf:{name}` cannot be fetched: {one_line(str(error).strip().partition(chr(10))[0])}",
            "check its name and the network; hf:owner/name/configuration chooses one of several configurations",
        ) from None
    return found


def _write(path: Path, rows: Any, report: Report | None) -> None:
    total = len(rows)
    with path.open("w", encoding="utf-8") as file:
        for done, row in enumerate(_plain(rows)):
            if report and done % 1000 == 0:
                report(f"writing {path.name}", done, total)
            file.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")


def _plain(rows: Iterable[Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    """A table has every column in every row: empty ones are left out."""
    return ({key: value for key, value in row.items() if value is not None} for row in rows)
