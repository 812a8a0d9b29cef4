"""Git URLs: what they are called, and bare copies of them in localft's home. Here git may open the network."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

from localft.addresses import without_secrets
from localft.curation.repository import git
from localft.curation.repository.incomplete import way_out
from localft.errors import DatasetError
from localft.home import localft_home

_URL = re.compile(r"(?:https?|ssh|git|file)://\S+", re.IGNORECASE)
_SCP = re.compile(r"[\w.-]+@[\w.-]+:[^\s:]+")


def is_url(value: str) -> bool:
    """Whether `value` is something to clone: a URL, or ssh's user@host:path."""
    return bool(_URL.fullmatch(value) or (_SCP.fullmatch(value) and not Path(value).exists()))


def remote_name(repository: git.Repository) -> str:
    """`owner/name` where the remote is on GitHub, else ""."""
    return github_name(repository.settings.get("remote.origin.url", ""))


def github_name(url: str) -> str:
    found = re.search(r"(?:^|[/@.])github\.com[:/]([\w.-]+/[\w.-]+?)(?:\.git)?/?$", url)
    return found[1] if found else ""


def url_name(url: str) -> str:
    """What a URL's repository is called: `owner/name` on GitHub, else its last part."""
    last = re.split(r"[/:\\]", url.rstrip("/"))[-1]
    return github_name(url) or last.removesuffix(".git") or "repository"


def clone(url: str) -> tuple[Path, str]:
    """A bare copy of a repository in localft's home, brought up to date.

    Nothing of the URL is stored in it, so that a password in the URL stays where it is.

    Returns:
        its folder, and a warning where it could not be brought up to date and an older copy is used ("" otherwise).

    Raises:
        DatasetError: it cannot be cloned; the message is git's own.
    """
    plain = without_secrets(url)
    name = re.sub(r"[^\w.-]+", "-", url_name(plain))
    folder = localft_home() / "git" / f"{name}-{hashlib.sha256(plain.encode()).hexdigest()[:10]}.git"
    complete = folder / "localft-complete"
    if not complete.exists():
        folder.mkdir(parents=True, exist_ok=True)
        git.run(None, "init", "--bare", "--quiet", str(folder))
    problem = _fetch(folder, url)
    if not problem:
        complete.touch()
        return folder, ""
    if complete.exists():
        return folder, f"`{plain}` could not be brought up to date ({problem}): the copy from an earlier run is used"
    shutil.rmtree(folder, ignore_errors=True)
    hint = "check the URL, the network, and that `git clone` of it works here"
    if "dubious ownership" in problem:
        hint = way_out(problem, folder, False)
    raise DatasetError(f"`{plain}` could not be cloned: {problem}", hint)


def _fetch(folder: Path, url: str) -> str:
    """Fetch branches, tags and HEAD; what git said where it failed, "" otherwise."""
    allowed = ("-c", "protocol.ext.allow=never")
    refs = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
    head = git.run(folder, *allowed, "ls-remote", "--symref", "--", url, "HEAD")
    if head.returncode:
        return git.last_words(head.stderr)
    done = git.run(
        folder,
        *allowed,
        "fetch",
        "--quiet",
        "--prune",
        "--no-write-fetch-head",
        "--no-tags",
        "--update-shallow",
        "--",
        url,
        *refs,
    )
    if done.returncode:
        return git.last_words(done.stderr)
    branch = re.search(r"^ref: (refs/heads/\S+)\tHEAD$", head.stdout.decode("utf-8", "replace"), re.MULTILINE)
    if branch:
        git.run(folder, "symbolic-ref", "HEAD", branch[1])
    return ""
