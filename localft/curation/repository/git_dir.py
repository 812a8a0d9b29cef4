"""Where a repository keeps what it knows, and a copy of that place without the repository's own settings.

A repository's settings can name programs (filters, hooks, a pager, an ssh command) and places elsewhere, and it may
have come from a stranger. So git never sees them: it works in a folder of ours, whose settings are ours, and in which
the repository's objects, references and index appear. Of its settings only those are kept that say how these are stored
(`KEPT`).
"""

from __future__ import annotations

import os
import stat
import subprocess
import tempfile
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path

from localft.errors import DatasetError
from localft.files import open_file, read_bytes

# Settings of the repository that only say how its files and objects are stored.
KEPT = frozenset(
    {
        *("core.autocrlf", "core.eol", "core.filemode", "core.symlinks", "core.ignorecase", "core.precomposeunicode"),
        *("core.repositoryformatversion", "extensions.objectformat", "extensions.refstorage"),
    }
)
_LONGEST = 1 << 16  # of a file that holds one path or one reference
_MOST_ALTERNATES = 16


@dataclass(frozen=True)
class GitDir:
    """A repository on disk.

    Attributes:
        top: the working copy's top; the repository itself where it is bare.
        folder: has HEAD and the index; of a worktree its own.
        common: has objects, references and settings; `folder` but for a worktree.
        settings: the repository's own, by name in lower case; not to be given to git.
    """

    top: Path
    folder: Path
    common: Path
    is_bare: bool
    settings: dict[str, str]


def find_git_dir(folder: Path) -> GitDir | None:
    """The repository that `folder` lies in.

    Raises:
        DatasetError: it leads to a place that does not lead back, or holds what is no file.
    """
    for top in (folder, *folder.parents):
        if _is_git_dir(top):
            return _checked(GitDir(top, top, top, True, {}))
        dot = top / ".git"
        if dot.is_symlink():
            raise _refused(dot, "is a symbolic link", "give the folder of the repository itself")
        if dot.is_dir() and _is_git_dir(dot):
            return _checked(GitDir(top, dot, dot, False, {}))
        if dot.is_file():
            return _linked(top, dot)
    return None


def _is_git_dir(folder: Path) -> bool:
    return (folder / "HEAD").exists() and (folder / "objects").is_dir() and (folder / "refs").is_dir()


def _linked(top: Path, dot: Path) -> GitDir:
    """A worktree or a submodule, whose `.git` is a file with the path of the repository. That must lead back here."""
    first, _, target = _line(dot).partition(":")
    folder = _named(dot, top, target.strip())
    if first != "gitdir" or not (folder / "HEAD").is_file():
        raise _refused(dot, "names no repository", "give a whole working copy")
    common = folder
    if (folder / "commondir").is_file():
        common = _named(folder / "commondir", folder, _line(folder / "commondir"))
        back = _line(folder / "gitdir") if (folder / "gitdir").is_file() else ""
        leads_back = _named(folder / "gitdir", folder, back) == dot.resolve()
    else:
        back = _settings(common).get("core.worktree", "/dev/null")
        leads_back = _named(folder / "config", folder, back) == top.resolve()
    if not leads_back:
        hint = f"where that is meant, say so there: `git --git-dir {folder} config core.worktree {top}`"
        raise _refused(dot, f"leads to `{folder}`, which does not lead back", hint)
    return _checked(GitDir(top, folder, common, False, {}))


def _checked(found: GitDir) -> GitDir:
    """With its settings; refused where a file that git would open is a link that leads out, a pipe or a device."""
    if found.folder == found.common and (found.folder / "commondir").exists():
        raise _refused(found.folder / "commondir", "names another repository", "give that one")
    for place in dict.fromkeys((found.folder, found.common)):
        shared = (path.name for path in place.glob("sharedindex.*"))
        for name in ("HEAD", "index", "packed-refs", "shallow", "config", "config.worktree", *shared):
            _require_plain(place / name, place)
        for name in ("info", "refs", "logs", "reftable"):
            _require_plain_below(place / name, place)
    _check_objects(found.common / "objects", found.common, [])
    return GitDir(found.top, found.folder, found.common, found.is_bare, _settings(found.common))


def _check_objects(objects: Path, place: Path, seen: list[Path]) -> None:
    """Objects, and those that they borrow: `git clone --shared` and `--reference` name others' in `info/alternates`."""
    _require_plain_below(objects, place)
    seen.append(objects)
    alternates = objects / "info" / "alternates"
    if not alternates.is_file():
        return
    for line in read_bytes(alternates).decode("utf-8", "surrogateescape").splitlines():
        if not line or line.startswith("#"):
            continue
        other = _named(alternates, objects, line)
        if other in seen:
            continue
        if len(seen) > _MOST_ALTERNATES or not other.is_dir():
            raise _refused(
                alternates, f"names `{other}`, which holds no objects", "fetch what is missing, or clone anew"
            )
        _check_objects(other, other, seen)


def _require_plain_below(folder: Path, place: Path) -> None:
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        _require_plain(folder, place)
        return
    waiting = [folder] if folder.is_dir() else []
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))
                elif not entry.is_file(follow_symlinks=False):
                    _require_plain(Path(entry.path), place)


def _require_plain(path: Path, place: Path) -> None:
    """A file, or a link inside the repository to one."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if path.is_symlink():
            raise _refused(path, "is a symbolic link that leads nowhere", "clone the repository anew") from None
        return
    except OSError as error:
        raise _refused(path, f"cannot be read: {error.strerror}", "clone the repository anew") from None
    if path.is_symlink() and place.resolve() not in path.resolve().parents:
        raise _refused(path, "is a symbolic link that leads out of the repository", "clone the repository anew")
    if not stat.S_ISREG(mode) and not (path.is_symlink() and stat.S_ISDIR(mode)):
        raise _refused(path, "is no regular file", "clone the repository anew")


def require_plain_working_copy(top: Path) -> None:
    """Refuse a working copy in which git would wait for a pipe or read a device: its rules, and repositories inside.

    Raises:
        DatasetError: names the file.
    """
    for place, folders, names in os.walk(top):
        folder = Path(place)
        require_plain_rules(folder, {*folders, *names})
        if folder != top and ".git" in names:
            _require_plain_head(_named(folder / ".git", folder, _line(folder / ".git").partition(":")[2].strip()))
        if ".git" in folders:
            folders.remove(".git")
            if folder != top:
                _require_plain_head(folder / ".git")


def require_plain_rules(folder: Path, names: Container[str] = (".gitignore", ".gitattributes")) -> None:
    """Refuse a folder whose rules are neither a file nor, unless it leads nowhere, a link to one."""
    for name in (".gitignore", ".gitattributes"):
        path = folder / name
        if name in names and path.exists() and not path.is_file():
            raise _refused(path, "is no regular file", "put a file there, or remove it")


def _require_plain_head(place: Path) -> None:
    """What git reads of a repository inside another."""
    for name in ("HEAD", "packed-refs", "commondir"):
        _require_plain(place / name, place)
    _require_plain_below(place / "refs", place)


def _line(path: Path) -> str:
    """What a file of one line says."""
    _require_plain(path, path.parent)
    with open_file(path) as file:
        return os.fsdecode(file.read(_LONGEST)).strip()


def _named(by: Path, folder: Path, text: str) -> Path:
    """The place that the file `by` names, without links; relative ones begin in `folder`.

    Raises:
        DatasetError: no path can be so.
    """
    try:
        place = Path(os.path.realpath(folder / text))
        place.exists()
    except (OSError, ValueError):
        raise _refused(by, "names what is no path", "mend it, or clone the repository anew") from None
    return place


def _settings(common: Path) -> dict[str, str]:
    """The repository's settings as data; files that they include are not read.

    Raises:
        DatasetError: git cannot read them.
    """
    path = common / "config"
    _require_plain(path, common)
    if not path.is_file():
        return {}
    wanted = ["git", "config", "--file", str(path), "--no-includes", "--null", "--list"]
    env = {"PATH": os.environ.get("PATH", os.defpath), "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C"}
    done = subprocess.run(wanted, capture_output=True, stdin=subprocess.DEVNULL, env=env, cwd="/", check=False)
    if done.returncode:
        raise _refused(path, "cannot be read by git", "mend it, or clone the repository anew")
    entries = (os.fsdecode(entry).partition("\n") for entry in done.stdout.split(b"\0") if entry)
    return {name.lower(): value for name, _, value in entries}


def _refused(path: Path, what: str, hint: str) -> DatasetError:
    return DatasetError(f"git will not read `{path}`: it {what}", hint)


class Isolated:
    """A folder of ours in which a repository's data appear under settings of ours."""

    def __init__(self, found: GitDir) -> None:
        self.git_dir = found
        self._folder = tempfile.TemporaryDirectory(prefix="localft-git-")
        here, common = Path(self._folder.name), found.common
        (here / "HEAD").write_bytes(read_bytes(found.folder / "HEAD")[:_LONGEST])
        (here / "config").write_text("".join(self._config()), encoding="utf-8", errors="surrogateescape")
        for name in ("objects", "refs", "packed-refs", "info", "shallow", "reftable"):
            if (common / name).exists():
                (here / name).symlink_to(common / name)
        for shared in found.folder.glob("sharedindex.*"):
            (here / shared.name).symlink_to(shared)
        if (found.folder / "logs").is_dir():
            (here / "logs").symlink_to(found.folder / "logs")

    def _config(self) -> Iterator[str]:
        found = self.git_dir
        yield f"[core]\n\tbare = {'true' if found.is_bare else 'false'}\n"
        for name in sorted(KEPT & set(found.settings)):
            section, _, key = name.partition(".")
            value = found.settings[name].replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
            yield f'[{section}]\n\t{key} = "{value}"\n'

    def variables(self) -> dict[str, str]:
        """What git has to be told to work here."""
        where = {"GIT_DIR": self._folder.name}
        if self.git_dir.is_bare:
            return where
        return {**where, "GIT_WORK_TREE": str(self.git_dir.top), "GIT_INDEX_FILE": str(self.git_dir.folder / "index")}

    def close(self) -> None:
        self._folder.cleanup()
