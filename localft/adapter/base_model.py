"""Which base model an adapter was trained on: hashes, type names, and finding the file again."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

from gguf.constants import LlamaFileType

from localft.adapter.file import metadata_text
from localft.errors import ModelError
from localft.files import write_text
from localft.model.gguf_header import Header, read_header

BASE_NAME = "localft.base.name"
BASE_SHA256 = "localft.base.sha256"
BASE_PATH = "localft.base.path"
BASE_TYPE = "localft.base.type"
TEMPLATE = "localft.template"

_CHUNK = 1 << 22


def file_type(header: Header) -> str | None:
    """The GGUF's type in the flags' spelling ("q8_0", "q4_k_m", "f32"), or None where it does not say."""
    try:
        name = str(LlamaFileType(header.values.get("general.file_type")).name)
    except ValueError:
        return None
    return name.removeprefix("MOSTLY_").removeprefix("ALL_").lower()


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
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _cache_file() -> Path:
    from localft.model.source import localft_home

    return localft_home() / "sha256.json"


def _load(cache: Path) -> dict[str, object]:
    try:
        known = json.loads(cache.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def find_base(header: Header, beside: Path) -> Path | None:
    """Find the base model that an adapter was trained on: where it was, or the same bytes in a usual place.

    Args:
        header: the adapter's.
        beside: the adapter's file; its folder is searched too.
    """
    sha256 = metadata_text(header.values, BASE_SHA256)
    recorded = metadata_text(header.values, BASE_PATH)
    if recorded and Path(recorded).is_file():
        return Path(recorded)
    if not sha256:
        return None
    for path in _candidates(beside):
        with suppress(ModelError, OSError):
            if read_header(path).values.get("general.type") != "adapter" and file_sha256(path) == sha256:
                return path
    return None


def _candidates(beside: Path) -> list[Path]:
    from localft.model.source import localft_home

    folders = [Path(), beside.resolve().parent, localft_home() / "models"]
    found = {path.resolve(): None for folder in folders for path in sorted(folder.glob("*.gguf"))}
    return [path for path in found if os.access(path, os.R_OK)]
