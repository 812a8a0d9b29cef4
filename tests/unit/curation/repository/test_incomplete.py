"""Clones that lack something: what they do not know is not made up, and the sentence about it works when followed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from repos import Repo, built, left_out

from localft.errors import DatasetError

EDGE = "commit at the edge of a shallow clone"


@pytest.fixture
def origin(repo: Repo) -> Repo:
    repo.commit("second", {"new.py": "x = 1\n"})
    repo.commit("third", {"new.py": "x = 2\n"})
    repo.commit("fourth", {"newest.py": "y = 1\n"})
    repo.git("config", "uploadpack.allowFilter", "true")
    return repo


def git(*arguments: str) -> None:
    env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", *arguments], env=env, check=True, capture_output=True)


def clone(origin: Repo, folder: Path, *how: str) -> Path:
    git("clone", "-q", *how, f"file://{origin.folder}", str(folder))
    return folder


def follow(words: str) -> None:
    """Run the command that a sentence names."""
    command = next(part for part in words.split("`") if part.startswith("git "))
    git(*command.split()[1:])


@pytest.mark.parametrize("how", [(), ("--bare",), ("--no-single-branch",)])
def test_a_shallow_clone_knows_what_it_knows(origin: Repo, tmp_path: Path, out: Path, how: tuple[str, ...]) -> None:
    """Its oldest commit "added" all files, and dated them."""
    folder = clone(origin, tmp_path / "shallow", "--depth", "2", *how)
    rows, result = built(out, folder, kinds=("repo", "history"))
    dates = {row["source"]["path"]: row["source"]["date"] for row in rows if row["source"]["kind"] == "file"}
    unknown = dict.fromkeys((".gitignore", "README.md", "new.py", "src/app.py"))
    assert dates == {**unknown, "newest.py": "2025-01-04T12:00:00+00:00"}
    assert [row["text"].split("\n")[0] for row in rows if row["source"]["kind"] == "commit"] == ["Commit: fourth"]
    assert left_out(result)[EDGE] == [origin.git("rev-parse", "HEAD~1")[:12]]
    (note,) = result.notes
    assert "is a shallow clone" in note
    follow(note)
    rows, result = built(out, folder, kinds=("repo", "history"))
    assert (result.documents["commit"], result.notes, EDGE in left_out(result)) == (4, [], False)
    assert all(row["source"]["date"] for row in rows)


def test_a_shallow_clone_may_be_cloned(origin: Repo, tmp_path: Path, out: Path) -> None:
    folder = clone(origin, tmp_path / "shallow", "--depth", "2")
    rows, result = built(out, f"file://{folder}", kinds=("repo", "history"))
    assert (len(rows), result.documents["commit"]) == (6, 1)
    assert "a whole clone has them" in result.notes[0]


def test_grafts_change_nothing(origin: Repo, out: Path) -> None:
    """They are as shallow as a clone can be made by hand."""
    (origin.folder / ".git/info/grafts").write_text(origin.git("rev-parse", "HEAD") + "\n")
    rows, _ = built(out, origin.folder, kinds=("history",))
    assert [row["text"].split("\n")[0][8:] for row in rows] == ["first", "second", "third", "fourth"]


@pytest.mark.parametrize("what", ["blob:none", "tree:0", "blob:limit=1"])
@pytest.mark.parametrize("kind", ["repo", "history"])
def test_a_partial_clone_is_not_called_damaged(origin: Repo, tmp_path: Path, out: Path, what: str, kind: str) -> None:
    folder = clone(origin, tmp_path / "partial", f"--filter={what}", "--bare")
    with pytest.raises(DatasetError) as caught:
        built(out, folder, kinds=(kind,))
    assert "fsck" not in caught.value.hint
    assert "a partial clone" in caught.value.hint
    follow(caught.value.hint)
    rows, _ = built(out, folder, kinds=(kind,))
    assert len(rows) == (5 if kind == "repo" else 4)


def test_files_that_a_partial_clone_has_not_fetched_are_counted(origin: Repo, tmp_path: Path, out: Path) -> None:
    folder = clone(origin, tmp_path / "partial", "--filter=blob:none")
    origin.commit("fifth", {"new.py": "x = 3\n"})
    git("-C", str(folder), "fetch", "-q")
    rows, result = built(out, folder, rev="origin/main", kinds=("repo",))
    assert left_out(result)["unreadable: not fetched by a partial clone"] == ["new.py"]
    assert len(rows) == 4
    assert "a partial clone" in result.notes[0]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_belongs_to_somebody_else_is_named_as_git_wants_it(
    origin: Repo, tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, _, _ in os.walk(origin.folder):
        os.chown(folder, 65534, 65534)
    settings = tmp_path / "gitconfig"
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    # what is asked for inside it is read without a word: nothing of its own is run
    assert len(built(out, origin.folder / "src")[0]) == 1
    with pytest.raises(DatasetError, match="dubious ownership") as caught:
        built(out, f"file://{origin.folder}")
    command = next(part for part in caught.value.hint.split("`") if part.startswith("git "))
    subprocess.run(command.split(), check=True)
    assert built(out, f"file://{origin.folder}")[0]
