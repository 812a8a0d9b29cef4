"""All files of a run to units, and what there is to say about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from localft.data.reading.sources import Part
from localft.data.rows.reader import PLAIN_TEXT, read_file
from localft.data.rows.row import USUAL_COLUMNS, Columns, RowKind
from localft.data.rows.sequences import chained
from localft.data.tokens.counts import Counts
from localft.data.tokens.rows_on_disk import stored_units
from localft.data.tokens.run_wording import RunWording
from localft.data.tokens.tokenize import Unit
from localft.data.tokens.tokenize_on_disk import is_large, read_large
from localft.data.tokens.units import units_of
from localft.errors import ConfigError
from localft.report import Report
from localft.units import count


@dataclass
class Collector:
    """Reads file after file and keeps count.

    Attributes:
        files: what was read, in the user's words.
        formats, kinds, dropped: rows by format; by kind, replayed ones aside; left out, by reason.
        n_rows: rows read, those that are left out included.
        report: called as report(stage, done, total) while a large file is tokenized.
    """

    wording: RunWording
    sample_start: str | None = None
    columns: Columns = USUAL_COLUMNS
    files: list[str] = field(default_factory=list)
    formats: Counter[str] = field(default_factory=Counter)
    kinds: Counter[RowKind] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    n_rows: int = 0
    report: Report | None = None

    def part(self, part: Part) -> Sequence[Unit]:
        """The rows of one --data value."""
        if not part.docs:
            return self.read(part.files)
        self.files.append(f"{part.name} ({count(len(part.files), 'text')})")
        pairs = zip(part.files, part.docs, strict=True)
        return chained([self._read(path, doc) for path, doc in pairs])

    def read(self, paths: Sequence[Path]) -> Sequence[Unit]:
        """The rows of files, each named in the table."""
        self.files += map(str, paths)
        return chained([self._read(path) for path in paths])

    def replay(self, part: Part) -> Sequence[Unit]:
        """Rows that are mixed in; they have no say in how chat words its prompts."""
        kinds = self.kinds.copy()
        units = self.part(part)
        self.kinds = kinds
        return units

    def check_columns(self) -> None:
        """Refuse columns that no row has, and a start of documents where no file is a plain text.

        Raises:
            ConfigError: names them.
        """
        missing = missing_columns(self.columns, self.formats, self.n_rows)
        if error := missing or idle_sample_start(self.sample_start, self.formats):
            raise error

    def _read(self, path: Path, doc: str = "") -> Sequence[Unit]:
        stored = read_large(path, self.wording, self.columns, self.report) if is_large(path) else None
        if stored is not None:
            units: Sequence[Unit] = stored_units(stored)
            counts = stored.counts
            self.wording.remember(counts.habits)
        else:
            found = read_file(path, self.sample_start, self.columns, doc)
            units = units_of(found.rows, self.wording.unit)
            counts = Counts.of(found, self.wording)
            self.notes += found.notes
        self.formats += counts.formats
        self.kinds += counts.kinds
        self.dropped += counts.dropped
        self.n_rows += counts.n_rows
        self.notes += counts.notes(path.name)
        return units


def idle_sample_start(sample_start: str | None, formats: Iterable[str]) -> ConfigError | None:
    """What there is to say where --sample-start has no plain text to split."""
    if not sample_start or any(name.startswith(PLAIN_TEXT) for name in formats):
        return None
    return ConfigError(
        "`--sample-start` has nothing to do: no file is a plain text", "leave it out: rows are split already"
    )


def missing_columns(columns: Columns, formats: Counter[str], n_rows: int) -> ConfigError | None:
    """What there is to say where no row has the columns that the user named."""
    if not columns.given or formats["/".join(columns.fields)] or not n_rows:
        return None
    names = " and ".join(f"`{name}`" for name in columns.given)
    flags = zip(("--prompt-column", "--answer-column"), columns, strict=True)
    given = " and ".join(flag for flag, name in flags if name)
    return ConfigError(f"no row has {names} ({given})", "the rows were recognised by other keys; check the spelling")
