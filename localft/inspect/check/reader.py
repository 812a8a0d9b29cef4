"""Reads every file to its end, and keeps what cannot be used as problems."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from localft.data.reading.data_file import place
from localft.data.reading.sources import Part
from localft.data.rows.formats import NAME_THEM
from localft.data.rows.reader import NOT_TRAINED, Rows, read_file
from localft.data.rows.row import Columns
from localft.data.rows.row_list import RowList
from localft.errors import DatasetError
from localft.inspect.check.problem import Problem, Problems
from localft.units import count


@dataclass
class FileRead:
    """What one file holds, or a folder of texts.

    Attributes:
        name: of the file, or of the folder with how many texts it holds.
        use: "train" or "validation".
        rows: those that can be used.
        n_empty: rows without a text or an answer, which are left out.
        notes: what else there is to say about the file.
    """

    name: str
    use: str
    rows: RowList = field(default_factory=RowList)
    formats: Counter[str] = field(default_factory=Counter)
    n_empty: int = 0
    notes: list[str] = field(default_factory=list)
    problems: Problems = field(default_factory=Problems)


@dataclass(frozen=True)
class Reader:
    """Reads files as `localft finetune` does, but past every line that it would stop at."""

    sample_start: str | None
    columns: Columns

    def part(self, part: Part) -> list[FileRead]:
        """The files of one --data value; texts of a folder together."""
        if not part.docs:
            return self.files(part.files, "train")
        whole = FileRead(f"{part.name} ({count(len(part.files), 'text')})", "train")
        for path, doc in zip(part.files, part.docs, strict=True):
            self._read(whole, path, doc)
        return [whole]

    def files(self, paths: Sequence[Path], use: str) -> list[FileRead]:
        reads = [FileRead(str(path), use) for path in paths]
        for path, read in zip(paths, reads, strict=True):
            self._read(read, path)
        return reads

    def _read(self, read: FileRead, path: Path, doc: str = "") -> None:
        said = Problems()

        def keep(line: int, error: DatasetError) -> None:
            if not (said.kept and error.message.endswith("has no rows")):
                said.add(Problem("error", "cannot be used", str(path), line, error.message, error.hint or ""))

        try:
            found = read_file(path, self.sample_start, self.columns, doc, keep)
        except DatasetError as error:
            said.add(Problem("error", "cannot be read", str(path), 0, error.message, error.hint or ""))
            found = Rows()
        if read.rows:
            read.rows.extend(found.rows)
        else:
            read.rows = found.rows
        read.formats += found.formats
        read.notes += found.notes
        read.n_empty += sum(found.empty.values())
        for problems in (said, _left_out(path, found), _mixed(path, found)):
            read.problems.extend(problems)


def _left_out(path: Path, found: Rows) -> Problems:
    problems = Problems()
    for line, reason in found.left_out:
        marked = reason == NOT_TRAINED
        message = f"{place(path, line)} has {'' if marked else 'an '}{reason} and is left out"
        hint = "its own flags say so" if marked else "give it one, or remove the line"
        problems.add(Problem("warning", reason, str(path), line, message, hint))
    listed = Counter(reason for _, reason in found.left_out)
    problems.unlisted.update({("warning", reason): n - listed[reason] for reason, n in found.empty.items()})
    problems.unlisted += Counter()
    problems.extend(_unused(path, found))
    return problems


def _unused(path: Path, found: Rows) -> Iterator[Problem]:
    if found.unknown_keys:
        names = ", ".join(f'"{key}"' for key, _ in found.unknown_keys.most_common(5))
        message = f"`{path}` has keys that are not used: {names}"
        hint = f"docs/data.md lists the keys of each format; {NAME_THEM}"
        yield Problem("warning", "unused key", str(path), 0, message, hint)


def _mixed(path: Path, found: Rows) -> Iterator[Problem]:
    # files of `localft data` hold texts and the conversations made from them together
    if len(found.formats) > 1 and not all(row.source_kind for row in found.rows):
        other = next((row.line for row in found.rows if row.kind != found.rows[0].kind), 0)
        parts = ", ".join(f"{count(n, 'row')} of {name}" for name, n in found.formats.most_common())
        where = f"; line {other} is the first unlike those before it" if other else ""
        hint = "each row is worded by its own format; is that meant?"
        yield Problem("warning", "mixed formats", str(path), other, f"`{path}` mixes formats: {parts}{where}", hint)
