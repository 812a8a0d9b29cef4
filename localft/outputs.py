"""Files that the user named: what is there is replaced only where localft wrote it, and nobody changed it since.

What localft wrote where is kept in its home, a small file for each output: beside the outputs it would lie among data
that folders are read as, and a stranger's folder could bring a record of its own. Where the home is lost, or cannot be
written, there is no record, and what is there stays.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from localft.errors import ConfigError
from localft.files import atomic_paths, read_text, real_path, write_text
from localft.hashes import file_sha256, sha256
from localft.home import HINT, localft_home
from localft.json_text import parse_json

FORCE = "choose another name, or replace it with --force"


@contextmanager
def output_path(target: Path, force: bool = False, hint: str = FORCE) -> Iterator[Path]:
    """`files.atomic_path` for a file that the user named. Entered before long work, it refuses before that too.

    Args:
        force: replace a file that is there, whosever it is.
        hint: what to do about one.

    Raises:
        ConfigError: see `require_replaceable`.
        OSError: it cannot be written.
    """
    with output_paths(target, force=force, hint=hint) as (temporary,):
        yield temporary


@contextmanager
def output_paths(*targets: Path, force: bool = False, hint: str = FORCE) -> Iterator[tuple[Path, ...]]:
    """`output_path` for several files that belong together: all of them are written, or none."""
    require_replaceable(*targets, force=force, hint=hint)
    with atomic_paths(*targets) as temporaries:
        yield temporaries
        # once more: the work may have taken hours
        require_replaceable(*targets, force=force, hint=hint)
        for target, temporary in zip(targets, temporaries, strict=True):
            remember_output(target, temporary)


def write_output(target: Path, text: str, force: bool = False, hint: str = FORCE) -> None:
    """Write `text` as UTF-8 to a file that the user named.

    Raises:
        ConfigError: see `require_replaceable`.
        OSError: it cannot be written.
    """
    with output_path(target, force, hint) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="replace")


def require_replaceable(*targets: Path, force: bool = False, hint: str = FORCE) -> None:
    """Refuse files that would be replaced and are not as localft wrote them. An empty file is nobody's.

    Raises:
        ConfigError: names the first of them; a folder, a pipe or a device is refused with `force` too.
        OSError: one cannot be looked at.
    """
    for target in targets:
        found = _found(target)
        if found is None:
            continue
        if not stat.S_ISREG(found.st_mode) and not stat.S_ISLNK(found.st_mode):
            raise ConfigError(f"`{target}` is no file: it cannot be replaced by one", "name a file")
        if force or (stat.S_ISREG(found.st_mode) and found.st_size == 0):
            continue
        known = _recorded(target)
        if stat.S_ISLNK(found.st_mode) or not known:
            raise ConfigError(f"`{target}` is there already, and localft has no record of having written it", hint)
        if file_sha256(target) not in known:
            raise ConfigError(f"`{target}` was changed since localft wrote it", hint)


def require_writable(folder: Path, hint: str) -> None:
    """Refuse a folder in which nothing can be made, before long work; it need not be there yet.

    Raises:
        ConfigError: names the first folder on its way that is none, or may not be written.
    """
    place = real_path(folder)
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise ConfigError(f"`{folder}` cannot be made: `{place}` is no folder", hint)
    if not os.access(place, os.W_OK | os.X_OK):
        raise ConfigError(f"`{folder}` cannot be written: `{place}` does not allow it", hint)


def remember_output(target: Path, written: Path) -> None:
    """Keep in localft's home what `written`, about to be `target`, holds.

    What is there now stays known with it, if it was: a process may be killed before the one is in the other's place.

    Raises:
        OSError: the home can be written, but this failed: the disk is full, say.
    """
    try:
        entry = _entry(target)
        require_writable(entry.parent, HINT)
    except ConfigError:
        return
    value = {"path": str(_full(target)), "sha256": [*_recorded(target)[-1:], sha256(written)]}
    write_text(entry, json.dumps(value, indent=1) + "\n")


def _found(target: Path) -> os.stat_result | None:
    try:
        return target.lstat()
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        raise


def _recorded(target: Path) -> Sequence[str]:
    """Hashes of what localft wrote to `target`, the last one at the end."""
    try:
        value = parse_json(read_text(_entry(target)))
    except (OSError, ValueError, ConfigError):
        return ()
    found = value.get("sha256") if isinstance(value, dict) and value.get("path") == str(_full(target)) else None
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else ()


def _entry(target: Path) -> Path:
    name = str(_full(target)).encode("utf-8", "surrogateescape")
    return localft_home() / "outputs" / f"{hashlib.sha256(name).hexdigest()[:32]}.json"


def _full(target: Path) -> Path:
    """The absolute path; a link at its end stays one."""
    return real_path(target.parent) / target.name
