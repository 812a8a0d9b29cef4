"""Compressed files: gzip, and Zstandard where Python or a small library reads it."""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal

from localft.errors import DatasetError

Packing = Literal["", "gzip", "zstd"]
SUFFIXES: dict[str, Packing] = {".gz": "gzip", ".zst": "zstd"}


def decompressed(path: Path, file: BinaryIO, packing: Packing, size: int) -> Iterator[bytes]:
    """What a compressed file holds, at most `size` bytes at a time.

    Args:
        path: for messages.
        packing: how it is compressed.

    Raises:
        DatasetError: it is damaged, not whole, or nothing here reads Zstandard.
    """
    how, open_stream, errors = _gzip() if packing == "gzip" else _zstandard(path)
    try:
        with open_stream(file, "rb") as stream:
            while chunk := stream.read(size):
                yield chunk
    except errors as error:
        message = f"`{path}` is no whole {how} file: {error}"
        raise DatasetError(message, "copy or download it again") from None


def _gzip() -> tuple[str, Any, tuple[type[Exception], ...]]:
    return "gzip", gzip.open, (OSError, EOFError, zlib.error)


def _zstandard(path: Path) -> tuple[str, Any, tuple[type[Exception], ...]]:
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
    except ImportError:
        hint = "run `pip install 'localft[zstd]'`, or decompress it with `zstd -d`"
        raise DatasetError(f"`{path}` is compressed with Zstandard, which needs backports.zstd", hint) from None
    return "Zstandard", zstd.open, (zstd.ZstdError, EOFError, OSError)
