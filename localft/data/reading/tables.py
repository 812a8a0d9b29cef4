"""Tables to objects with their lines: CSV and TSV."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from localft.data.reading.data_file import OnProblem, place, refuse
from localft.data.reading.lines import MAX_LINE
from localft.errors import DatasetError
from localft.units import count

_LONGEST_FIELD = MAX_LINE
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_QUOTE = 'with `"` inside as `""`'


def csv_values(
    path: Path, texts: Iterable[str], delimiter: str, on_problem: OnProblem = refuse
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each row of a CSV or TSV file by its columns' names, with the line that it starts on.

    Args:
        path: for messages.
        texts: the file's text, a few whole lines at a time.
        delimiter: between fields.
        on_problem: told of rows that cannot be used.

    Raises:
        DatasetError: quotes that do not close, a row of another width than the header, two columns of one name.
    """
    before = csv.field_size_limit(_LONGEST_FIELD)
    try:
        lines = _csv_lines(path, texts, delimiter)
        line, names = next(lines, (1, []))
        _check_header(path, line, names, delimiter)
        for line, fields in lines:
            if len(fields) != len(names):
                n_columns = count(len(names), "column")
                message = f"{place(path, line)} has {count(len(fields), 'field')}, and the header names {n_columns}"
                hint = f"fields with commas or line breaks stand in double quotes, {_QUOTE}"
                on_problem(line, DatasetError(message, hint))
                continue
            yield line, {name: _unix(field) for name, field in zip(names, fields, strict=True) if name}
    finally:
        csv.field_size_limit(before)


def _csv_lines(path: Path, texts: Iterable[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    lines = (match[0] for text in texts for match in _LINE.finditer(text))
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        start = reader.line_num + 1
        try:
            fields = next(reader, None)
        except csv.Error as error:
            hint = f"a field that begins with a quote ends with one, {_QUOTE}"
            raise DatasetError(f"{place(path, start)} is no CSV: {error}", hint) from None
        if fields is None:
            return
        if fields:
            yield start, fields


def _unix(field: str) -> str:
    """A field with "\\n" where Windows and old Macs end a line, as in a text."""
    return field.replace("\r\n", "\n").replace("\r", "\n") if "\r" in field else field


def _check_header(path: Path, line: int, names: list[str], delimiter: str) -> None:
    twice = [name for name, n in Counter(names).items() if name and n > 1]
    if twice:
        raise DatasetError(f'{place(path, line)} names the column "{twice[0]}" twice', "each column needs its own name")
    other = next((mark for mark in ";\t,|" if len(names) == 1 and mark != delimiter and mark in names[0]), None)
    if other:
        shown, wanted = ("a tab" if mark == "\t" else f"`{mark}`" for mark in (other, delimiter))
        hint = "name a file with tabs .tsv" if other == "\t" else f"save it with {wanted} between columns"
        raise DatasetError(f"{place(path, line)} has {shown} between its columns, expected {wanted}", hint)
