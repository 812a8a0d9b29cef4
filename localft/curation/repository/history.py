"""git history: a commit's message and its diff, one document each, oldest first."""

from __future__ import annotations

import re
import secrets as random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import IO

from localft.curation.document import Document, Line, odd_name, shown_name
from localft.curation.file_rules import LFS, Globs, reason_by_name
from localft.curation.repository.ledger import Ledger
from localft.curation.repository.source import Source

MERGE, NO_CHANGE, ONLY_LEFT_OUT = "merge commit", "commit without changes", "commit of left-out files only"
EDGE, OLDER = "commit at the edge of a shallow clone", "commit beyond --max-commits or --since"
TOO_LARGE = "too large"
_LFS = b"+version https://git-lfs.github.com/spec/"
_LONGEST = 1 << 16
# Lines such as "Signed-off-by: Name <address>" say nothing of the change, and name people.
_TRAILER = re.compile(r"[A-Z][\w-]*: .*<[^<>@\s]+@[^<>@\s]+>\s*$")
_HEADERS = (b"index ", b"similarity index ", b"dissimilarity index ")


@dataclass
class _FileDiff:
    """The diff of one file while it is read."""

    path: str
    lines: list[bytes] = field(default_factory=list)
    reason: str = ""
    cut: bool = False

    def whole_hunks(self) -> list[bytes]:
        """Its lines, without the hunk in which the budget ended."""
        if not self.cut:
            return self.lines
        hunks = [i for i, line in enumerate(self.lines) if line.startswith(b"@@ ")]
        return self.lines[: hunks[-1]] if len(hunks) > 1 else []


@dataclass
class _Commit:
    """One commit while it is read."""

    revision: str
    date: str
    message: list[str] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    is_cut: bool = False
    n_bytes: int = 0

    def add(self, diff: _FileDiff) -> None:
        kept = [] if diff.reason else diff.whole_hunks()
        if diff.reason or diff.cut:
            self.left_out.append(f"{shown_name(diff.path)} ({diff.reason or TOO_LARGE})")
            self.is_cut |= not diff.reason
        self.lines += [Line(1, line.decode("utf-8", "replace")) for line in kept]


@dataclass(frozen=True)
class Span:
    """Which commits are wanted: the newest so many, of this time (as `parse_since` gives it) or later."""

    most: int | None = None
    since: str = ""

    def arguments(self) -> list[str]:
        count = [f"--max-count={self.most}"] if self.most is not None else []
        return [*count, *([f"--since={self.since}"] if self.since else [])]

    def others(self) -> Iterator[list[str]]:
        """What lists the commits that are not wanted."""
        after = [f"--since={self.since}"] if self.since else []
        if self.since:
            # the second that it begins with is in it
            yield [f"--before={datetime.fromisoformat(self.since.replace('Z', '+00:00')) - timedelta(seconds=1)}"]
        if self.most is not None:
            yield [*after, f"--skip={self.most}"]


def commits(
    source: Source, globs: Globs, keep: frozenset[str], ledger: Ledger, budget: int, span: Span
) -> Iterator[Document]:
    """Documents of a source's history.

    Merges, binary files and what the rules for files leave out are left out here too, and counted.

    Args:
        budget: bytes of one commit's diff that are kept in memory.
    """
    repository = source.repository
    if source.revision is None or repository is None:
        return
    under = ["--", source.under] if source.under else ["--"]
    since = Span(since=span.since).arguments()
    for reason, which in ((MERGE, ["--merges", *since]), *((OLDER, ["--no-merges", *each]) for each in span.others())):
        with repository.streaming("rev-list", *which, source.revision, *under) as stream:
            for line in stream:
                ledger.skip(reason, line.decode().strip()[:12])
    nonce = random.token_hex(20).encode()
    form = f"--format={nonce.decode()}%n%H%n%cI%n%B%n{nonce.decode()}"
    wanted = ("log", "-p", "--reverse", "--topo-order", "--no-merges", "--no-color", "--no-ext-diff", "--no-textconv")
    more = ("--find-renames", "--submodule=short", "--no-notes", "--no-decorate", form, source.revision, *under)
    with repository.streaming(*wanted, *span.arguments(), *more) as stream:
        for commit in _read(stream, nonce, globs, keep, budget):
            if commit.revision in repository.boundary:
                # all files that there were, as if it had added them
                ledger.skip(EDGE, commit.revision[:12])
            elif commit.lines or commit.is_cut:
                yield _document(commit, source)
            else:
                ledger.skip(ONLY_LEFT_OUT if commit.left_out else NO_CHANGE, commit.revision[:12])


def _document(commit: _Commit, source: Source) -> Document:
    message = [line for line in commit.message if not _TRAILER.match(line)]
    while message and not message[-1].strip():
        message.pop()
    subject, *body = message or ["(no message)"]
    head = [f"Commit: {subject}", f"Date: {commit.date[:10]}", *body]
    short = commit.revision[:12]
    kind = {"kind": "commit", "repository": source.name, "revision": commit.revision, "date": commit.date}
    lines = [*(Line(0, f"{line}\n") for line in head), *commit.lines]
    return Document(
        f"{source.name}@{short}", kind, short, "", "diff", lines, numbered=False, left_out=tuple(commit.left_out)
    )


def _read(stream: IO[bytes], nonce: bytes, globs: Globs, keep: frozenset[str], budget: int) -> Iterator[_Commit]:
    """Commits of git's output, each with the lines of its diff that are wanted."""
    commit: _Commit | None = None
    diff: _FileDiff | None = None
    for line in _short_lines(stream):
        if line == nonce + b"\n":
            if commit:
                if diff:
                    commit.add(diff)
                yield commit
            commit, diff = _header(stream, nonce), None
        elif line.startswith(b"diff --git ") and commit:
            if diff:
                commit.add(diff)
            diff = _FileDiff(_path(line))
            diff.reason = odd_name(diff.path) or globs.reason(diff.path) or reason_by_name(diff.path, -1, keep)
            diff.lines.append(line)
        elif diff and commit:
            _take(commit, diff, line, budget)
    if commit:
        if diff:
            commit.add(diff)
        yield commit


def _take(commit: _Commit, diff: _FileDiff, line: bytes, budget: int) -> None:
    """One line of a file's diff."""
    if diff.reason or line == b"\n":
        return
    if line.startswith((b"Binary files ", b"GIT binary patch")):
        diff.reason = "binary"
    elif b"\0" in line or len(line) >= _LONGEST:
        diff.reason = "binary" if b"\0" in line else "very long lines"
    elif commit.n_bytes > budget:
        diff.cut = True
    elif line.startswith((_LFS, b"-" + _LFS[1:], b" " + _LFS[1:])):
        diff.reason = LFS
    elif not line.startswith(_HEADERS):
        try:
            line.decode("utf-8")
        except UnicodeDecodeError:
            diff.reason = "not UTF-8"
        diff.lines.append(line)
        commit.n_bytes += len(line)
    if line.startswith(b"rename to "):
        diff.path = line[10:].decode("utf-8", "replace").rstrip("\n")


def _short_lines(stream: IO[bytes]) -> Iterator[bytes]:
    """Lines; of a very long one its beginning."""
    inside = False
    while line := stream.readline(_LONGEST):
        if not inside:
            yield line
        inside = not line.endswith(b"\n")


def _header(stream: IO[bytes], nonce: bytes) -> _Commit:
    """Hash, date and message of a commit."""
    commit = _Commit(stream.readline().decode().strip(), stream.readline().decode().strip())
    size = 0
    for line in _short_lines(stream):
        if line == nonce + b"\n":
            break
        size += len(line)
        if size <= _LONGEST:
            commit.message.append(line.decode("utf-8", "replace").replace("\0", "").rstrip("\r\n"))
    while commit.message and not commit.message[0].strip():
        commit.message.pop(0)
    return commit


def _path(header: bytes) -> str:
    """The path in "diff --git a/PATH b/PATH"; of a renamed file "rename to" says it later."""
    both = header[len(b"diff --git ") :].decode("utf-8", "surrogateescape").rstrip("\n")
    if both.endswith('"'):
        # git quotes odd names, with backslashes for what is odd
        return both.rsplit('"b/', 1)[-1].removesuffix('"')
    half = (len(both) - 1) // 2
    return both[half + 3 :] if both[2:half] == both[half + 3 :] else both.rsplit(" b/", 1)[-1]
