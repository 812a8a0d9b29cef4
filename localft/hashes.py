"""Hashes of large files, remembered from one command to the next."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path

from localft.files import open_file, write_text
from localft.home import localft_home

_CHUNK = 1 << 22


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, remembered in LOCALFT_HOME until its size or time changes.

    Raises:
        OSError: the file cannot be read.
    """
    path = path.resolve()
    info = path.stat()
    stamp = f"{info.st_size}-{info.st_mtime_ns}"
    cache = _cache_file()
    known = _load(cache)
    entry = known.get(str(path))
    if isinstance(entry, list) and len(entry) == 2 and entry[0] == stamp:
        return str(entry[1])
    digest = _hash(path)
    with suppress(OSError):
        write_text(cache, json.dumps({**known, str(path): [stamp, digest]}, indent=1))
    return digest


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    with open_file(path) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _cache_file() -> Path:
    return localft_home() / "sha256.json"


def _load(cache: Path) -> dict[str, object]:
    try:
        known = json.loads(cache.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
