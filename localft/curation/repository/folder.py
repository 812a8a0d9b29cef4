"""Files of a folder that git does not know, with its .gitignore files respected all the same."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import pathspec

from localft.curation.file_rules import VENDORED, reason_by_name
from localft.curation.repository.ledger import File
from localft.errors import DatasetError
from localft.kinds.file_kind import Kind, file_kind

Skip = Callable[[str, str], None]
LINK, CIRCLE = "symbolic link, not followed", "symbolic link that leads in a circle"
NO_FILE, UNREADABLE, NO_FOLDER = "neither a file nor a folder", "unreadable: {}", "unreadable folder: {}"
_LARGEST_IGNORE, _CHUNK = 1 << 20, 1 << 16
VENDORED_FOLDER, IGNORED = "vendored or cache folder", "in .gitignore"


class _Ignore(NamedTuple):
    """One .gitignore: its patterns, and the folder ("" or ending in "/") that they count from."""

    base: str
    spec: pathspec.GitIgnoreSpec


def walk(top: Path, skip: Skip, keep: frozenset[str] = frozenset()) -> Iterator[File]:
    """Every file below `top`; links are not followed, ignored and vendored folders not entered.

    Args:
        skip: called with the reason and the path of what is left out.
        keep: reasons that do not count.
    """
    waiting: list[tuple[str, tuple[_Ignore, ...]]] = [("", ())]
    while waiting:
        below, ignores = waiting.pop()
        try:
            with os.scandir(top / below) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            skip(NO_FOLDER.format(why(error)), below or ".")
            continue
        if any(entry.name == ".gitignore" for entry in entries):
            ignores = (*ignores, *_read_ignore(top, below))
        for entry in entries:
            path = below + entry.name
            if reason := _reason(entry, path, ignores, keep):
                skip(reason, path)
            elif entry.is_dir(follow_symlinks=False):
                waiting.append((f"{path}/", ignores))
            else:
                yield File(os.fsencode(path))


def _reason(entry: os.DirEntry[str], path: str, ignores: tuple[_Ignore, ...], keep: frozenset[str]) -> str:
    if entry.is_symlink():
        return link_reason(Path(entry.path))
    is_folder = entry.is_dir(follow_symlinks=False)
    if _ignored(path, is_folder, ignores):
        return IGNORED
    if is_folder:
        return VENDORED_FOLDER if reason_by_name(f"{path}/x", -1, keep) == VENDORED else ""
    return "" if entry.is_file(follow_symlinks=False) else NO_FILE


def link_reason(path: Path) -> str:
    """What to say of a symbolic link."""
    try:
        path.stat()
    except OSError as error:
        return CIRCLE if error.errno == errno.ELOOP else LINK
    return LINK


def _ignored(path: str, is_folder: bool, ignores: tuple[_Ignore, ...]) -> bool:
    """The deepest .gitignore that has something to say decides, as in git."""
    for ignore in reversed(ignores):
        verdict = ignore.spec.check_file(path[len(ignore.base) :] + ("/" if is_folder else "")).include
        if verdict is not None:
            return verdict
    return False


def _read_ignore(top: Path, below: str) -> Iterator[_Ignore]:
    # git goes on without a file that it cannot read, too
    content, reason = read_inside(top, f"{below}.gitignore", _LARGEST_IGNORE)
    if not reason:
        try:
            lines = content.decode("utf-8", "replace").splitlines()
            yield _Ignore(below, pathspec.GitIgnoreSpec.from_lines(lines))
        except ValueError:
            return


def read_inside(top: Path, path: str, limit: int) -> tuple[bytes, str]:
    """The content of a file below the folder `top`, or the reason why there is none. No link on the way is followed.

    Args:
        path: relative, with "/".
        limit: bytes; a larger file is not read.

    Returns:
        content and "", or b"" and the reason; a reason of "" with no content is an empty file.
    """
    from localft.curation.file_rules import TOO_LARGE

    try:
        with _opened(top, path) as handle:
            facts = os.fstat(handle)
            if not stat.S_ISREG(facts.st_mode):
                return b"", NO_FILE
            if facts.st_size > limit:
                return b"", TOO_LARGE
            with os.fdopen(os.dup(handle), "rb") as file:
                content = _read(file, limit)
            return (b"", TOO_LARGE) if len(content) > limit else (content, "")
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR) and _has_link(top, path):
            return b"", link_reason(top / path)
        return b"", UNREADABLE.format(why(error))


def _read(file: BinaryIO, limit: int) -> bytes:
    """All of a file, which may be growing, or more than `limit` bytes of it; no more than that is made room for."""
    chunks, n = list[bytes](), 0
    while n <= limit and (chunk := file.read(_CHUNK)):
        chunks.append(chunk)
        n += len(chunk)
    return b"".join(chunks)


@contextmanager
def _opened(top: Path, path: str) -> Iterator[int]:
    """A file's handle, opened part by part: a folder replaced by a link stops it, and a pipe does not hold it up."""
    flags, parts = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, path.split("/")
    if not all(parts) or {".", ".."} & set(parts):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    handle = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for i, part in enumerate(parts):
            inner = os.open(part, flags | (os.O_DIRECTORY if i + 1 < len(parts) else 0), dir_fd=handle)
            os.close(handle)
            handle = inner
        yield handle
    finally:
        os.close(handle)


def _has_link(top: Path, path: str) -> bool:
    parts = path.split("/")
    return any(top.joinpath(*parts[: i + 1]).is_symlink() for i in range(len(parts)))


def why(error: OSError) -> str:
    """What the system says is wrong, in lower case, without the path."""
    words = error.strerror or type(error).__name__
    return words[:1].lower() + words[1:]


def check_folder(path: Path, given: str) -> None:
    """Refuse what is no folder that can be read.

    Raises:
        DatasetError: named as the user gave it.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            os.scandir(path).close()
            return
    except FileNotFoundError:
        shape = given.count("/") == 1 and not given.startswith((".", "/", "~"))
        hint = f"to clone it from GitHub give `https://github.com/{given}`" if shape else "check the path"
        raise DatasetError(f"there is no folder `{given}`, and it is no git URL", hint) from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            message = f"`{given}` is a symbolic link that leads in a circle"
            raise DatasetError(message, "give the folder itself") from None
        raise DatasetError(f"the folder `{given}` cannot be read: {why(error)}", "check its permissions") from None
    raise _no_folder(path, given)


def _no_folder(path: Path, given: str) -> DatasetError:
    kind = file_kind(path)
    include = "give the folder it lies in, with `--include` and the file's name"
    if kind.form.is_json or kind.kind is Kind.PARQUET:
        return DatasetError(f"`{given}` is a file of rows, and not a folder", "`localft finetune --data` takes rows")
    what = f"{kind.what}, and not a folder" if kind.what else "not a folder"
    return DatasetError(f"`{given}` is {what}", kind.hint or include)
