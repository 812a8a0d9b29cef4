"""Files to rows, whatever their format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from localft.data.reading.data_file import EXPECTED, OnProblem, read_text, refuse
from localft.data.reading.data_format import DataFormat, data_format, data_suffix
from localft.data.reading.lines import Block, block_values, json_values, text_lines
from localft.data.reading.parquet import parquet_values
from localft.data.reading.tables import csv_values
from localft.data.rows.formats import read_row
from localft.data.rows.row import USUAL_COLUMNS, Columns, Row
from localft.data.rows.row_list import RowList
from localft.errors import DatasetError
from localft.kinds.text_kind import TextForm

MOST_LISTED = 10_000
NOT_TRAINED = "no answer that is to be learned"
PLAIN_TEXT = "plain text"  # the format of a file that holds no rows


@dataclass
class Rows:
    """What was read: the rows, how many came in which format, unknown keys, and lines that are left out with why.

    Of the last two the first `MOST_LISTED` are kept; `empty` counts all lines that are left out.
    """

    rows: RowList = field(default_factory=RowList)
    formats: Counter[str] = field(default_factory=Counter)
    unknown_keys: Counter[str] = field(default_factory=Counter)
    empty: Counter[str] = field(default_factory=Counter)
    left_out: list[tuple[int, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_file(
    path: Path,
    sample_start: str | None = None,
    columns: Columns = USUAL_COLUMNS,
    doc: str = "",
    on_problem: OnProblem = refuse,
) -> Rows:
    """Read one data file.

    `.jsonl`, `.ndjson` and `.json` hold JSON objects, one a line or one array, and so does what begins like them;
    `.csv`, `.tsv` and Parquet hold named columns; any other text file is one document. Each may be compressed (gzip,
    Zstandard).

    Args:
        path: the file.
        sample_start: text that stands before each document of a text file; it is left out of them.
        columns: the user's names for the keys of questions and answers.
        doc: id of a text file that is one of a folder of documents; such a file may be empty.
        on_problem: called with the line and the error where a line cannot be used; the reader then goes on with the
            next. By default it raises.

    Raises:
        DatasetError: not there, not UTF-8, empty, or a line that is no row of a known format (named, with its number).
    """
    found = Rows()
    form = data_format(path)
    values = _values(path, form, on_problem)
    if values is None:
        text = read_text(path, on_problem).replace("\r\n", "\n").replace("\r", "\n")
        if form.form in (TextForm.COMMAS, TextForm.TABS):
            say = "looks like a table and is read as text: name it .csv or .tsv to have its rows"
            found.notes.append(f"`{path.name}` {say}")
        _add_documents(found, path, text, sample_start, doc)
    else:
        if data_suffix(path) in (".txt", ".md"):
            found.notes.append(f"`{path.name}` holds JSON and no text: it is read as rows")
        _add_rows(found, path, values, columns, on_problem)
    if not found.rows and not found.empty:
        on_problem(1, DatasetError(f"`{path}` has no rows", f"{EXPECTED}; see docs/data.md"))
    return found


def read_block(path: Path, block: Block, columns: Columns) -> Rows:
    """Read a few lines of a file of JSON Lines, see `read_file`; there may be no row in them."""
    found = Rows()
    _add_rows(found, path, block_values(path, block), columns, refuse)
    return found


def _add_rows(
    found: Rows, path: Path, values: Iterator[tuple[int, Any]], columns: Columns, on_problem: OnProblem
) -> None:
    for line, value in values:
        try:
            _add_row(found, path, line, value, columns)
        except DatasetError as error:
            on_problem(line, error)


def _values(path: Path, form: DataFormat, on_problem: OnProblem) -> Iterator[tuple[int, Any]] | None:
    """Each object of a file with the line that it starts on; None for a file of plain text."""
    if form.rows == "json":
        return json_values(path, on_problem)
    if form.rows in ("csv", "tsv"):
        return csv_values(path, text_lines(path, on_problem), "," if form.rows == "csv" else "\t", on_problem)
    return parquet_values(path) if form.rows == "parquet" else None


def _add_row(found: Rows, path: Path, line: int, value: Any, columns: Columns) -> None:
    row, name, unused, trained = read_row(path, line, value, columns)
    known = found.unknown_keys
    known.update(unused if len(known) < MOST_LISTED else filter(known.__contains__, unused))
    if problem := empty_reason(row) or ("" if trained else NOT_TRAINED):
        found.empty[problem] += 1
        if len(found.left_out) < MOST_LISTED:
            found.left_out.append((line, problem))
        return
    found.rows.append(row)
    found.formats[name] += 1


def empty_reason(row: Row) -> str:
    """Why nothing can be learned from a row, "" where something can."""
    if row.kind == "text":
        return "empty text" if _is_blank(row.text) else ""
    answers = [message for message in row.messages if message.role == "assistant"]
    if any(_is_blank(answer.content) for answer in answers):
        return "empty answer"
    return "" if any(answer.trained for answer in answers) else NOT_TRAINED


def _is_blank(text: str) -> bool:
    """Whether there is nothing but white space; unlike `strip`, without a copy."""
    return not text or text.isspace()


def _add_documents(found: Rows, path: Path, text: str, sample_start: str | None, doc: str) -> None:
    starts = [0]
    if sample_start:
        at = -1
        while (at := text.find(sample_start, at + 1 if at < 0 else at + len(sample_start))) >= 0:
            starts.append(at)
        if len(starts) == 1:
            found.notes.append(f"`{sample_start}` does not occur in `{path.name}`: the whole file is one document")
    kind = f"{PLAIN_TEXT}, split at --sample-start" if len(starts) > 1 else PLAIN_TEXT
    source_kind = "file" if doc else ""
    line, before = 1, 0
    for number, (start, end) in enumerate(zip(starts, [*starts[1:], len(text)], strict=True)):
        line, before = line + text.count("\n", before, start), start
        document = text[start + (len(sample_start or "") if number else 0) : end]
        if not _is_blank(document):
            found.rows.append(Row("text", str(path), line, document, doc=doc, source_kind=source_kind))
            found.formats[kind] += 1
        elif number or doc:
            found.empty["empty text"] += 1
            if len(found.left_out) < MOST_LISTED:
                found.left_out.append((line, "empty text"))
