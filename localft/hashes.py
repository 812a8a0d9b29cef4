"""Hashes of large files, and what was found out about them, remembered from one command to the next."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path

from localft.errors import ConfigError
from localft.files import open_file, read_text, real_path, write_text
from localft.home import localft_home
from localft.json_text import parse_json

_CHUNK = 1 << 18
_HASHES = "sha256.json"


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, remembered in LOCALFT_HOME until its size or one of its times changes.

    Raises:
        OSError: the file cannot be read.
    """
    path = real_path(path)
    info = path.stat()
    # the second time, of the last change of any kind, cannot be set back
    stamp = f"{info.st_size}-{info.st_mtime_ns}-{info.st_ctime_ns}"
    entry = recall(_HASHES).get(str(path))
    if isinstance(entry, list) and len(entry) == 2 and entry[0] == stamp:
        return str(entry[1])
    digest = sha256(path)
    remember(_HASHES, str(path), [stamp, digest])
    return digest


def sha256(path: Path) -> str:
    """SHA-256 of a file.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    with open_file(path) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def recall(name: str) -> dict[str, object]:
    """What is remembered in the file `name` of localft's home; nothing where it cannot be read."""
    try:
        known = parse_json(read_text(localft_home() / name))
    except (OSError, ValueError, ConfigError):
        return {}
    return known if isinstance(known, dict) else {}


def remember(name: str, key: str, value: object) -> None:
    """Keep one more value in the file `name` of localft's home, where that can be written."""
    with suppress(OSError, ConfigError):
        write_text(localft_home() / name, json.dumps({**recall(name), key: value}, indent=1))
