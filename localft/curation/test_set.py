"""A test set kept apart: rows of whole documents, chosen once, in a file that no run reads."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from localft.data.reading.data_format import no_lines
from localft.data.reading.expansion import refuse_expansion
from localft.data.reading.lines import json_values
from localft.data.rows.documents import number_documents
from localft.data.rows.formats import read_row
from localft.data.rows.reader import empty_reason
from localft.data.rows.row import USUAL_COLUMNS, Row
from localft.data.rows.row_list import RowList
from localft.data.rows.sequences import Mapped, picked
from localft.data.split.find_leaks import find_leaks
from localft.data.split.leakage import Leakage, settle
from localft.data.split.validation import Numbers, choose_rows
from localft.data.tokens.tokenize import Unit
from localft.errors import ConfigError, DatasetError
from localft.files import real_path
from localft.outputs import output_paths, require_replaceable
from localft.settings.data_settings import OnLeak
from localft.units import count

SHARE = 0.1
_FORCE = "choose another folder, or replace it with --force"


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
    force: bool = False,
) -> DataSplit:
    """Write `folder`/train.jsonl and, unless it is there already, `folder`/test.jsonl.

    The test set is chosen as validation rows are (see `choose_rows`). One that is there stays as it is, and rows of
    its documents, and copies of its rows, are left out of the training rows.

    Args:
        paths: JSON lines.
        share: of the rows, for a test set that is chosen now; None: a tenth.
        seed: of the choice.
        on_leak: what is done about training rows that give a test row away.
        allow_expansion: compressed files may hold however much they like, see `refuse_expansion`.
        force: replace a train.jsonl that is there, whosever it is; a test.jsonl stays as it is all the same.

    Raises:
        ConfigError: options that cannot hold, or see `output_paths`.
        DatasetError: a file cannot be read, a row is none, nothing would be left, or something leaks and is refused.
    """
    train, test = folder / "train.jsonl", folder / "test.jsonl"
    _check(paths, train, test, share)
    require_replaceable(train, force=force, hint=_FORCE)
    for path in () if allow_expansion else paths:
        refuse_expansion(path)
    found = _read(paths)
    old = RowList(_rows(test)) if test.exists() else RowList()
    sides = _as_it_was(found.rows, old, test) if old else _choose(found.rows, share or SHARE, seed)
    tested = old or picked(found.rows, sides.test)
    leakage = find_leaks(picked(found.rows, sides.train), tested)
    settle((), leakage, on_leak, "test")
    leaking = np.fromiter(leakage.leaking, np.int64) if on_leak == "drop" else np.zeros(0, np.int64)
    kept = np.delete(sides.train, leaking)
    if not kept.size:
        raise DatasetError("no row is left to train on", f"all are of documents in `{test}`, or give its rows away")
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {train: kept} if old else {train: kept, test: sides.test}
    with output_paths(*wanted, force=force, hint=_FORCE) as temporaries:
        for temporary, numbers in zip(temporaries, wanted.values(), strict=True):
            _write(temporary, paths, found.numbers[numbers])
    n_empty, n_held = found.n_read - len(found.rows), len(found.rows) - sides.train.size - sides.test.size
    return DataSplit(
        train, test, found.n_read, kept.size, len(tested), n_empty, n_held, leaking.size, sides.reason, leakage
    )


def _check(paths: Sequence[Path], train: Path, test: Path, share: float | None) -> None:
    for path in paths:
        if found := no_lines(path):
            raise ConfigError(f"`{path}` is {found[0]}, expected JSON lines", found[1])
        if real_path(path) in (real_path(train), real_path(test)):
            raise ConfigError(f"`{path}` is read, and would be written", "give another folder")
    if share is not None and test.exists():
        raise ConfigError(
            f"there is a test set in `{test}`, and --test {share:g}", "leave --test out, or delete the file"
        )


class _Found(NamedTuple):
    """Rows that say something, the number of each among all that were read, and how many those are."""

    rows: RowList
    numbers: Numbers
    n_read: int


def _read(paths: Sequence[Path]) -> _Found:
    rows, numbers, n = RowList(), array("q"), 0
    for row in (row for path in paths for row in _rows(path)):
        if not empty_reason(row):
            rows.append(row)
            numbers.append(n)
        n += 1
    return _Found(rows, np.array(numbers, np.int64), n)


def _rows(path: Path) -> Iterator[Row]:
    n = 0
    for line, value in json_values(path):
        n += 1
        yield read_row(path, line, value, USUAL_COLUMNS).row
    if not n:
        raise DatasetError(f"`{path}` has no rows", "give files that have some")


class _Sides(NamedTuple):
    """Which rows train and which test (numbers [n], ascending), and how they were chosen."""

    train: Numbers
    test: Numbers
    reason: str


def _choose(rows: RowList, share: float, seed: int) -> _Sides:
    """Rows of a new test set; with them all rows of their documents are no training rows."""
    if len(rows) * share >= 1:
        found = choose_rows(Mapped(lambda row: Unit(row, ()), rows), val_split=share, val_samples=None, seed=seed)
        if found.val.size:
            return _Sides(found.train, found.val, found.reason)
    raise DatasetError(
        f"there are too few rows to keep {share:.0%} of them apart: {count(len(rows), 'row')}",
        "add rows of other documents; those of one document, and equal ones, stay together",
    )


def _as_it_was(rows: RowList, old: RowList, test: Path) -> _Sides:
    documents = number_documents(chain(rows, old))
    train = np.flatnonzero(~np.isin(documents[: len(rows)], documents[len(rows) :]))
    return _Sides(train, np.zeros(0, np.int64), f"as `{test}` had it")


def _write(out: Path, paths: Sequence[Path], chosen: Numbers) -> None:
    wanted = map(int, chosen)
    following = next(wanted, None)
    with out.open("w", encoding="utf-8", newline="\n") as file:
        values: Iterator[Any] = (value for path in paths for _, value in json_values(path))
        for i, value in enumerate(values):
            if i == following:
                file.write(json.dumps(value, ensure_ascii=False) + "\n")
                following = next(wanted, None)
