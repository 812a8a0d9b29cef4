"""A test set kept apart: rows of whole documents, chosen once, in a file that no run reads."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from localft.data.reading.data_file import data_suffix
from localft.data.reading.expansion import refuse_expansion
from localft.data.reading.lines import json_values
from localft.data.rows.documents import number_documents
from localft.data.rows.formats import read_row
from localft.data.rows.reader import empty_reason
from localft.data.rows.row import USUAL_COLUMNS, Row
from localft.data.split.leakage import Leakage, find_leaks, settle
from localft.data.split.validation import split_rows
from localft.data.tokens.tokenize import Unit
from localft.errors import ConfigError, DatasetError
from localft.files import atomic_paths
from localft.settings.data_settings import OnLeak
from localft.units import count

SHARE = 0.1
_LINES = (".jsonl", ".ndjson", ".json")


@dataclass(frozen=True)
class DataSplit:
    """What became of the rows.

    Attributes:
        train, test: the files.
        n_read, n_train, n_test: rows that were read, and that the files hold now.
        n_empty: rows without a text or an answer, in neither file.
        n_held: rows of documents in the test set that are in neither file.
        n_leaking: rows left out because they give a test row away.
        reason: how the test set was chosen.
        leakage: what the training rows give away, those that were then left out included.
    """

    train: Path
    test: Path
    n_read: int
    n_train: int
    n_test: int
    n_empty: int
    n_held: int
    n_leaking: int
    reason: str
    leakage: Leakage = field(repr=False)


def split_data(
    paths: Sequence[Path],
    folder: Path,
    share: float | None = None,
    seed: int = 42,
    on_leak: OnLeak = "warn",
    allow_expansion: bool = False,
) -> DataSplit:
    """Write `folder`/train.jsonl and, unless it is there already, `folder`/test.jsonl.

    The test set is chosen as validation rows are (see `split_rows`). One that is there stays as it is, and rows of
    its documents, and copies of its rows, are left out of the training rows. The rows are held in memory.

    Args:
        paths: JSON lines.
        share: of the rows, for a test set that is chosen now; None: a tenth.
        seed: of the choice.
        on_leak: what is done about training rows that give a test row away.
        allow_expansion: compressed files may hold however much they like, see `refuse_expansion`.

    Raises:
        ConfigError: options that cannot hold.
        DatasetError: a file cannot be read, a row is none, nothing would be left, or something leaks and is refused.
    """
    train, test = folder / "train.jsonl", folder / "test.jsonl"
    _check(paths, train, test, share)
    for path in () if allow_expansion else paths:
        refuse_expansion(path)
    read = [row for path in paths for row in _rows(path)]
    rows = {i: row for i, row in enumerate(read) if not empty_reason(row)}
    old = [*_rows(test)] if test.exists() else []
    chosen, held, reason = _as_it_was(rows, old, test) if old else _choose(rows, share or SHARE, seed)
    left = [i for i in rows if i not in held]
    tested = old or [rows[i] for i in sorted(chosen)]
    leakage = find_leaks([rows[i] for i in left], tested)
    kept = settle(left, leakage, on_leak, "test")
    if not kept:
        raise DatasetError("no row is left to train on", f"all are of documents in `{test}`, or give its rows away")
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {train: frozenset(kept)} if old else {train: frozenset(kept), test: chosen}
    with atomic_paths(*wanted) as temporaries:
        for temporary, numbers in zip(temporaries, wanted.values(), strict=True):
            _write(temporary, paths, numbers)
    n_empty, n_held, n_leaking = len(read) - len(rows), len(held) - len(chosen), len(left) - len(kept)
    return DataSplit(train, test, len(read), len(kept), len(tested), n_empty, n_held, n_leaking, reason, leakage)


def _check(paths: Sequence[Path], train: Path, test: Path, share: float | None) -> None:
    for path in paths:
        if path.is_dir() or (path.exists() and data_suffix(path) not in _LINES):
            hint = f"`localft data build {path} -o rows.jsonl` makes some" if path.is_dir() else "give a .jsonl file"
            raise ConfigError(f"`{path}` is no file of JSON lines", hint)
        if path.resolve() in (train.resolve(), test.resolve()):
            raise ConfigError(f"`{path}` is read, and would be written", "give another folder")
    if share is not None and test.exists():
        raise ConfigError(
            f"there is a test set in `{test}`, and --test {share:g}", "leave --test out, or delete the file"
        )


def _rows(path: Path) -> Iterator[Row]:
    n = 0
    for line, value in json_values(path):
        n += 1
        yield read_row(path, line, value, USUAL_COLUMNS).row
    if not n:
        raise DatasetError(f"`{path}` has no rows", "give files that have some")


def _choose(rows: Mapping[int, Row], share: float, seed: int) -> tuple[frozenset[int], frozenset[int], str]:
    """Rows of a new test set, with them all rows of their documents, and how they were chosen."""
    numbers = {id(row): i for i, row in rows.items()}
    units = [Unit(row, ()) for row in rows.values()]
    if len(rows) * share >= 1:
        split = split_rows(units, 0, val_split=share, val_samples=None, seed=seed)
        if split.val:
            chosen, rest = ([numbers[id(unit.row)] for unit in part] for part in (split.val, split.left_out))
            return frozenset(chosen), frozenset([*chosen, *rest]), split.reason
    raise DatasetError(
        f"there are too few rows to keep {share:.0%} of them apart: {count(len(rows), 'row')}",
        "add rows of other documents; those of one document, and equal ones, stay together",
    )


def _as_it_was(rows: Mapping[int, Row], old: Sequence[Row], test: Path) -> tuple[frozenset[int], frozenset[int], str]:
    documents = number_documents([*rows.values(), *old])
    tested = set(documents[len(rows) :])
    held = frozenset(i for i, document in zip(rows, documents, strict=False) if document in tested)
    return frozenset(), held, f"as `{test}` had it"


def _write(out: Path, paths: Sequence[Path], chosen: Collection[int]) -> None:
    with out.open("w", encoding="utf-8", newline="\n") as file:
        values: Iterator[Any] = (value for path in paths for _, value in json_values(path))
        for i, value in enumerate(values):
            if i in chosen:
                file.write(json.dumps(value, ensure_ascii=False) + "\n")
