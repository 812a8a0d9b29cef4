"""What is there and what became of it, kept on disk: memory does not grow with the number of files."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_TABLES = """
CREATE TABLE files (path BLOB PRIMARY KEY, mode TEXT, blob TEXT, size INTEGER, clean INTEGER, date TEXT) WITHOUT ROWID;
CREATE TABLE skipped (reason TEXT, path TEXT);
CREATE TABLE seen (digest BLOB PRIMARY KEY) WITHOUT ROWID;
"""


class File(NamedTuple):
    """A file of a source.

    Attributes:
        path: in the repository or folder, "/" between its parts, as bytes.
        mode: as git has it; "" where git does not know the file.
        blob: hash of its content, where git has it.
        size: bytes; -1 where not known yet.
        clean: it is what the revision has.
        date: ISO date of the last commit that changed it, None where there is none or the file was changed since.
    """

    path: bytes
    mode: str = ""
    blob: str = ""
    size: int = -1
    clean: bool = False
    date: str | None = None


class Ledger:
    """Files of one source at a time, and what was left out of all of them, in a temporary database."""

    def __init__(self) -> None:
        # "" is a database in a temporary file, which goes with the connection
        self._base = sqlite3.connect("", isolation_level=None)
        self._base.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-4096;" + _TABLES)
        self._base.execute("BEGIN")
        self.counts: Counter[str] = Counter()

    def list_files(self, files: Iterable[File]) -> int:
        """Take the files of a source, in place of the one before; a path that comes twice counts once."""
        self._base.execute("DELETE FROM files")
        self._base.executemany("INSERT OR IGNORE INTO files VALUES (?, ?, ?, ?, ?, ?)", files)
        return int(self._base.execute("SELECT count(*) FROM files").fetchone()[0])

    def files(self) -> Iterator[File]:
        """All files in the order of their paths' bytes, the same on every machine."""
        for row in self._base.execute("SELECT path, mode, blob, size, clean, date FROM files ORDER BY path"):
            path, mode, blob, size, clean, date = row
            yield File(path, mode, blob, size, bool(clean), date)

    def mark_changed(self, paths: Iterable[bytes]) -> None:
        self._base.executemany("UPDATE files SET clean = 0 WHERE path = ?", ((path,) for path in paths))

    def set_dates(self, dates: Iterable[tuple[bytes, str]]) -> None:
        """Give every unchanged file its newest date; stops reading as soon as each has one."""
        left = self._base.execute("SELECT count(*) FROM files WHERE clean").fetchone()[0]
        for path, date in dates:
            if not left:
                return
            sql = "UPDATE files SET date = ? WHERE path = ? AND clean AND date IS NULL"
            left -= self._base.execute(sql, (date, path)).rowcount

    def skip(self, reason: str, path: str) -> None:
        """Note that a file was left out."""
        self.counts[reason] += 1
        self._base.execute("INSERT INTO skipped VALUES (?, ?)", (reason, path))

    def skipped(self, reason: str, limit: int = -1) -> Iterator[str]:
        """Names of what was left out for a reason, in the order in which it was."""
        sql = "SELECT path FROM skipped WHERE reason = ? ORDER BY rowid LIMIT ?"
        for (path,) in self._base.execute(sql, (reason, limit)):
            yield path

    def is_new(self, digest: bytes) -> bool:
        """Whether this content has not come up before."""
        return self._base.execute("INSERT OR IGNORE INTO seen VALUES (?)", (digest,)).rowcount > 0
