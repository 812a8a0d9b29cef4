"""A SOURCE of the command line: a folder, a working copy or a git URL; what it is called and which files it has."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from localft.addresses import without_secrets
from localft.curation.file_rules import page_format, reason_by_name
from localft.curation.repository import clone, git
from localft.curation.repository.clone import is_url
from localft.curation.repository.folder import Skip, check_folder, walk
from localft.curation.repository.git_dir import require_plain_working_copy
from localft.curation.repository.incomplete import fetch_rest
from localft.curation.repository.ledger import File, Ledger
from localft.errors import ConfigError

SUBMODULE = "submodule (give its folder as a SOURCE of its own)"
KINDS = ("repo", "docs", "history")
_NEARLY_ALL = 0.9


@dataclass(frozen=True)
class Source:
    """Where documents come from.

    Attributes:
        given: as the user gave it, without a password.
        name: NAME of the documents' ids.
        top: the working copy's top, a bare repository, or a folder.
        under: the folder inside `top` that was asked for, with "/"; "" for all of it.
        repository: lists the files; None: the folder is walked.
        revision: hash of the commit that is read, or that the working copy is at; None without one.
        from_commit: contents are the commit's; else they are read from disk.
        notes: sentences for the user.
    """

    given: str
    name: str
    top: Path
    under: str = ""
    repository: git.Repository | None = None
    revision: str | None = None
    from_commit: bool = False
    notes: tuple[str, ...] = ()

    def close(self) -> None:
        if self.repository:
            self.repository.close()


def open_source(given: str, name: str | None, revision: str | None, needs_git: bool) -> Source:
    """Find out what a SOURCE is; clones a URL.

    Args:
        name: in place of the name that the source itself gives.
        revision: a branch, tag or commit; None for what lies in the folder, of a URL its default branch.
        needs_git: its history is asked for.

    Raises:
        ConfigError: git or a revision is asked of a folder that has none.
        DatasetError: there is no such folder, or it cannot be read or cloned.
    """
    if clone.is_url(given):
        plain = _shown(without_secrets(given))
        folder, warning = clone.clone(given)
        repository = git.open_repository(folder)
        assert repository is not None
        notes = (warning,) if warning else ()
        return _with_commit(
            Source(plain, _shown(name) if name else clone.url_name(plain), folder, "", repository, None, True, notes),
            revision,
        )
    folder = Path(given).expanduser()
    check_folder(folder, given)
    folder = folder.resolve()
    repository = git.open_repository(folder) if git.has_git() else None
    if repository is None:
        if revision or needs_git:
            what = f"--rev `{revision}`" if revision else "`--kind history`"
            hint = "give a git working copy or a git URL" if git.has_git() else "git is not installed"
            raise ConfigError(f"`{given}` is not in a git working copy, so {what} has no part here", hint)
        return Source(_shown(given), _shown(name or folder.name or "root"), folder, notes=_without_git(folder))
    top = repository.top
    under = folder.relative_to(top).as_posix() if folder != top else ""
    called = name or clone.remote_name(repository) or top.name.removesuffix(".git")
    from_commit = revision is not None or repository.is_bare
    return _with_commit(Source(_shown(given), _shown(called), top, under, repository, None, from_commit), revision)


def _shown(name: str) -> str:
    """A name as it is written into rows, "?" in it for what is no UTF-8."""
    return name.encode("utf-8", "replace").decode()


def _with_commit(source: Source, revision: str | None) -> Source:
    """With the hash of the commit that is read; a revision that is not there closes the source."""
    assert source.repository is not None
    try:
        return replace(
            source, revision=git.commit_of(source.repository, revision), notes=(*source.notes, *_lacking(source))
        )
    except ConfigError:
        source.close()
        raise


def _lacking(source: Source) -> Iterator[str]:
    """What to say of a clone that has only a part."""
    repository = source.repository
    if repository and repository.boundary:
        rest = "a whole clone has them" if is_url(source.given) else fetch_rest(repository.top, False)
        yield f"`{source.name}` is a shallow clone: older commits, and dates of files from then, are not there; {rest}"
    if repository and repository.is_partial:
        rest = fetch_rest(repository.top, True)
        yield f"`{source.name}` is a partial clone, which may lack files that it was not asked for yet; {rest}"


def _without_git(folder: Path) -> tuple[str, ...]:
    if not git.has_git() and any((each / ".git").exists() for each in (folder, *folder.parents)):
        return (f"git is not installed: `{folder.name}` is read as a plain folder",)
    return ()


def list_source(source: Source, ledger: Ledger, skip: Skip, keep: frozenset[str]) -> int:
    """Fill the ledger with a source's files and the dates of their last commits; how many there are.

    Args:
        skip: called with the reason and the path of what is no file to read.
        keep: reasons of the rules that do not count.
    """
    repository = source.repository
    if repository is None:
        return ledger.list_files(walk(source.top, skip, keep))
    if source.from_commit:
        if source.revision is None:
            return ledger.list_files(())
        entries = git.tree(repository, source.revision, source.under)
        n_files = ledger.list_files(_committed(entries, skip))
    else:
        require_plain_working_copy(source.top)
        tracked = (entry._replace(size=-1) for entry in git.tracked(repository, source.under))
        n_files = ledger.list_files(_with_untracked(_committed(tracked, skip), git.untracked(repository, source.under)))
        if source.revision:
            ledger.mark_changed(git.changed(repository, source.under))
    if source.revision:
        ledger.set_dates(git.dates(repository, source.revision))
    return n_files


def _committed(entries: Iterable[git.Entry], skip: Skip) -> Iterator[File]:
    for entry in entries:
        if entry.mode == "160000":
            skip(SUBMODULE, os.fsdecode(entry.path))
        else:
            yield File(entry.path, entry.mode, entry.blob, entry.size, clean=True)


def _with_untracked(tracked: Iterable[File], others: Iterable[bytes]) -> Iterator[File]:
    yield from tracked
    # a repository inside, which is no submodule, comes up as a folder
    yield from (File(path) for path in others if not path.endswith(b"/"))


def guess_kinds(source: Source, ledger: Ledger) -> tuple[tuple[str, ...], str]:
    """Docs alone, and why, where a source is called a wiki or nearly all of its texts are pages; else repo and docs."""
    called = (source.given.rstrip("/"), source.name)
    if any(each.endswith((".wiki", ".wiki.git")) for each in called):
        return ("docs",), "a wiki"
    n_pages = n_texts = 0
    for file in ledger.files():
        path = os.fsdecode(file.path)
        if not reason_by_name(path, -1, ()) and not path.rsplit("/", 1)[-1].startswith("."):
            n_texts += 1
            n_pages += bool(page_format(path))
    if n_pages > _NEARLY_ALL * n_texts:
        return ("docs",), f"{n_pages:,} of {n_texts:,} texts are pages"
    return ("repo", "docs"), ""
