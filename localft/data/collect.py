"""All files of a run to units, and what there is to say about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from localft.data.row import USUAL_COLUMNS, Columns, RowKind
from localft.data.rows import Rows, read_file
from localft.data.sources import Part
from localft.data.summary import count
from localft.data.tokenize import Unit
from localft.data.wording import Wording
from localft.errors import ConfigError


@dataclass
class Collector:
    """Reads file after file and keeps count.

    Attributes:
        files: what was read, in the user's words.
        formats, kinds, dropped: rows by format; by kind, replayed ones aside; left out, by reason.
        n_rows: rows read, those that are left out included.
    """

    wording: Wording
    sample_start: str | None = None
    columns: Columns = USUAL_COLUMNS
    files: list[str] = field(default_factory=list)
    formats: Counter[str] = field(default_factory=Counter)
    kinds: Counter[RowKind] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    n_rows: int = 0

    def part(self, part: Part) -> list[Unit]:
        """The rows of one --data value."""
        if not part.docs:
            return self.read(part.files)
        self.files.append(f"{part.name} ({count(len(part.files), 'text')})")
        pairs = zip(part.files, part.docs, strict=True)
        return [unit for path, doc in pairs for unit in self._read(path, doc)]

    def read(self, paths: Sequence[Path]) -> list[Unit]:
        """The rows of files, each named in the table."""
        self.files += map(str, paths)
        return [unit for path in paths for unit in self._read(path)]

    def replay(self, part: Part) -> list[Unit]:
        """Rows that are mixed in; they have no say in how chat words its prompts."""
        kinds = self.kinds.copy()
        units = self.part(part)
        self.kinds = kinds
        return units

    def check_columns(self) -> None:
        """Refuse columns that no row has.

        Raises:
            ConfigError: names them.
        """
        if error := missing_columns(self.columns, self.formats, self.n_rows):
            raise error

    def _read(self, path: Path, doc: str = "") -> list[Unit]:
        found = read_file(path, self.sample_start, self.columns, doc)
        self.formats += found.formats
        self.kinds.update(row.kind for row in found.rows)
        self.dropped += found.empty
        self.n_rows += len(found.rows) + sum(found.empty.values())
        self.notes += [*found.notes, *_row_notes(path, found)]
        joined = sum(self.wording.joins_bluntly(row) for row in found.rows)
        if joined:
            self.notes.append(
                f"`{path.name}`: in {count(joined, 'row')} nothing (no space, no line break) "
                "stands between prompt and completion"
            )
        return [self.wording.unit(row) for row in found.rows]


def missing_columns(columns: Columns, formats: Counter[str], n_rows: int) -> ConfigError | None:
    """What there is to say where no row has the columns that the user named."""
    if not columns.given or formats["/".join(columns.fields)] or not n_rows:
        return None
    names = " and ".join(f"`{name}`" for name in columns.given)
    flags = zip(("--prompt-column", "--answer-column"), columns, strict=True)
    given = " and ".join(flag for flag, name in flags if name)
    return ConfigError(f"no row has {names} ({given})", "the rows were recognised by other keys; check the spelling")


def _row_notes(path: Path, found: Rows) -> Iterator[str]:
    if found.unknown_keys:
        names = ", ".join(f'"{key}"' for key, _ in found.unknown_keys.most_common(5))
        yield f"`{path.name}`: not used: {names}"
    unanswered = sum(bool(row.messages) and row.messages[-1].role != "assistant" for row in found.rows)
    if unanswered:
        ending = f"{count(unanswered, 'conversation')} {'ends' if unanswered == 1 else 'end'} unanswered"
        yield f"`{path.name}`: {ending}; what follows the last answer is left out"
