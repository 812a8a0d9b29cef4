"""Asking git: what a repository holds, at which revision, since when.

Only this file and git_dir.py start git. A repository is read without its own settings, so nothing of its own runs (see
git_dir.py), and without the network (no lazy fetch); clone.py alone asks for that.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple

from localft.addresses import without_secrets
from localft.curation.repository.git_dir import GitDir, Isolated, find_git_dir, require_plain_rules
from localft.curation.repository.incomplete import boundary, is_partial, way_out
from localft.errors import ConfigError, DatasetError
from localft.visible import one_line

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
    quiet = {"GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1", "LC_ALL": "C"}
    # commits with other parents than their own
    as_it_is = {"GIT_NO_REPLACE_OBJECTS": "1", "GIT_GRAFT_FILE": os.devnull}
    return {**kept, **quiet, **as_it_is}


_KEPT = frozenset(
    [
        *("GIT_SSH", "GIT_SSH_COMMAND", "GIT_ASKPASS", "GIT_SSL_CAINFO", "GIT_TERMINAL_PROMPT", "GIT_EXEC_PATH"),
        *("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_COUNT"),
        *(f"GIT_CONFIG_{part}_{n}" for part in ("KEY", "VALUE") for n in range(8)),
    ]
)


def run(folder: Path | None, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run git to its end in a repository of our own, or in none, whatever its exit status.

    Raises:
        ConfigError: git is not installed.
    """
    where = ["-C", str(folder)] if folder else []
    return _run(["git", *where, *_SAFE, *arguments], environment())


def _run(command: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(command, capture_output=True, env=env, stdin=subprocess.DEVNULL, check=False)
    except FileNotFoundError:
        raise ConfigError("git is not installed", "install git, or give a folder that needs none") from None


class Repository:
    """A repository that is asked without its own settings; `close` it in the end.

    Attributes:
        top: the working copy's top; the repository itself where it is bare.
        settings: what the repository itself has set, as data.
        boundary: hashes of the commits at which a shallow clone ends.
        is_partial: it may lack contents, see `incomplete`.
    """

    def __init__(self, found: GitDir) -> None:
        self.top, self.is_bare, self.settings = found.top, found.is_bare, found.settings
        self.boundary, self.is_partial = boundary(found.common), is_partial(found.settings)
        self._isolated = Isolated(found)

    def command(self, *arguments: str) -> list[str]:
        return ["git", "-C", str(self.top), *_SAFE, *arguments]

    def environment(self) -> dict[str, str]:
        return {**environment(), **self._isolated.variables()}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """Run git to its end, whatever its exit status."""
        return _run(self.command(*arguments), self.environment())

    def output(self, *arguments: str) -> str:
        """What git prints, "" where it fails."""
        done = self.run(*arguments)
        return done.stdout.decode("utf-8", "replace").strip() if done.returncode == 0 else ""

    @contextmanager
    def streaming(self, *arguments: str) -> Iterator[IO[bytes]]:
        """git's stdout while it runs; git is ended when the block is left early.

        Raises:
            DatasetError: git failed (only if the block read to the end).
        """
        # complaints go to a file: a pipe that nobody reads would fill up and stop git
        with tempfile.TemporaryFile() as words:
            process = subprocess.Popen(
                self.command(*arguments),
                stdout=subprocess.PIPE,
                stderr=words,
                stdin=subprocess.DEVNULL,
                env=self.environment(),
            )
            assert process.stdout is not None
            try:
                yield process.stdout
                ended = process.stdout.read(1) == b""
                if ended and process.wait() != 0:
                    words.seek(0)
                    said = last_words(words.read()).replace(self._isolated.variables()["GIT_DIR"], ".git")
                    raise DatasetError(f"git could not read `{self.top}`: {said}", self.way_out(said))
            finally:
                process.kill()
                process.stdout.close()
                process.wait()

    def way_out(self, said: str) -> str:
        return way_out(said, self.top, self.is_partial)

    def close(self) -> None:
        self._isolated.close()


def last_words(stderr: bytes) -> str:
    """The line of git's complaint that says what is wrong, without what a URL may hold of a password."""
    lines = [line.strip() for line in stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("fatal:", "error:"))] or lines[-1:] or ["it failed"]
    return without_secrets(re.sub(r"^(?:fatal|error): ", "", telling[0])).rstrip(".")


def split_null(stream: IO[bytes]) -> Iterator[bytes]:
    """Items that end with NUL, without holding more than one of them."""
    rest = b""
    while block := stream.read(_BLOCK):
        *items, rest = (rest + block).split(b"\0")
        yield from items
    if rest:
        yield rest


def open_repository(folder: Path) -> Repository | None:
    """The repository whose working copy `folder` lies in and belongs to, or that it is where it is bare, else None.

    Raises:
        DatasetError: it cannot be read, or leads to a place that is not its own.
    """
    found = find_git_dir(folder)
    if found is None:
        return None
    inside = folder.relative_to(found.top)
    for part in inside.parents:
        require_plain_rules(found.top / part)
    repository = Repository(found)
    problem = repository.run("rev-parse", "--is-bare-repository")
    if problem.returncode:
        repository.close()
        said = last_words(problem.stderr)
        raise DatasetError(f"git will not read `{folder}`: {said}", repository.way_out(said))
    # a folder that its repository ignores (an environment, a download) is not the repository's
    if inside.parents and not found.is_bare and not repository.run("check-ignore", "-q", "--", str(inside)).returncode:
        repository.close()
        return None
    return repository


def commit_of(repository: Repository, revision: str | None) -> str | None:
    """The hash of a commit; of HEAD, None where there is no commit yet.

    Raises:
        ConfigError: the repository has no such revision.
    """
    name = "HEAD" if revision is None else revision
    found = ""
    if "\0" not in name and not re.search("[\ud800-\udbff]", name):
        found = repository.output("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    if re.fullmatch("[0-9a-f]{40,64}", found):
        return found
    if revision is None:
        return None
    raise ConfigError(
        f"`{repository.top.name}` has no revision `{one_line(name, 80)}`",
        "give a branch, a tag or a commit that the repository holds",
    )


def tree(repository: Repository, revision: str, under: str) -> Iterator[Entry]:
    """Files of a commit, below the folder `under` ("" for all), in the order of their bytes."""
    below = ["--", under] if under else []
    with repository.streaming("ls-tree", "-r", "-z", "-l", "--full-tree", revision, *below) as stream:
        for item in split_null(stream):
            facts, _, path = item.partition(b"\t")
            mode, _, blob, size = facts.decode().split()
            # "-" of a submodule, "BAD" of a file whose content the repository lacks
            yield Entry(path, mode, blob, int(size) if size.isdigit() else -1)


def tracked(repository: Repository, under: str) -> Iterator[Entry]:
    """Files that the index of a working copy has, those of a conflict several times."""
    with repository.streaming("ls-files", "-z", "--cached", "--stage", "--", *_below(under)) as stream:
        for item in split_null(stream):
            facts, _, path = item.partition(b"\t")
            mode, blob, _ = facts.decode().split()
            yield Entry(path, mode, blob)


def untracked(repository: Repository, under: str) -> Iterator[bytes]:
    """Files that are neither in the index nor ignored."""
    with repository.streaming("ls-files", "-z", "--others", "--exclude-standard", "--", *_below(under)) as stream:
        yield from split_null(stream)


def changed(repository: Repository, under: str) -> Iterator[bytes]:
    """Files of the index that are no longer what the last commit has."""
    wanted = ("diff", "--name-only", "-z", "--no-ext-diff", "--no-textconv", "--no-renames", "--ignore-submodules")
    with repository.streaming(*wanted, "HEAD", "--", *_below(under)) as stream:
        yield from split_null(stream)


def _below(under: str) -> list[str]:
    return [f":(literal){under}"] if under else []


def dates(repository: Repository, revision: str) -> Iterator[tuple[bytes, str]]:
    """Paths and the date of a commit (ISO) that changed each, newest commit first; a path comes up many times.

    Beyond the edge of a shallow clone nothing is known: what was not changed since then has no date.
    """
    wanted = ("log", "-z", "--format=%x01%H %cI", "--name-only", "--no-renames", "--no-ext-diff", revision, "--")
    date = ""
    with repository.streaming(*wanted) as stream:
        for item in split_null(stream):
            if item.startswith(b"\x01"):
                revision, _, date = item[1:].decode("ascii", "replace").partition(" ")
                if revision in repository.boundary:
                    return
            else:
                yield item.removeprefix(b"\n"), date


class Blobs:
    """Contents of a repository's files, from one `git cat-file --batch` as long as that lives: damage ends it."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._repository.command("cat-file", "--batch"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=self._repository.environment(),
        )

    def read(self, blob: str, limit: int) -> bytes | None:
        """The content of the blob with this hash; None where the repository lacks it, or it is longer than `limit`."""
        into, out = self._process.stdin, self._process.stdout
        assert into is not None
        assert out is not None
        try:
            into.write(blob.encode() + b"\n")
            into.flush()
            line = out.readline(_BLOCK)
        except BrokenPipeError:
            line = b""
        *_, kind, size = line.split() or (b"", b"")
        if line.endswith(b" missing\n"):
            return None
        n_bytes = int(size) if size.isdigit() and len(size) < 20 else limit + 1
        content = out.read(n_bytes + 1) if n_bytes <= limit else b""
        if len(content) != n_bytes + 1:
            # it broke off, or what follows cannot be told from it
            self.close()
            self._process = self._start()
            return None
        return content[:-1] if kind == b"blob" else None

    def close(self) -> None:
        self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            if stream:
                with suppress(BrokenPipeError):
                    stream.close()
        self._process.wait()
