"""Repositories with something missing or broken, and revisions that are none: a sentence, or the rest of the rows."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from repos import Repo, built, left_out

from localft.errors import ConfigError, DatasetError

LACKS = "unreadable: the repository lacks its content"


def blob(repo: Repo, name: str) -> Path:
    """The file of a loose object, which may then be written."""
    found = repo.git("rev-parse", name)
    path = repo.folder / ".git/objects" / found[:2] / found[2:]
    path.chmod(0o644)
    return path


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


HARM: dict[str, Callable[[Path], object]] = {
    "missing": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-5]),
    "flipped": flip,
}


@pytest.mark.parametrize("how", HARM)
def test_a_blob_that_is_not_there_costs_its_file_alone(repo: Repo, out: Path, how: str) -> None:
    repo.commit("more", {"src/a.py": "a = 1\n" * 9, "src/z.py": "z = 1\n"})
    HARM[how](blob(repo, "HEAD:src/app.py"))
    rows, result = built(out, repo.folder, rev="HEAD")
    assert [row["doc"] for row in rows] == [
        f"project:{name}" for name in (".gitignore", "README.md", "src/a.py", "src/z.py")
    ]
    assert left_out(result)[LACKS] == ["src/app.py"]


@pytest.mark.parametrize("name", ["HEAD:src/app.py", "HEAD^{tree}", "HEAD:src", "HEAD"])
@pytest.mark.parametrize("how", HARM)
def test_damage_that_history_meets_is_a_sentence(repo: Repo, out: Path, name: str, how: str) -> None:
    HARM[how](blob(repo, name))
    with pytest.raises((DatasetError, ConfigError)) as caught:
        built(out, repo.folder, rev="main", kinds=("repo", "history"))
    assert re.search("git (could not|will not) read `|has no revision `main`", caught.value.message)
    assert "localft-git-" not in caught.value.message
    assert caught.value.hint
    assert not out.exists()


def test_a_damaged_pack_is_a_sentence(repo: Repo, tmp_path: Path, out: Path) -> None:
    repo.git("gc", "-q")
    for place in range(12, 200, 40):
        shutil.copytree(repo.folder, tmp_path / "copy")
        (pack,) = (tmp_path / "copy/.git/objects/pack").glob("*.pack")
        pack.chmod(0o644)
        data = bytearray(pack.read_bytes())
        data[place % len(data)] ^= 0xFF
        pack.write_bytes(data)
        try:
            said = f"{len(built(out, tmp_path / 'copy', rev='main', kinds=('repo', 'history'))[0])} rows"
        except (DatasetError, ConfigError) as error:
            said = error.message
        assert re.match("[0-9] rows|git could not read|git will not read|`copy` has no revision", said)
        shutil.rmtree(tmp_path / "copy")


@pytest.mark.parametrize(
    "revision",
    [
        *("-x", "--all", "--output={0}/x", "--upload-pack=touch {0}/x", "^HEAD", "HEAD..HEAD", "HEAD^!", "HEAD^@", ""),
        *("blob", "tag-of-blob", "HEAD:src/app.py", "HEAD^{{tree}}", ":README.md", "0" * 40, "a" * 5000, "HEAD\nHEAD"),
        *("a\0b", "\ud800", "\udcff", "\x1b[31m"),
    ],
)
def test_what_is_no_commit_is_no_revision(repo: Repo, tmp_path: Path, out: Path, revision: str) -> None:
    repo.git("tag", "blob", repo.git("rev-parse", "HEAD:src/app.py"))
    repo.git("tag", "-a", "tag-of-blob", "-m", "x", "blob")
    for kinds in ((), ("history",)):
        with pytest.raises(ConfigError, match="has no revision") as caught:
            built(out, repo.folder, rev=revision.format(tmp_path), kinds=kinds)
        assert len(caught.value.message) < 400
        assert "\x1b" not in caught.value.message
    assert not (tmp_path / "x").exists()


# What a repository may name a place by; `loop` is a link to itself.
PLACES = [
    "",
    "a\0b",
    "loop",
    "./loop/x",
    "a" * 5000,
    "/" + "/".join(["a" * 200] * 30),
    "../" * 9999,
    "/dev/zero",
    "\x1b[",
]
NAMES: dict[str, Callable[[Repo, str], None]] = {
    ".git": lambda repo, text: replaced(repo, ".git", f"gitdir: {text}"),
    "alternates": lambda repo, text: replaced(repo, ".git/objects/info/alternates", f"{text}\n"),
    "a worktree's commondir": lambda repo, text: replaced(repo, ".git/worktrees/other/commondir", text),
    "a worktree's gitdir": lambda repo, text: replaced(repo, ".git/worktrees/other/gitdir", text),
    "an inner .git": lambda repo, text: replaced(repo, "inner/.git", f"gitdir: {text}"),
    "core.worktree": lambda repo, text: replaced(repo, ".git/config", f'[core]\n\tworktree = "{text}"\n'),
}


def replaced(repo: Repo, name: str, text: str) -> None:
    path = repo.folder / name
    if path.is_dir():
        path.rename(repo.folder.parent / "away")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    (path.parent / "loop").symlink_to("loop")


@pytest.mark.parametrize("place", PLACES, ids=range(len(PLACES)))
@pytest.mark.parametrize("name", NAMES)
def test_places_that_a_repository_names(repo: Repo, tmp_path: Path, out: Path, name: str, place: str) -> None:
    repo.git("worktree", "add", "-q", str(tmp_path / "other"))
    NAMES[name](repo, place)
    folder = tmp_path / "other" if "worktree's" in name else repo.folder
    try:
        said = f"{len(built(out, folder)[0])} rows"
    except DatasetError as error:
        said = error.message
    assert re.match("[0-9] rows|git will not read|git could not read", said)


def test_a_name_that_is_no_utf8_is_written_all_the_same(repo: Repo, tmp_path: Path, out: Path) -> None:
    folder = repo.folder.rename(tmp_path / "na\udcffme")
    for more in ({}, {"rev": "main"}, {"name": "\udcff"}):
        rows, _ = built(out, folder, **more)
        assert rows[0]["doc"] in ("na?me:.gitignore", "?:.gitignore")
