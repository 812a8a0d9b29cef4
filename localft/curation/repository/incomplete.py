"""Clones that lack something: shallow ones older commits, partial ones contents that nobody asked for yet."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from localft.files import read_bytes

_HASH = re.compile(rb"[0-9a-f]{40,64}")
# what git says of an object that is not there
_LACKS = re.compile(r"unable to read|could not (?:read|fetch|get)|missing|not a tree|bad (?:object|tree)|promisor")
_OWNER = re.compile(r"dubious ownership in repository at '(?P<path>[^']+)'")


def boundary(common: Path) -> frozenset[str]:
    """Commits whose parents a shallow clone lacks: git shows each as if it had added all of its files."""
    path = common / "shallow"
    return frozenset(each.decode() for each in _HASH.findall(read_bytes(path))) if path.is_file() else frozenset()


def is_partial(settings: Mapping[str, str]) -> bool:
    """Whether a repository may lack contents that its remote promised to give later."""
    promised = (value for name, value in settings.items() if re.fullmatch(r"remote\..+\.promisor", name))
    return "extensions.partialclone" in settings or any(value.lower() != "false" for value in promised)


def fetch_rest(folder: Path, partial: bool) -> str:
    """The command that fetches what a clone lacks."""
    return f"`git -C {folder} fetch {'--refetch --no-filter' if partial else '--unshallow'}` fetches the rest"


def way_out(said: str, folder: Path, partial: bool) -> str:
    """What to do about a repository that git does not read.

    Args:
        said: git's complaint.
        folder: the working copy's top.
    """
    if owned := _OWNER.search(said):
        return f"where you trust it: `git config --global --add safe.directory {owned['path']}`"
    if partial and _LACKS.search(said):
        return f"it is a partial clone: {fetch_rest(folder, True)}"
    return f"`git -C {folder} fsck` says whether the repository is damaged"
