"""What a data file is read as: what its bytes say, and its name where they leave it open."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Literal, NamedTuple

from localft.data.reading.compressed import SUFFIXES as COMPRESSED
from localft.data.reading.compressed import Packing, decompressed
from localft.errors import DatasetError
from localft.files import open_file
from localft.kinds.file_kind import HEAD, FileKind, Kind, file_kind, head_kind
from localft.kinds.text_kind import TextForm

Rows = Literal["json", "csv", "tsv", "parquet", "text"]
_NAMES: dict[str, Rows] = {
    **dict.fromkeys((".jsonl", ".json", ".ndjson"), "json"),
    **{".csv": "csv", ".tsv": "tsv", ".parquet": "parquet", ".txt": "text", ".md": "text"},
}
_TABLES: dict[TextForm, Rows] = {TextForm.COMMAS: "csv", TextForm.TABS: "tsv"}


class DataFormat(NamedTuple):
    """How a file is read.

    Attributes:
        rows: "json" is an object a line or one array, "text" one document.
        packing: how it is compressed, "" where it is not.
        form: of a text, as its beginning says.
    """

    rows: Rows
    packing: Packing = ""
    form: TextForm = TextForm.PLAIN

    @property
    def is_table(self) -> bool:
        """Whether rows have columns and not keys."""
        return self.rows in ("csv", "tsv", "parquet")


def data_suffix(path: Path) -> str:
    """A name's suffix in lower case, the one before .gz or .zst where it has one of those."""
    stem = path.stem if path.suffix.lower() in COMPRESSED else path.name
    return Path(stem).suffix.lower()


def data_format(path: Path) -> DataFormat:
    """How the file at `path` is read; what cannot be looked into is judged by its name."""
    named = _NAMES.get(data_suffix(path))
    packing = COMPRESSED.get(path.suffix.lower(), "")
    try:
        kind = file_kind(path)
        packing = data_packing(path, kind)
        if packing:
            kind = _unpacked(path, packing)
    except (OSError, DatasetError):
        return DataFormat(named or "text", packing)
    if kind.kind is Kind.PARQUET:
        return DataFormat("parquet", packing)
    if kind.form.is_json:
        return DataFormat("json", packing, kind.form)
    return DataFormat(named or _TABLES.get(kind.form, "text"), packing, kind.form)


def data_packing(path: Path, kind: FileKind) -> Packing:
    """How a file of a `kind` is compressed: as its name says where it is damaged, so that this is what is said."""
    packed: dict[Kind, Packing] = {Kind.GZIP: "gzip", Kind.ZSTANDARD: "zstd"}
    if kind.kind in (Kind.EMPTY, Kind.UNKNOWN):
        return COMPRESSED.get(path.suffix.lower(), "")
    return packed.get(kind.kind, "")


def _unpacked(path: Path, packing: Packing) -> FileKind:
    with open_file(path) as file:
        return head_kind(next(decompressed(path, file, packing, HEAD), b""))


def no_lines(path: Path) -> tuple[str, str] | None:
    """What a file is and what to do with it, where it holds no JSON; None where it does, or cannot be looked into."""
    if path.is_dir():
        return "a folder", f"`localft data build {path} -o rows.jsonl` makes rows of what is in it"
    try:
        kind = file_kind(path)
    except OSError:
        return None
    if kind.what and kind.kind is not Kind.EMPTY:
        return kind.what, kind.hint
    rows = data_format(path).rows
    if rows == "json" or kind.kind is Kind.EMPTY:
        return None
    if rows == "text":
        build = shlex.join(["localft", "data", "build", str(path.parent), "--include", path.name, "-o", "rows.jsonl"])
        return "a text", f"`{build}` makes rows of it"
    return "a table", 'save it as JSON lines, one object a row, such as {"text": "…"}'
