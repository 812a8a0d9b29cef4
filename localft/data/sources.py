"""Which files a --data value names: a file, several, or a folder with train, valid and test files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from localft.errors import DatasetError

_SUFFIXES = (".jsonl", ".json", ".ndjson", ".txt")
_VALID = ("valid", "validation", "val", "dev")


@dataclass
class Sources:
    """Files to train on, files to validate on, and what was left alone."""

    train: list[Path] = field(default_factory=list)
    val: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def find_sources(data: Sequence[Path], val_data: Path | None) -> Sources:
    """Resolve folders to their files.

    Args:
        data: files, or folders with a train file and perhaps valid and test files (.jsonl, .json, .ndjson, .txt).
        val_data: a file to validate on in place of a folder's own, or a folder whose valid file is meant.

    Raises:
        DatasetError: a folder without a train file.
    """
    found = Sources()
    for path in data:
        if path.is_dir():
            _folder(found, path)
        else:
            found.train.append(path)
    if val_data is not None:
        if found.val:
            names = ", ".join(f"`{path}`" for path in found.val)
            found.notes.append(f"--val-data takes the place of {names}")
        found.val = (_named(val_data, _VALID) or _named(val_data, ("test",))) if val_data.is_dir() else [val_data]
        if not found.val:
            raise DatasetError(f"`{val_data}` has no valid file", f"expected one of {_names('valid')}")
    return found


def _folder(found: Sources, folder: Path) -> None:
    train = _named(folder, ("train",))
    if not train:
        raise DatasetError(
            f"`{folder}` has no train file", f"expected one of {_names('train')}, or name the file itself"
        )
    found.train += train
    found.val += _named(folder, _VALID)
    found.notes += [f"`{path}` is kept for testing and not read" for path in _named(folder, ("test",))]


def _named(folder: Path, stems: Sequence[str]) -> list[Path]:
    return [path for stem in stems for suffix in _SUFFIXES if (path := folder / f"{stem}{suffix}").is_file()]


def _names(stem: str) -> str:
    return ", ".join(f"{stem}{suffix}" for suffix in _SUFFIXES)
