"""Files are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`; fsync it and rename it over `target` if the block succeeds.

    Args:
        target: the file to write; its folder is made where it is missing.

    Raises:
        OSError: the folder cannot be made or written (disk full included). `target` is then unchanged.
    """
    with atomic_paths(target) as (temporary,):
        yield temporary


@contextmanager
def atomic_paths(*targets: Path) -> Iterator[tuple[Path, ...]]:
    """`atomic_path` for several files that belong together: all of them are written, or none."""
    temporaries: list[Path] = []
    try:
        for target in targets:
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
            os.close(handle)
            temporaries.append(Path(name))
        yield tuple(temporaries)
        umask = os.umask(0)
        os.umask(umask)
        for temporary in temporaries:
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.chmod(0o666 & ~umask)
        _replace(temporaries, targets)
    finally:
        for temporary in temporaries:
            with suppress(FileNotFoundError):
                temporary.unlink()


def _replace(temporaries: Sequence[Path], targets: Sequence[Path]) -> None:
    """Rename each over its target; where one fails, those before that are new go again."""
    new: list[Path] = []
    try:
        for temporary, target in zip(temporaries, targets, strict=True):
            new += [] if target.exists() else [target]
            temporary.replace(target)
    except OSError:
        for target in new:
            with suppress(FileNotFoundError):
                target.unlink()
        raise


def write_text(target: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")
