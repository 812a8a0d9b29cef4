"""The files of a folder that are read: those of its splits by their names, or texts; and what is said where neither is.

Rows under other names are never passed over for the texts beside them, such as the README of a data set.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from localft.data.reading.compressed import SUFFIXES as COMPRESSED
from localft.data.reading.data_format import data_format, data_suffix
from localft.errors import DatasetError
from localft.kinds.text_kind import TextForm

_SUFFIXES = (".jsonl", ".json", ".ndjson", ".txt")
# looked for where there is none of the above, so that a table beside a train.jsonl is not read twice
_MORE_SUFFIXES = (".csv", ".tsv", ".parquet", ".md")
_TEXTS = (".txt", ".md")
_ROWS = (*(suffix for suffix in (*_SUFFIXES, *_MORE_SUFFIXES) if suffix not in _TEXTS), ".arrow")
# texts about what lies beside them
_ABOUT = re.compile(r"(?i)(?:readme|licen[cs]e|copying|notice|citation)(?:[._-].*)?")
VALID = ("valid", "validation", "val", "dev")
SPLITS = ("train", *VALID, "test")
_WITHOUT_TRAIN = "of code and pages `localft data build {folder} -o rows.jsonl` makes rows"


def named(folder: Path, stems: Sequence[str]) -> list[Path]:
    for suffixes in (_SUFFIXES, _MORE_SUFFIXES):
        found = [path for stem in stems for suffix in suffixes if (path := _first(folder / f"{stem}{suffix}"))]
        if found:
            return found
    return []


def _holds_rows(path: Path) -> bool:
    """Whether a file has rows and no text. Settings and the like are one object over several lines, and not meant."""
    suffix = data_suffix(path)
    if suffix not in (*_ROWS, *_TEXTS):
        return False
    if suffix == ".json" or suffix in _TEXTS:
        return data_format(path).form in (TextForm.LINES, TextForm.ARRAY, TextForm.HOLDER)
    return True


def _rows_elsewhere(folder: Path, rows: Sequence[Path]) -> DatasetError:
    message = f"`{folder}` has no train file, and rows under other names: {_listed(folder, rows)}"
    first = shlex.quote(str(rows[0]))
    hint = f"name the files, such as `--data {first}`, or call one train{data_suffix(rows[0])}; "
    return DatasetError(message, f"{hint}to train on the texts beside them alone, move them into a folder of their own")


def _listed(folder: Path, paths: Sequence[Path]) -> str:
    names = ", ".join(f"`{path.relative_to(folder)}`" for path in paths[:3])
    return names + (f" and {len(paths) - 3:,} more" if len(paths) > 3 else "")


def texts_in(folder: Path) -> tuple[list[Path], int]:
    """Every text in a folder and the folders in it, in order of their names, nothing hidden; and how many other files.

    Raises:
        DatasetError: rows lie among them, or they only tell of the folder.
    """
    files = _walk(folder)
    if rows := [path for path in files if _holds_rows(path)]:
        raise _rows_elsewhere(folder, rows)
    texts = [path for path in files if data_suffix(path) in _TEXTS]
    if texts and all(_ABOUT.fullmatch(path.name) for path in texts):
        message = f"`{folder}` has no train file, and no text but {_listed(folder, texts)}, which tells of the rest"
        raise DatasetError(message, f"name it where it is meant; {_WITHOUT_TRAIN.format(folder=folder)}")
    return texts, len(files) - len(texts)


def nothing_in(folder: Path) -> DatasetError:
    """What to say about a folder with neither a train file nor texts nor rows."""
    if not any(folder.iterdir()):
        return DatasetError(f"the folder `{folder}` is empty", "check the path; name a folder or file with rows")
    expected = f"expected one of {names_of('train')}; or texts (.txt, .md) alone"
    held = [each.name for each in sorted(folder.iterdir()) if data_suffix(each) in (*_SUFFIXES, *_MORE_SUFFIXES)]
    if held:
        names = ", ".join(f"`{name}`" for name in held[:3]) + (", …" if len(held) > 3 else "")
        return DatasetError(f"`{folder}` has no train file", f"{expected}; or name a file itself: it has {names}")
    hint = f"{expected}; {_WITHOUT_TRAIN.format(folder=folder)}"
    return DatasetError(f"`{folder}` has neither a train file nor texts", hint)


def _first(path: Path) -> Path | None:
    """The file, or else the same compressed."""
    for suffix in ("", *COMPRESSED):
        if (whole := path.with_name(path.name + suffix)).is_file():
            return whole
    return None


def require_readable(folder: Path) -> None:
    """Refuse a folder that cannot be listed, or whose files cannot be reached."""
    try:
        with os.scandir(folder) as entries:
            if entry := next(entries, None):
                entry.stat(follow_symlinks=False)
    except OSError as error:
        raise _unreadable(folder, error) from None


def _unreadable(folder: Path, error: OSError) -> DatasetError:
    name = shlex.quote(str(folder))
    hint = f"`ls -ld {name}` says who may read it, its owner allows it with `chmod u+rx {name}`; or name other files"
    return DatasetError(f"cannot read the folder `{folder}`: {error.strerror}", hint)


def _walk(folder: Path) -> list[Path]:
    def refuse(error: OSError) -> None:
        raise _unreadable(Path(error.filename), error)

    found = []
    for where, folders, names in os.walk(folder, onerror=refuse):  # links to folders are not followed
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(where) / name for name in names if not name.startswith(".")]
    return sorted(found)


def names_of(stem: str) -> str:
    return ", ".join(f"{stem}{suffix}" for suffix in (*_SUFFIXES, *_MORE_SUFFIXES))
