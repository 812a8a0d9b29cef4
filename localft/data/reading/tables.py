"""Tables to objects with their lines: CSV, TSV and Parquet."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from localft.data.reading.data_file import OnProblem, place, read_bytes, refuse
from localft.errors import DatasetError
from localft.units import count

_LONGEST_FIELD = 2**31 - 1
_QUOTE = 'with `"` inside as `""`'


def csv_values(
    path: Path, text: str, delimiter: str, on_problem: OnProblem = refuse
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each row of a CSV or TSV file by its columns' names, with the line that it starts on.

    Raises:
        DatasetError: quotes that do not close, a row of another width than the header, two columns of one name.
    """
    before = csv.field_size_limit(_LONGEST_FIELD)
    try:
        lines = _csv_lines(path, text, delimiter)
        line, names = next(lines, (1, []))
        _check_header(path, line, names, delimiter)
        for line, fields in lines:
            if len(fields) != len(names):
                n_columns = count(len(names), "column")
                message = f"{place(path, line)} has {count(len(fields), 'field')}, and the header names {n_columns}"
                hint = f"fields with commas or line breaks stand in double quotes, {_QUOTE}"
                on_problem(line, DatasetError(message, hint))
                continue
            yield line, {name: field for name, field in zip(names, fields, strict=True) if name}
    finally:
        csv.field_size_limit(before)


def _csv_lines(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
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


def _check_header(path: Path, line: int, names: list[str], delimiter: str) -> None:
    twice = [name for name, n in Counter(names).items() if name and n > 1]
    if twice:
        raise DatasetError(f'{place(path, line)} names the column "{twice[0]}" twice', "each column needs its own name")
    other = next((mark for mark in ";\t,|" if len(names) == 1 and mark != delimiter and mark in names[0]), None)
    if other:
        shown, wanted = ("a tab" if mark == "\t" else f"`{mark}`" for mark in (other, delimiter))
        hint = "name a file with tabs .tsv" if other == "\t" else f"save it with {wanted} between columns"
        raise DatasetError(f"{place(path, line)} has {shown} between its columns, expected {wanted}", hint)


def parquet_values(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each row of a Parquet file by its columns' names, with its number (1-based); empty cells are left out.

    Raises:
        DatasetError: pyarrow is not installed, or the file is damaged.
    """
    data = read_bytes(path)
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        hint = "run `pip install 'localft[parquet]'`, or export it as .jsonl"
        raise DatasetError(f"`{path}` is a Parquet file, which needs pyarrow", hint) from None
    number = 0
    try:
        for batch in parquet.ParquetFile(pyarrow.BufferReader(data)).iter_batches():
            for value in batch.to_pylist():
                number += 1
                yield number, {name: cell for name, cell in value.items() if cell is not None}
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        first = str(error).partition("\n")[0]
        raise DatasetError(f"`{path}` is no whole Parquet file: {first}", "copy or download it again") from None
