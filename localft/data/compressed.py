"""Compressed files: gzip, and Zstandard where Python or a small library reads it."""

from __future__ import annotations

import gzip
import sys
import zlib
from pathlib import Path

from localft.errors import DatasetError

SUFFIXES = (".gz", ".zst")


def decompress(path: Path, data: bytes) -> bytes:
    """What a compressed file holds; `path` says how it is compressed.

    Raises:
        DatasetError: it is damaged, not whole, or nothing here reads Zstandard.
    """
    return _gunzip(path, data) if path.suffix.lower() == ".gz" else _unzstd(path, data)


def _gunzip(path: Path, data: bytes) -> bytes:
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(path, "gzip", error) from None


def _unzstd(path: Path, data: bytes) -> bytes:
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
    except ImportError:
        hint = "run `pip install 'localft[zstd]'`, or decompress it with `zstd -d`"
        raise DatasetError(f"`{path}` is compressed with Zstandard, which needs backports.zstd", hint) from None
    try:
        return zstd.decompress(data)
    except (zstd.ZstdError, EOFError) as error:
        raise _damaged(path, "Zstandard", error) from None


def _damaged(path: Path, how: str, error: Exception) -> DatasetError:
    return DatasetError(f"`{path}` is no whole {how} file: {error}", "copy or download it again")
