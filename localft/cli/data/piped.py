"""`-`: data that is piped to a command, kept in a file for as long as the command runs."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from localft.errors import ConfigError, LocalftError

Named = Callable[[str], str]


@contextmanager
def piped(names: Sequence[str]) -> Iterator[tuple[tuple[str, ...], Named]]:
    """Give the names with the path of a file in place of `-`, and what turns that path in a text into "stdin" again.

    Data is read more than once, and its bytes say what it is: stdin is written to a file without a suffix. Errors that
    are raised meanwhile name stdin.

    Raises:
        ConfigError: `-` is there twice, or nothing can come from stdin.
    """
    if "-" not in names:
        yield tuple(names), str
        return
    if names.count("-") > 1:
        raise ConfigError("`-` is given twice, and stdin can be read once", "leave one out")
    if sys.stdin is None:
        raise ConfigError("`-` is stdin, which is closed", "pipe data into the command, or name a file")
    with tempfile.TemporaryDirectory(prefix="localft-") as folder:
        path = Path(folder) / "stdin"

        def named(text: str) -> str:
            return text.replace(str(path), "stdin").replace(folder, "FOLDER")

        with path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        try:
            yield tuple(str(path) if name == "-" else name for name in names), named
        except LocalftError as error:
            error.message, error.hint = named(error.message), named(error.hint)
            raise
