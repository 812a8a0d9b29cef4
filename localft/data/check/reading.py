"""Reads every file to its end, and keeps what cannot be used as problems."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from localft.data.check.problem import Problem
from localft.data.rows import Row, Rows, read_file
from localft.data.summary import count
from localft.errors import DatasetError


@dataclass
class FileRead:
    """What one file holds.

    Attributes:
        use: "train" or "validation".
        rows: those that can be used.
        n_empty: rows without a text or an answer, which are left out.
        notes: what else there is to say about the file.
    """

    path: Path
    use: str
    rows: list[Row] = field(default_factory=list)
    formats: Counter[str] = field(default_factory=Counter)
    n_empty: int = 0
    notes: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def read_files(paths: Sequence[Path], use: str, sample_start: str | None) -> list[FileRead]:
    """Read files as `localft finetune` does, but past every line that it would stop at."""
    return [_read(path, use, sample_start) for path in paths]


def _read(path: Path, use: str, sample_start: str | None) -> FileRead:
    read = FileRead(path, use)

    def keep(line: int, error: DatasetError) -> None:
        if not (read.problems and error.message.endswith("has no rows")):
            read.problems.append(Problem("error", "cannot be used", str(path), line, error.message, error.hint or ""))

    try:
        found = read_file(path, sample_start, keep)
    except DatasetError as error:
        kind = "cannot be read"
        read.problems.append(Problem("error", kind, str(path), 0, error.message, error.hint or ""))
        return read
    read.rows, read.formats, read.notes = found.rows, found.formats, found.notes
    read.n_empty = sum(found.empty.values())
    read.problems += _left_out(path, found)
    read.problems += _mixed(path, found)
    return read


def _left_out(path: Path, found: Rows) -> Iterator[Problem]:
    for line, reason in found.left_out:
        message = f"line {line} of `{path}` has an {reason} and is left out"
        yield Problem("warning", reason, str(path), line, message, "give it one, or remove the line")
    if found.unknown_keys:
        names = ", ".join(f'"{key}"' for key, _ in found.unknown_keys.most_common(5))
        message = f"`{path}` has keys that are not used: {names}"
        yield Problem("warning", "unused key", str(path), 0, message, "docs/data.md lists the keys of each format")


def _mixed(path: Path, found: Rows) -> Iterator[Problem]:
    if len(found.formats) > 1:
        other = next((row.line for row in found.rows if row.kind != found.rows[0].kind), 0)
        parts = ", ".join(f"{count(n, 'row')} of {name}" for name, n in found.formats.most_common())
        where = f"; line {other} is the first unlike those before it" if other else ""
        hint = "each row is worded by its own format; is that meant?"
        yield Problem("warning", "mixed formats", str(path), other, f"`{path}` mixes formats: {parts}{where}", hint)
