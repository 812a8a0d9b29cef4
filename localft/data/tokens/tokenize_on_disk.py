"""Large files of JSON Lines: tokenized once, by all processors, and never in memory as a whole."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from localft.data.reading.data_format import data_format
from localft.data.reading.lines import Block, blocks, is_array
from localft.data.reading.not_json import no_rows
from localft.data.rows.row import Columns
from localft.data.tokens import cache
from localft.data.tokens.run_wording import RunWording
from localft.data.tokens.token_file import TokenFile, TokenizedBlock, write_tokens
from localft.data.tokens.workers import Task, tokenize_block, tokenize_blocks
from localft.errors import DatasetError
from localft.hardware import processors
from localft.hashes import file_sha256
from localft.report import Report

MIN_BYTES = 4 << 20
_MAX_PROCESSES = 8


def is_large(path: Path) -> bool:
    """Whether a file may hold so many rows that it is worth keeping their tokens."""
    try:
        return path.stat().st_size >= MIN_BYTES and data_format(path).rows == "json"
    except OSError:
        return False


def read_large(path: Path, wording: RunWording, columns: Columns, report: Report | None = None) -> TokenFile | None:
    """The tokens of a file of JSON Lines, from the cache or into it; None for a JSON array and for no rows at all.

    Args:
        path: the file; it may be compressed.
        wording: of its rows.
        columns: see `read_file`.
        report: called as report(stage, done, total) while it is tokenized.

    Raises:
        DatasetError: a line cannot be used, or the cache cannot be written.
    """
    first = None if is_array(path) else next(blocks(path), None)
    if first is None:
        return None
    if error := no_rows(path):
        raise error
    name = cache.key(file_sha256(path), file_sha256(wording.tokenizer.path), wording.made_of, columns)

    def write(folder: Path) -> None:
        before = path.stat()
        write_tokens(folder, _pieces(path, wording, columns, report))
        after = path.stat()
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise DatasetError(f"`{path}` changed while it was read", "leave data alone while a run reads it")

    for _ in range(2):
        folder = cache.kept(name, write)
        try:
            found = TokenFile(folder, path, columns)
            return found if found.counts.n_rows else None
        except (OSError, ValueError, KeyError, TypeError):
            # somebody has been at it: once more
            shutil.rmtree(folder, ignore_errors=True)
    raise DatasetError(f"the tokens kept in `{folder}` cannot be read", "delete that folder")


def _pieces(path: Path, wording: RunWording, columns: Columns, report: Report | None) -> Iterator[TokenizedBlock]:
    found = _reported(path, blocks(path), report)
    n_process = min(processors(), _MAX_PROCESSES)
    if n_process == 1 or not sys.executable:
        return (tokenize_block(path, block, columns, wording) for block in found)
    template, raw = wording.given
    task = Task(path, wording.tokenizer.path, template, raw, wording.today, wording.train_on_prompt, columns)
    return tokenize_blocks(task, found, n_process)


def _reported(path: Path, found: Iterable[Block], report: Report | None) -> Iterator[Block]:
    total = 0 if data_format(path).packing else path.stat().st_size
    for block in found:
        yield block
        if report:
            report(f"tokenizing {path.name}", block.offset + len(block.data), total)
