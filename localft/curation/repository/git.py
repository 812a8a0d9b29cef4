"""Asking git: what a repository holds, at which revision, since when.

Only this file starts git. A repository is read without running anything of its own (no hooks, no fsmonitor, no
textconv, no external diff) and without the network (no lazy fetch); clone.py alone asks for that.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from localft.errors import ConfigError, DatasetError

_SAFE = (
    *("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "core.quotePath=off"),
    *("-c", "log.showSignature=false", "-c", "diff.noprefix=false", "-c", "diff.mnemonicPrefix=false"),
    *("-c", "diff.renames=true", "-c", "diff.algorithm=myers", "-c", "diff.context=3", "-c", "gc.auto=0"),
    *("-c", "log.follow=false", "-c", "log.diffMerges=off", "-c", "diff.suppressBlankEmpty=false"),
    *("-c", "diff.srcPrefix=a/", "-c", "diff.dstPrefix=b/", "-c", "i18n.logOutputEncoding=UTF-8"),
    *("-c", "diff.interHunkContext=0", "-c", "diff.orderFile=/dev/null", "-c", "log.showRoot=true"),
)
_BLOCK = 1 << 16


class Entry(NamedTuple):
    """One file that git lists. `mode` as in a tree (120000 a link, 160000 a submodule), `size` -1 where not known."""

    path: bytes
    mode: str
    blob: str
    size: int = -1


def has_git() -> bool:
    return shutil.which("git") is not None


def environment() -> dict[str, str]:
    """The user's, without what would point git elsewhere or make its words depend on the machine."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("GIT_") or key in _KEPT}
    quiet = {"GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1", "GIT_NO_REPLACE_OBJECTS": "1", "LC_ALL": "C"}
    return {**kept, **quiet}


_KEPT = frozenset(
    [
        *("GIT_SSH", "GIT_SSH_COMMAND", "GIT_ASKPASS", "GIT_SSL_CAINFO", "GIT_TERMINAL_PROMPT", "GIT_EXEC_PATH"),
        *("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_COUNT"),
        *(f"GIT_CONFIG_{part}_{n}" for part in ("KEY", "VALUE") for n in range(8)),
    ]
)


def command(folder: Path | None, arguments: Sequence[str]) -> list[str]:
    where = ["-C", str(folder)] if folder else []
    return ["git", *where, *_SAFE, *arguments]


def run(folder: Path | None, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run git to its end, whatever its exit status.

    Raises:
        ConfigError: git is not installed.
    """
    try:
        return subprocess.run(
            command(folder, arguments), capture_output=True, env=environment(), stdin=subprocess.DEVNULL, check=False
        )
    except FileNotFoundError:
        raise ConfigError("git is not installed", "install git, or give a folder that needs none") from None


def output(folder: Path, *arguments: str) -> str:
    """What git prints, "" where it fails."""
    done = run(folder, *arguments)
    return done.stdout.decode("utf-8", "replace").strip() if done.returncode == 0 else ""


@contextmanager
def streaming(folder: Path, *arguments: str) -> Iterator[IO[bytes]]:
    """git's stdout while it runs; git is ended when the block is left early.

    Raises:
        DatasetError: git failed (only if the block read to the end).
    """
    # complaints go to a file: a pipe that nobody reads would fill up and stop git
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen(
            command(folder, arguments),
            stdout=subprocess.PIPE,
            stderr=words,
            stdin=subprocess.DEVNULL,
            env=environment(),
        )
        assert process.stdout is not None
        try:
            yield process.stdout
            ended = process.stdout.read(1) == b""
            if ended and process.wait() != 0:
                words.seek(0)
                raise DatasetError(f"git could not read `{folder}`: {last_words(words.read())}", _damaged(folder))
        finally:
            process.kill()
            process.stdout.close()
            process.wait()


def _damaged(folder: Path) -> str:
    return f"`git -C {folder} fsck` says whether the repository is damaged"


def last_words(stderr: bytes) -> str:
    """The line of git's complaint that says what is wrong, without what a URL may hold of a password."""
    lines = [line.strip() for line in stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("fatal:", "error:"))] or lines[-1:] or ["it failed"]
    return without_password(re.sub(r"^(?:fatal|error): ", "", telling[0])).rstrip(".")


def without_password(text: str) -> str:
    """The text with user names and passwords taken out of its URLs."""
    return re.sub(r"(\w+://)[^\s/@]+@", r"\1", text)


def split_null(stream: IO[bytes]) -> Iterator[bytes]:
    """Items that end with NUL, without holding more than one of them."""
    rest = b""
    while block := stream.read(_BLOCK):
        *items, rest = (rest + block).split(b"\0")
        yield from items
    if rest:
        yield rest


def top_of(folder: Path) -> Path | None:
    """The working copy that `folder` lies in and belongs to, the repository itself where it is bare, else None.

    Raises:
        DatasetError: git refuses the repository (another user owns it, or it is damaged).
    """
    done = run(folder, "rev-parse", "--is-bare-repository", "--show-cdup")
    if done.returncode:
        words = done.stderr.decode("utf-8", "replace")
        if "not a git repository" in words:
            return None
        name = "safe.directory" if "dubious ownership" in words else ""
        hint = f"`git config --global --add {name} {folder}` trusts it" if name else _damaged(folder)
        raise DatasetError(f"git will not read `{folder}`: {last_words(done.stderr)}", hint)
    bare, _, up = done.stdout.decode().partition("\n")
    if bare == "true":
        return folder
    # a folder that its repository ignores (an environment, a download) is not the repository's
    if run(folder, "check-ignore", "-q", ".").returncode == 0 and up.strip():
        return None
    return Path(os.path.normpath(folder / up.strip()))


def is_bare(folder: Path) -> bool:
    return output(folder, "rev-parse", "--is-bare-repository") == "true"


def commit_of(folder: Path, revision: str | None) -> str | None:
    """The hash of a commit; of HEAD, None where there is no commit yet.

    Raises:
        ConfigError: the repository has no such revision.
    """
    name = revision or "HEAD"
    found = output(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    if found or revision is None:
        return found or None
    raise ConfigError(
        f"`{folder.name}` has no revision `{revision}`", "give a branch, a tag or a commit that the repository holds"
    )


def tree(folder: Path, revision: str, under: str) -> Iterator[Entry]:
    """Files of a commit, below the folder `under` ("" for all), in the order of their bytes."""
    below = ["--", under] if under else []
    with streaming(folder, "ls-tree", "-r", "-z", "-l", "--full-tree", revision, *below) as stream:
        for item in split_null(stream):
            facts, _, path = item.partition(b"\t")
            mode, _, blob, size = facts.decode().split()
            yield Entry(path, mode, blob, int(size) if size != "-" else -1)


def tracked(top: Path, under: str) -> Iterator[Entry]:
    """Files that the index of a working copy has, those of a conflict several times."""
    with streaming(top, "ls-files", "-z", "--cached", "--stage", "--", *_below(under)) as stream:
        for item in split_null(stream):
            facts, _, path = item.partition(b"\t")
            mode, blob, _ = facts.decode().split()
            yield Entry(path, mode, blob)


def untracked(top: Path, under: str) -> Iterator[bytes]:
    """Files that are neither in the index nor ignored."""
    with streaming(top, "ls-files", "-z", "--others", "--exclude-standard", "--", *_below(under)) as stream:
        yield from split_null(stream)


def changed(top: Path, under: str) -> Iterator[bytes]:
    """Files of the index that are no longer what the last commit has."""
    wanted = ("diff", "--name-only", "-z", "--no-ext-diff", "--no-textconv", "--no-renames", "--ignore-submodules")
    with streaming(top, *wanted, "HEAD", "--", *_below(under)) as stream:
        yield from split_null(stream)


def _below(under: str) -> list[str]:
    return [f":(literal){under}"] if under else []


def dates(folder: Path, revision: str) -> Iterator[tuple[bytes, str]]:
    """Paths and the date of a commit (ISO) that changed each, newest commit first; a path comes up many times."""
    wanted = ("log", "-z", "--format=%x01%cI", "--name-only", "--no-renames", "--no-ext-diff", revision, "--")
    date = ""
    with streaming(folder, *wanted) as stream:
        for item in split_null(stream):
            if item.startswith(b"\x01"):
                date = item[1:].decode("ascii", "replace")
            else:
                yield item.removeprefix(b"\n"), date


class Blobs:
    """Contents of a repository's files, from one `git cat-file --batch`."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            command(folder, ["cat-file", "--batch"]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(),
        )

    def read(self, blob: str) -> bytes | None:
        """The content of the blob with this hash, None where the repository lacks it."""
        into, out = self._process.stdin, self._process.stdout
        assert into is not None
        assert out is not None
        try:
            into.write(blob.encode() + b"\n")
            into.flush()
            *_, kind, size = out.readline().split() or (b"missing", b"")
        except (BrokenPipeError, ValueError):
            return None
        if not size.isdigit() or kind != b"blob":
            return None
        content = out.read(int(size))
        out.read(1)
        return content

    def close(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            if stream:
                stream.close()
        self._process.wait()
