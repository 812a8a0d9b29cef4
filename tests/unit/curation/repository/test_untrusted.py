"""A repository from a stranger: nothing of it runs, no link in it is followed, no pipe is waited for.

And what git itself writes (worktrees, submodules, borrowed objects, line endings, filters of the user's own) is read.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from repos import Repo, built, left_out

from localft.errors import DatasetError

PROGRAM_SETTINGS = {
    "filter clean": {"filter.x.clean": "{program}", "filter.x.required": "true"},
    "filter process": {"filter.x.process": "{program}"},
    "filter smudge": {"filter.x.smudge": "{program}"},
    "textconv": {"diff.x.textconv": "{program}"},
    "diff command": {"diff.x.command": "{program}"},
    "external diff": {"diff.external": "{program}"},
    "hooks": {"core.hooksPath": "{hooks}"},
    "fsmonitor": {"core.fsmonitor": "{program}"},
    "fsmonitor hook": {"core.fsmonitor": "{program}", "core.fsmonitorHookVersion": "2"},
    "ssh command": {"core.sshCommand": "{program}", "remote.o.url": "ssh://h/x", "remote.o.promisor": "true"},
    "git proxy": {"core.gitProxy": "{program}", "remote.o.url": "git://h/x", "remote.o.promisor": "true"},
    "pager": {"core.pager": "{program}", "pager.log": "true", "pager.diff": "true"},
    "editor": {"core.editor": "{program}", "sequence.editor": "{program}"},
    "askpass": {"core.askPass": "{program}"},
    "alternate references": {"core.alternateRefsCommand": "{program}"},
    "signatures": {"log.showSignature": "true", "gpg.program": "{program}"},
    "alias": {"alias.ls-files": "!{program}", "alias.log": "!{program}", "alias.ls-tree": "!{program}"},
    "upload pack": {
        "remote.origin.url": "/x",
        "remote.origin.uploadpack": "{program}",
        "remote.origin.promisor": "yes",
    },
    "included file": {"include.path": "{included}"},
    "included where": {"includeIf.gitdir:**.path": "{included}"},
    "trailer": {"trailer.x.command": "{program}", "trailer.x.cmd": "{program}"},
}


@pytest.fixture
def hostile(repo: Repo, tmp_path: Path) -> Iterator[Repo]:
    """A repository whose attributes name a filter and a diff driver; ends a test that hangs."""
    repo.commit("attributes", {".gitattributes": "*.py filter=x diff=x\n"})
    repo.write_all({"src/app.py": "changed = 1\n"})

    def too_long(*_: Any) -> None:
        raise TimeoutError("it hangs")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(20)
    yield repo
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("name", PROGRAM_SETTINGS)
def test_no_program_of_a_repository_runs(name: str, hostile: Repo, tmp_path: Path, out: Path) -> None:
    mark, program, hooks = tmp_path / "ran", tmp_path / "program", tmp_path / "hooks"
    program.write_text(f"#!/bin/sh\necho $0 >> {mark}\ncat\n")
    program.chmod(0o755)
    hooks.mkdir()
    for hook in ("post-index-change", "post-checkout", "fsmonitor-watchman", "reference-transaction"):
        (hooks / hook).symlink_to(program)
        (hostile.folder / ".git/hooks" / hook).symlink_to(program)
    included = tmp_path / "included"
    included.write_text(f'[filter "x"]\n\tclean = {program}\n[core]\n\tfsmonitor = {program}\n')
    for key, value in PROGRAM_SETTINGS[name].items():
        value = value.format(program=program, hooks=hooks, included=included)
        config = hostile.folder / ".git/config"
        subprocess.run(["git", "config", "--file", str(config), key, value], check=True)
    os.utime(hostile.folder / "README.md")
    rows, _ = built(out, hostile.folder, kinds=("repo", "docs", "history"))
    assert not mark.exists()
    assert any("changed = 1" in row["text"] for row in rows)
    assert any("Commit: first" in row["text"] for row in rows)


@pytest.mark.parametrize("key", ["core.excludesFile", "core.attributesFile", "diff.orderFile", "core.mailmap"])
def test_settings_that_name_a_pipe_are_not_read(key: str, hostile: Repo, tmp_path: Path, out: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    hostile.git("config", key, str(tmp_path / "pipe"))
    rows, _ = built(out, hostile.folder, kinds=("repo", "history"))
    assert rows


def test_a_working_copy_elsewhere_is_not_read(hostile: Repo, tmp_path: Path, out: Path) -> None:
    (tmp_path / "private").mkdir()
    (tmp_path / "private/key.py").write_text("private = 1\n")
    hostile.git("config", "core.worktree", str(tmp_path / "private"))
    rows, _ = built(out, hostile.folder)
    assert "project:src/app.py" in {row["doc"] for row in rows}
    assert "private" not in out.read_text()


def _repository_of_someone_else(tmp_path: Path) -> Path:
    other = Repo(tmp_path / "other")
    other.commit("private", {"private.py": "private = 1\n"})
    return other.folder / ".git"


def _git_file(repo: Repo, tmp_path: Path) -> None:
    (repo.folder / ".git").rename(tmp_path / "away")
    (repo.folder / ".git").write_text(f"gitdir: {_repository_of_someone_else(tmp_path)}\n")


def _git_file_of_a_worktree(repo: Repo, tmp_path: Path) -> None:
    other = _repository_of_someone_else(tmp_path)
    subprocess.run(["git", "-C", str(other), "worktree", "add", "-q", str(tmp_path / "theirs")], check=True)
    (repo.folder / ".git").rename(tmp_path / "away")
    (repo.folder / ".git").write_bytes((tmp_path / "theirs/.git").read_bytes())


def _git_link(repo: Repo, tmp_path: Path) -> None:
    (repo.folder / ".git").rename(tmp_path / "away")
    (repo.folder / ".git").symlink_to(_repository_of_someone_else(tmp_path))


def _common_dir(repo: Repo, tmp_path: Path) -> None:
    (repo.folder / ".git/commondir").write_text(f"{_repository_of_someone_else(tmp_path)}\n")


def _link(name: str) -> Any:
    def replace(repo: Repo, tmp_path: Path) -> None:
        path, target = repo.folder / ".git" / name, _repository_of_someone_else(tmp_path) / name
        if path.exists():
            path.rename(tmp_path / "away")
        path.symlink_to(target)

    return replace


def _pipe(name: str) -> Any:
    def replace(repo: Repo, tmp_path: Path) -> None:
        path = repo.folder / name
        if path.exists():
            path.rename(tmp_path / "away")
        path.parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(path)

    return replace


def _nested_pipe(repo: Repo, tmp_path: Path) -> None:
    inner = Repo(repo.folder / "inner")
    inner.commit("inner", {"a.py": "x = 1\n"})
    _pipe("inner/.git/HEAD")(repo, tmp_path)


def _nested_pipe_far(repo: Repo, tmp_path: Path) -> None:
    inner = Repo(repo.folder / "inner")
    inner.commit("inner", {"a.py": "x = 1\n"})
    (inner.folder / ".git").rename(repo.folder / ".git/far")
    (inner.folder / ".git").write_text("gitdir: ../.git/far\n")
    _pipe(".git/far/HEAD")(repo, tmp_path)


def _alternate_nowhere(repo: Repo, tmp_path: Path) -> None:
    (repo.folder / ".git/objects/info/alternates").write_text(f"{tmp_path}/nowhere\n")


REFUSED = {
    "a .git file that leads to another repository": _git_file,
    "a .git file that leads to another repository's worktree": _git_file_of_a_worktree,
    "a .git that is a link": _git_link,
    "commondir": _common_dir,
    "HEAD is a link": _link("HEAD"),
    "refs is a link": _link("refs"),
    "refs/heads is a link": _link("refs/heads"),
    "objects is a link": _link("objects"),
    "packed-refs is a link": _link("packed-refs"),
    "index is a link": _link("index"),
    "HEAD is a pipe": _pipe(".git/HEAD"),
    "index is a pipe": _pipe(".git/index"),
    "config is a pipe": _pipe(".git/config"),
    "packed-refs is a pipe": _pipe(".git/packed-refs"),
    "exclude is a pipe": _pipe(".git/info/exclude"),
    "attributes is a pipe": _pipe(".git/info/attributes"),
    "grafts is a pipe": _pipe(".git/info/grafts"),
    "a branch is a pipe": _pipe(".git/refs/heads/main"),
    "alternates is a pipe": _pipe(".git/objects/info/alternates"),
    "alternates names what is not there": _alternate_nowhere,
    ".gitignore is a pipe": _pipe(".gitignore"),
    "an inner .gitignore is a pipe": _pipe("src/.gitignore"),
    "an inner .gitattributes is a pipe": _pipe("src/.gitattributes"),
    "HEAD of a repository inside is a pipe": _nested_pipe,
    "HEAD of a repository inside, elsewhere, is a pipe": _nested_pipe_far,
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_leads_out_or_would_hang_is_refused(name: str, hostile: Repo, tmp_path: Path, out: Path) -> None:
    REFUSED[name](hostile, tmp_path)
    with pytest.raises(DatasetError, match=r"git will not read") as caught:
        built(out, hostile.folder, kinds=("repo", "history"))
    assert str(tmp_path) in caught.value.message
    assert caught.value.hint
    assert not out.exists()


def test_a_pipe_is_not_waited_for_when_a_folder_inside_is_given(hostile: Repo, out: Path) -> None:
    (hostile.folder / ".gitignore").unlink()
    os.mkfifo(hostile.folder / ".gitignore")
    with pytest.raises(DatasetError, match="is no regular file"):
        built(out, hostile.folder / "src")


@pytest.mark.parametrize("replaced", ["a", "a/b", "a/b/secret.py"])
def test_a_link_on_the_way_to_a_file_is_not_followed(replaced: str, hostile: Repo, tmp_path: Path, out: Path) -> None:
    hostile.commit("files", {"a/b/secret.py": "x = 1\n"})
    target = tmp_path / "away"
    (hostile.folder / replaced).rename(target)
    (target / "b" if replaced == "a" else target if replaced == "a/b" else tmp_path).mkdir(exist_ok=True)
    for path in [target, *target.rglob("*")] if target.is_dir() else [target]:
        if path.is_file():
            path.write_text("private = 1\n")
    (hostile.folder / replaced).symlink_to(target)
    _, result = built(out, hostile.folder)
    assert "private" not in out.read_text()
    assert "a/b/secret.py" in left_out(result)["symbolic link, not followed"]


def test_a_device_is_no_gitignore(tmp_path: Path, out: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "a.py").write_text("x = 1\n")
    (plain / ".gitignore").symlink_to("/dev/zero")
    rows, _ = built(out, plain)
    assert [row["doc"] for row in rows] == ["plain:a.py"]


@pytest.mark.parametrize("name", [".gitignore", "pipe.py"])
def test_pipes_in_a_plain_folder_are_left_out(name: str, hostile: Repo, tmp_path: Path, out: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "a.py").write_text("x = 1\n")
    os.mkfifo(plain / name)
    rows, result = built(out, plain)
    assert [row["doc"] for row in rows] == ["plain:a.py"]
    assert left_out(result) == {"neither a file nor a folder": [name]}


# What git itself writes


def _docs(rows: list[dict[str, Any]]) -> set[str]:
    return {row["doc"] for row in rows}


def _user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    (tmp_path / "gitconfig").write_text(text)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))


def test_worktrees(repo: Repo, tmp_path: Path, out: Path) -> None:
    repo.git("worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    side = tmp_path / "side"
    (side / "src/app.py").write_text("on_the_side = 1\n")
    (side / "new.py").write_text("new = 1\n")
    rows, _ = built(out, side, kinds=("repo", "history"))
    assert {"side:new.py", "side:src/app.py"} <= _docs(rows)
    assert "on_the_side" in out.read_text()
    assert "Commit: first" in out.read_text()


def test_submodules(repo: Repo, tmp_path: Path, out: Path) -> None:
    inner = Repo(tmp_path / "library")
    inner.commit("library", {"lib.py": "library = 1\n"})
    repo.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(inner.folder), "library")
    repo.commit("submodule")
    _, result = built(out, repo.folder)
    assert left_out(result)["submodule (give its folder as a SOURCE of its own)"] == ["library"]
    (repo.folder / "library/more.py").write_text("more = 1\n")
    rows, _ = built(out, repo.folder / "library", kinds=("repo", "history"))
    assert {"library:lib.py", "library:more.py"} <= _docs(rows)
    assert "Commit: library" in out.read_text()


@pytest.mark.parametrize("how", ["--shared", "--reference={original}", "--no-local --reference={original}"])
def test_borrowed_objects(how: str, repo: Repo, tmp_path: Path, out: Path) -> None:
    options = how.format(original=repo.folder).split()
    borrower = tmp_path / "borrower"
    subprocess.run(["git", "clone", "-q", *options, f"{repo.folder}", str(borrower)], check=True, capture_output=True)
    assert (borrower / ".git/objects/info/alternates").exists()
    rows, _ = built(out, borrower, kinds=("repo", "history"))
    assert "borrower:src/app.py" in _docs(rows)
    rows, _ = built(out, borrower, rev="HEAD")
    assert "borrower:src/app.py" in _docs(rows)


@pytest.mark.parametrize("of_the_user", [True, False])
def test_line_endings(
    of_the_user: bool, repo: Repo, tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A working copy in CRLF is unchanged where autocrlf says so, whoever set it."""
    if of_the_user:
        _user(monkeypatch, tmp_path, "[core]\n\tautocrlf = true\n")
    else:
        repo.git("config", "core.autocrlf", "true")
    text = (repo.folder / "src/app.py").read_bytes().replace(b"\n", b"\r\n")
    (repo.folder / "src/app.py").write_bytes(text)
    rows, _ = built(out, repo.folder)
    revision = next(row["source"]["revision"] for row in rows if row["doc"] == "project:src/app.py")
    assert revision == repo.git("rev-parse", "HEAD")


def test_a_filter_of_the_user_goes_on(repo: Repo, tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As git-lfs has it: the user's own settings name the program, the repository's attributes the files."""
    repo.commit("pointer", {".gitattributes": "big.py filter=large\n", "big.py": "pointer\n"})
    _user(monkeypatch, tmp_path, '[filter "large"]\n\tclean = echo pointer\n\trequired = true\n')
    (repo.folder / "big.py").write_text("content = 1\n")
    rows, _ = built(out, repo.folder)
    row = next(row for row in rows if row["doc"] == "project:big.py")
    assert "content = 1" in row["text"]
    assert row["source"]["revision"] == repo.git("rev-parse", "HEAD")


def test_a_split_index_and_a_sparse_one(repo: Repo, out: Path) -> None:
    repo.commit("more", {"deep/er/x.py": "x = 1\n", "other/y.py": "y = 1\n"})
    repo.git("update-index", "--split-index")
    repo.write_all({"late.py": "late = 1\n"})
    repo.git("add", "late.py")
    rows, _ = built(out, repo.folder)
    assert {"project:late.py", "project:deep/er/x.py"} <= _docs(rows)
    repo.git("update-index", "--no-split-index")
    repo.git("sparse-checkout", "set", "--cone", "--sparse-index", "other")
    rows, _ = built(out, repo.folder)
    assert {"project:late.py", "project:other/y.py"} <= _docs(rows)
    assert "project:deep/er/x.py" not in _docs(rows)


def test_a_shallow_and_a_partial_clone(repo: Repo, tmp_path: Path, out: Path) -> None:
    repo.commit("second", {"src/app.py": "second = 1\n"})
    repo.git("config", "uploadpack.allowFilter", "true")
    for name, how in (("shallow", "--depth=1"), ("partial", "--filter=blob:none")):
        made = tmp_path / name
        subprocess.run(["git", "clone", "-q", how, f"file://{repo.folder}", str(made)], check=True, capture_output=True)
        rows, _ = built(out, made)
        assert f"{name}:src/app.py" in _docs(rows)
        assert "second = 1" in out.read_text()
