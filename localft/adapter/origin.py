"""Which base model an adapter was trained on: the keys that say so in its file, and finding that model again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from localft.adapter.file import metadata_text
from localft.errors import ModelError
from localft.files import real_path
from localft.hashes import file_sha256
from localft.home import localft_home
from localft.model.gguf.header import Header, read_header

BASE_NAME = "localft.base.name"
BASE_SHA256 = "localft.base.sha256"
BASE_PATH = "localft.base.path"
BASE_TYPE = "localft.base.type"
TEMPLATE = "localft.template"


def find_base(header: Header, beside: Path) -> Path | None:
    """Find the base model that an adapter was trained on: where it was, or the same bytes in a usual place.

    Args:
        header: the adapter's.
        beside: the adapter's file; its folder is searched too.
    """
    sha256 = metadata_text(header.values, BASE_SHA256)
    recorded = metadata_text(header.values, BASE_PATH)
    if recorded and os.path.isfile(recorded):  # noqa: PTH113  whatever the text is
        return Path(recorded)
    return find_by_hash(sha256, real_path(beside).parent) if sha256 else None


def find_by_hash(sha256: str, *folders: Path) -> Path | None:
    """The base model of that SHA-256 in the current folder, in `folders` or in localft's home, under whatever name."""
    for path in _candidates(folders):
        with suppress(ModelError, OSError):
            if read_header(path).values.get("general.type") != "adapter" and file_sha256(path) == sha256:
                return path
    return None


def _candidates(folders: Sequence[Path]) -> list[Path]:
    places = [Path(), *folders, localft_home() / "models"]
    found = {real_path(path): None for folder in places for path in sorted(folder.glob("*.gguf"))}
    return [path for path in found if os.access(path, os.R_OK)]
