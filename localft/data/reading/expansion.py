"""How much a compressed file may hold: a few megabytes can be written so that they become hundreds of gigabytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from localft.data.reading.data_file import read_chunks
from localft.data.reading.data_format import data_format
from localft.data.reading.parquet import parquet_sizes
from localft.errors import DatasetError
from localft.units import file_size, size

FREE_BYTES = 64 << 20  # that any file may hold
MOST_RATIO = 100  # bytes that a larger one may hold for each of its own; text is seldom compressed to less than a tenth
_CHUNK = 1 << 20


def refuse_expansion(path: Path) -> None:
    """Refuse a file that holds more than 64 MiB and more than 100 times its own size. It is read to count, not kept.

    Raises:
        DatasetError: names the file and its size.
    """
    try:
        own = path.stat().st_size
    except OSError:
        return
    most, held = max(FREE_BYTES, MOST_RATIO * own), 0
    # what else is wrong with the file is left to those who read it
    with suppress(DatasetError):
        for n in _sizes(path):
            held += n
            if held > most:
                break
    if held > most:
        message = f"`{path}`, {file_size(own)}, holds more than {MOST_RATIO} times as much: over {size(most)}"
        raise DatasetError(message, "give --allow-expansion if you know where it is from, and want all of it")


def _sizes(path: Path) -> Iterator[int]:
    form = data_format(path)
    if form.packing:
        yield from map(len, read_chunks(path, _CHUNK))
    if form.rows == "parquet":
        yield from parquet_sizes(path)
