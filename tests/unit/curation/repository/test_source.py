"""What a SOURCE may be: URLs, their clones and names, and what is refused."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from repos import Repo, built

from localft.addresses import without_secrets
from localft.curation.repository.clone import github_name, is_url, url_name
from localft.errors import ConfigError, DatasetError


def test_urls_are_cloned_once_and_brought_up_to_date(repo: Repo, out: Path, home: Path) -> None:
    url = f"file://{repo.folder}"
    rows, _ = built(out, url)
    assert [row["doc"] for row in rows] == ["project:.gitignore", "project:README.md", "project:src/app.py"]
    repo.commit("more", {"new.py": "x = 1\n"})
    rows, result = built(out, url)
    assert rows[2]["doc"] == "project:new.py"
    assert len(list((home / "git").iterdir())) == 1
    # without the origin the copy still serves, and says so
    repo.folder.rename(repo.folder.with_name("moved"))
    rows, result = built(out, url)
    assert len(rows) == 4
    assert "could not be brought up to date" in result.notes[0]


def test_a_clone_that_fails_leaves_nothing_and_says_why(tmp_path: Path, out: Path, home: Path) -> None:
    with pytest.raises(DatasetError, match="could not be cloned: ") as caught:
        built(out, f"file://user:s3cr3t99@{tmp_path}/nothing.git")
    assert "s3cr3t99" not in caught.value.message + str(caught.value.hint)
    assert list((home / "git").iterdir()) == []
    assert not out.exists()


def test_a_password_in_a_url_goes_nowhere(repo: Repo, out: Path, home: Path) -> None:
    rows, result = built(out, f"file://user:s3cr3t99@localhost{repo.folder}")
    assert "s3cr3t99" not in out.read_text() + str(result.sources) + str(result.notes)
    done = subprocess.run(["grep", "-r", "s3cr3t99", str(home)], capture_output=True)
    assert done.stdout == b""
    assert rows[0]["doc"].startswith("project:")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://github.com/owner/name.git", "owner/name"),
        ("https://token@github.com/owner/name", "owner/name"),
        ("git@github.com:owner/name.git", "owner/name"),
        ("ssh://git@github.com/owner/na.me.git/", "owner/na.me"),
        ("https://github.com/owner/name.wiki.git", "owner/name.wiki"),
        ("https://git.example.org/group/sub/tool.git", "tool"),
        ("https://notgithub.com/owner/name.git", "name"),
    ],
)
def test_names_of_urls(url: str, name: str) -> None:
    assert is_url(url)
    assert url_name(url) == name
    assert "token" not in without_secrets(url)


def test_a_github_remote_names_the_documents(repo: Repo, out: Path) -> None:
    repo.git("remote", "add", "origin", "git@github.com:owner/name.git")
    rows, _ = built(out, repo.folder)
    assert rows[0]["doc"] == "owner/name:.gitignore"
    assert github_name("/srv/git/name.git") == ""
    rows, _ = built(out, repo.folder, name="mine")
    assert rows[0]["doc"] == "mine:.gitignore"


def test_what_is_no_source_is_refused_with_what_to_do(repo: Repo, tmp_path: Path, out: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "file.py").write_text("x\n")
    (tmp_path / "bare").mkdir()
    (tmp_path / "x/project").mkdir(parents=True)
    (tmp_path / "x/project/a.py").write_text("x = 1\n")
    cases: list[tuple[tuple[Path | str, ...], dict[str, object], str]] = [
        (("owner/name",), {}, "there is no folder `owner/name`, and it is no git URL"),
        ((tmp_path / "loop",), {}, "is a symbolic link that leads in a circle"),
        ((tmp_path / "file.py",), {}, "is not a folder"),
        ((tmp_path / "bare",), {"rev": "v1"}, "is not in a git working copy, so --rev `v1` has no part here"),
        ((tmp_path / "bare",), {"kinds": ("history",)}, "so `--kind history` has no part here"),
        ((tmp_path / "bare",), {}, "there is nothing to write"),
        ((repo.folder, tmp_path / "x/project"), {}, "are both called `project`"),
        ((repo.folder, tmp_path / "x"), {"name": "a"}, "--name names one source"),
        ((repo.folder,), {"include": ("!",)}, "--include `!` is no pattern"),
        ((repo.folder,), {"chunk_tokens": 5}, "--chunk-tokens `5` is too small"),
    ]
    for sources, options, message in cases:
        with pytest.raises((ConfigError, DatasetError)) as caught:
            built(out, *sources, **options)
        assert message in caught.value.message
        assert caught.value.hint
        assert not out.exists()


def test_a_damaged_repository_is_an_error_not_a_short_dataset(repo: Repo, out: Path) -> None:
    repo.commit("second", {"b.py": "x = 1\n"})
    tree = repo.git("rev-parse", "HEAD^{tree}")
    (repo.folder / ".git/objects" / tree[:2] / tree[2:]).unlink()
    with pytest.raises(DatasetError, match="git could not read"):
        built(out, repo.folder, rev="HEAD")
    assert not out.exists()
