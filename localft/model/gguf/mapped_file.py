"""A model file that stays mapped while it is used: what another program does to it meanwhile is noticed."""

from __future__ import annotations

import os
import weakref
from pathlib import Path

from localft.errors import ModelError
from localft.visible import visible

RESTORE = "put the file back as it was, and start again; a run goes on from its last checkpoint"


class MappedFile:
    """Remembers a file as it is now; one that is put in its place later is another file, and does no harm.

    Raises:
        ModelError: the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise ModelError(f"`{path}` cannot be read: {error.strerror}", "check the path") from error
        weakref.finalize(self, os.close, self._handle)
        self._stamp = self._look()

    def _look(self) -> tuple[int, int]:
        info = os.fstat(self._handle)
        return info.st_size, info.st_mtime_ns

    def require_same(self) -> None:
        """To be asked before each use.

        Raises:
            ModelError: the file was cut short or written to.
        """
        now = self._look()
        if now == self._stamp:
            return
        had, has = self._stamp[0], now[0]
        what = "it was written to" if had == has else f"it had {had:,} bytes and has {has:,}"
        raise ModelError(f"`{self.path}` changed while it was in use: {what}", RESTORE)


def truncation_notice(path: Path, *, terminal: bool) -> str:
    """What is to be said of a mapped file that ends in the middle of being read, in the program's own form.

    Args:
        terminal: it is written to one, where a progress bar may stand.
    """
    start = "\r\x1b[K\x1b[?25h" if terminal else ""
    return f"{start}error: `{visible(str(path))}` was cut short while it was in use\n\nhint: {RESTORE}\n"
