"""Parquet to objects with their numbers, a few rows at a time."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from localft.data.reading.data_file import UnreadValue, place, read_chunks
from localft.data.reading.data_format import data_format
from localft.data.reading.lines import MAX_LINE
from localft.errors import DatasetError
from localft.files import open_file

_CHUNK = 1 << 20
_BATCH_BYTES, _MOST_ROWS = 1 << 22, 64


def parquet_values(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each row of a Parquet file by its columns' names, with its number (1-based); empty cells are left out.

    Raises:
        DatasetError: pyarrow is not installed, the file is damaged, or a row is too long.
    """
    number = 0
    for batch in _batches(path):
        long = _held(batch) > MAX_LINE
        for i in range(batch.num_rows):
            number += 1
            if long and (length := _held(batch.slice(i, 1))) > MAX_LINE:
                message = f"{place(path, number)} is {length:,} bytes long, at most {MAX_LINE:,} are read"
                raise DatasetError(message, "a row that is longer is no row but a broken file")
            yield number, _cells(path, batch, i)


def _cells(path: Path, batch: Any, i: int) -> dict[str, Any]:
    columns = zip(batch.schema.names, batch.columns, strict=True)
    try:
        return {name: cell for name, column in columns if (cell := _cell(column[i])) is not None}
    except UnicodeDecodeError as error:
        raise _damaged(path, error) from None


def _cell(value: Any) -> Any:
    """A cell as Python has it; one that it has not, such as a time in nanoseconds or a far date, as no text."""
    try:
        return value.as_py()
    except UnicodeDecodeError:
        raise
    except (ValueError, LookupError, ArithmeticError, NotImplementedError, ImportError):
        return UnreadValue(str(value.type))


def parquet_sizes(path: Path) -> Iterator[int]:
    """Bytes of a Parquet file's cells, batch by batch, and first what it says itself: then it is not decoded in vain.

    Raises:
        DatasetError: see `parquet_values`.
    """
    with _opened(path) as (_, claimed):
        yield claimed
    for batch in _batches(path):
        held = _held(batch)
        yield max(0, held - claimed)
        claimed = max(0, claimed - held)


def _batches(path: Path) -> Iterator[Any]:
    """Record batches in which equal texts stand once, as they do in the file."""
    with _opened(path) as (parquet_file, held):
        n_row = _BATCH_BYTES * parquet_file.metadata.num_rows // max(held, 1)
        yield from parquet_file.iter_batches(batch_size=min(max(n_row, 1), _MOST_ROWS))


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, int]]:
    """The open file, and how many bytes it says that it holds.

    Raises:
        DatasetError: see `parquet_values`; also for what goes wrong while it is open.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        hint = "run `pip install 'localft[parquet]'`, or export it as .jsonl"
        raise DatasetError(f"`{path}` is a Parquet file, which needs pyarrow", hint) from None
    with _seekable(path) as file:
        try:
            # buffered, or a column's part of a row group would be read as a whole
            found = parquet.ParquetFile(file, buffer_size=_CHUNK)
            texts = [column.path for column in map(found.schema.column, range(len(found.schema))) if _is_text(column)]
            file.seek(0)
            groups = map(found.metadata.row_group, range(found.metadata.num_row_groups))
            held = sum(max(group.total_byte_size, 0) for group in groups)
            yield parquet.ParquetFile(file, buffer_size=_CHUNK, read_dictionary=texts), held
        except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
            raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> DatasetError:
    first = str(error).partition("\n")[0]
    return DatasetError(f"`{path}` is no whole Parquet file: {first}", "copy or download it again")


def _is_text(column: Any) -> bool:
    return bool(column.physical_type == "BYTE_ARRAY" and column.logical_type.type in ("STRING", "NONE"))


@contextmanager
def _seekable(path: Path) -> Iterator[BinaryIO]:
    chunks = read_chunks(path, _CHUNK)
    first = next(chunks, b"")
    if not data_format(path).packing:
        chunks.close()
        with open_file(path) as file:
            yield file
        return
    with tempfile.TemporaryFile() as copy:
        copy.write(first)
        for chunk in chunks:
            copy.write(chunk)
        copy.seek(0)
        yield copy


def _held(array: Any) -> int:
    """Bytes of a record batch or an array with every text in its place."""
    import pyarrow
    from pyarrow import compute

    if isinstance(array, pyarrow.RecordBatch):
        return sum(map(_held, array.columns))
    if pyarrow.types.is_dictionary(array.type):
        lengths = compute.binary_length(array.dictionary)
        return int(compute.sum(lengths.take(array.indices).cast("int64")).as_py() or 0)
    if pyarrow.types.is_nested(array.type):
        flat = array.flatten()
        return sum(map(_held, flat)) if isinstance(flat, list) else _held(flat)
    return int(array.nbytes)
