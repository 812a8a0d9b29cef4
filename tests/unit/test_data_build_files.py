"""`data build` on repositories and folders: which files become rows, what each row says, why others are left out."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from repos import Repo, built, left_out

from localft.curation.repository import folder as folders
from localft.curation.repository.clone import github_name, is_url, url_name
from localft.curation.repository.git import without_password
from localft.errors import ConfigError, DatasetError

APP = 'def main() -> None:\n    """Start."""\n    print("hello")\n'


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    made = Repo(tmp_path / "project")
    made.commit("first", {"src/app.py": APP, "README.md": "# Project\n\nWhat it is.\n", ".gitignore": "*.tmp\nout/\n"})
    return made


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "rows" / "data.jsonl"


def test_a_row_is_a_path_and_its_content_with_where_it_came_from(repo: Repo, out: Path) -> None:
    head = repo.commit("second", {"src/b.py": "x = 1\n"})
    rows, result = built(out, repo.folder)
    assert [row["doc"] for row in rows] == [
        f"project:{path}" for path in (".gitignore", "README.md", "src/app.py", "src/b.py")
    ]
    assert rows[2] == {
        "text": f"File: src/app.py\n\n{APP}",
        "doc": "project:src/app.py",
        "source": {
            "kind": "file",
            "repository": "project",
            "revision": head,
            "path": "src/app.py",
            "date": "2025-01-01T12:00:00+00:00",
            "lines": [1, 3],
        },
    }
    assert rows[3]["source"]["date"] == "2025-01-02T12:00:00+00:00"
    assert (result.n_rows, dict(result.rows), dict(result.documents), result.whole) == (
        4,
        {"file": 3, "page": 1},
        {"file": 3, "page": 1},
        4,
    )


def test_the_same_twice_gives_the_same_bytes(repo: Repo, out: Path) -> None:
    built(out, repo.folder, kinds=("repo", "docs", "history"))
    first = out.read_bytes()
    built(out, repo.folder, kinds=("repo", "docs", "history"))
    assert out.read_bytes() == first


def test_ignored_files_stay_out_and_new_ones_come_in_without_a_revision(repo: Repo, out: Path) -> None:
    repo.write_all({"a.tmp": "no\n", "out/x.py": "no\n", "new.py": "y = 2\n", "src/app.py": APP + "# changed\n"})
    rows, _ = built(out, repo.folder)
    about = {row["source"]["path"]: row["source"] for row in rows}
    assert sorted(about) == [".gitignore", "README.md", "new.py", "src/app.py"]
    for path in ("new.py", "src/app.py"):
        assert about[path]["revision"] is None
        assert about[path]["date"] is None
    assert about[".gitignore"]["revision"] == repo.git("rev-parse", "HEAD")


def test_a_revision_is_read_from_the_repository(repo: Repo, out: Path) -> None:
    first = repo.git("rev-parse", "HEAD")
    repo.commit("second", {"src/app.py": "y = 2\n", "later.py": "z = 3\n"})
    repo.write_all({"src/app.py": "z = 4\n"})
    rows, _ = built(out, repo.folder, rev=first)
    assert [row["source"]["path"] for row in rows] == [".gitignore", "README.md", "src/app.py"]
    assert rows[2]["text"] == f"File: src/app.py\n\n{APP}"
    assert rows[2]["source"]["revision"] == first


def test_an_unknown_revision_is_refused(repo: Repo, out: Path) -> None:
    with pytest.raises(ConfigError, match="`project` has no revision `v9`"):
        built(out, repo.folder, rev="v9")
    with pytest.raises(ConfigError, match="has no revision `--output=x`"):
        built(out, repo.folder, rev="--output=x")
    assert not out.exists()


def test_a_repository_without_a_commit_has_no_revision(tmp_path: Path, out: Path) -> None:
    repo = Repo(tmp_path / "young")
    repo.write(a_dot_py="x = 1\n")
    rows, _ = built(out, repo.folder)
    assert rows[0]["source"]["revision"] is None


def test_a_folder_of_a_repository_keeps_its_paths(repo: Repo, out: Path) -> None:
    rows, _ = built(out, repo.folder / "src")
    assert [row["doc"] for row in rows] == ["project:src/app.py"]


def test_a_folder_that_its_repository_ignores_is_read_as_a_folder(repo: Repo, out: Path) -> None:
    repo.write_all({"out/lib/x.py": "x = 1\n"})
    rows, _ = built(out, repo.folder / "out" / "lib")
    assert [row["doc"] for row in rows] == ["lib:x.py"]


def test_the_file_that_is_written_is_no_document(repo: Repo) -> None:
    inside = repo.folder / "rows.py"
    inside.write_text("of an earlier build\n")
    rows, _ = built(inside, repo.folder)
    assert [row["source"]["path"] for row in rows] == [".gitignore", "README.md", "src/app.py"]


def test_every_reason_to_leave_a_file_out(tmp_path: Path, out: Path) -> None:
    repo = Repo(tmp_path / "p")
    repo.write_all(
        {
            "a.py": "x = 1\n",
            "b.py": "x = 1\n",
            "LICENSE": "MIT\n",
            "Cargo.lock": "x\n",
            "bad.py": b"caf\xe9 = 1  # latin-1\n",
            "big.py": "x" * 300 + "\n",
            "blob.xyz": b"\x7fELF\0\0",
            "empty.py": "\n\n",
            "gen.py": "# Code generated by a program. DO NOT EDIT.\nx = 1\n",
            "late.py": "#" * 8000 + "\n" + "\0",
            "lfs.md": "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
            "pic.png": b"\x89PNG",
            "rows.csv": "a,b\n1,2\n",
            "site.min.js": "f()\n",
            "utf16.py": "x = 1".encode("utf-16"),
            "vendor/x.go": "package x\n",
            "wide.css": "a{b:c}" * 1000 + "\n",
            "x\ny.py": "x = 3\n",
        }
    )
    (repo.folder / "link.py").symlink_to("a.py")
    (repo.folder / "loop").symlink_to("loop")
    os.mkfifo(repo.folder / "pipe")
    (repo.folder / b"\xff.py".decode("utf-8", "surrogateescape")).write_text("x = 4\n")
    for is_git in (True, False):
        if is_git:
            repo.commit("all")
        else:
            (repo.folder / ".git").rename(tmp_path / "gone")
        rows, result = built(out, repo.folder, max_file_size=8100)
        assert [row["source"]["path"] for row in rows] == ["a.py", "big.py"]
        expected = {
            "binary": ["blob.xyz", "pic.png"],
            "copy of another file": ["b.py"],
            "data file": ["rows.csv"],
            "empty": ["empty.py"],
            "generated": ["gen.py"],
            "Git LFS pointer": ["lfs.md"],
            "licence": ["LICENSE"],
            "lock file": ["Cargo.lock"],
            "minified": ["site.min.js", "wide.css"],
            "name that is not UTF-8": ["\\udcff.py"],
            "name with control characters": ["x\\ny.py"],
            "not UTF-8": ["bad.py"],
            "symbolic link, not followed": ["link.py"],
            "symbolic link that leads in a circle": ["loop"],
            "text with NUL bytes": ["late.py"],
            "UTF-16 text (UTF-8 is read)": ["utf16.py"],
        }
        other = {"vendored": ["vendor/x.go"]}
        if not is_git:
            # git never lists a pipe
            other = {"vendored or cache folder": ["vendor"], "neither a file nor a folder": ["pipe"]}
        assert left_out(result) == {**expected, **other}
    rows, result = built(out, repo.folder, max_file_size=100)
    assert left_out(result)["larger than --max-file-size"] == ["big.py", "late.py", "wide.css"]


def test_reasons_can_be_taken_back(tmp_path: Path, out: Path) -> None:
    repo = Repo(tmp_path / "p")
    repo.commit("all", {"vendor/x.go": "package x\n", "LICENSE": "MIT\n", "rows.csv": "a,b\n", "p.png": b"\x89PNG\0"})
    rows, _ = built(out, repo.folder, keep=("vendored", "licence", "data file"))
    assert [row["source"]["path"] for row in rows] == ["LICENSE", "rows.csv", "vendor/x.go"]
    with pytest.raises(DatasetError, match="there is nothing to write") as caught:
        built(out, repo.folder)
    assert caught.value.hint == "left out: 1 licence, 1 binary, 1 data file, 1 vendored"


def test_unreadable_files_and_folders_have_their_own_words(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = tmp_path / "plain"
    for name in ("a.py", "closed.py", "shut/b.py"):
        (plain / name).parent.mkdir(parents=True, exist_ok=True)
        (plain / name).write_text(f"x = '{name}'\n")
    real_open, real_scan = Path.open, os.scandir

    # not by permissions: tests may run as root, who can read everything
    def guarded_open(self: Path, *arguments: Any, **named: Any) -> Any:
        if self.name == "closed.py":
            raise PermissionError(13, "Permission denied", str(self))
        return real_open(self, *arguments, **named)

    def guarded_scan(path: Any) -> Any:
        if str(path).rstrip("/").endswith("shut"):
            raise PermissionError(13, "Permission denied", str(path))
        return real_scan(path)

    monkeypatch.setattr(Path, "open", guarded_open)
    monkeypatch.setattr(folders.os, "scandir", guarded_scan)
    rows, result = built(out, plain)
    assert [row["doc"] for row in rows] == ["plain:a.py"]
    assert left_out(result) == {
        "unreadable: permission denied": ["closed.py"],
        "unreadable folder: permission denied": ["shut/"],
    }


def test_files_that_go_away_while_being_read_are_counted(repo: Repo, out: Path) -> None:
    (repo.folder / "src/app.py").unlink()
    rows, result = built(out, repo.folder)
    assert len(rows) == 2
    assert left_out(result) == {"unreadable: no such file or directory": ["src/app.py"]}


def test_gitignore_outside_git_says_what_git_says(tmp_path: Path, out: Path) -> None:
    """The listing of a plain folder equals that of the same folder in git, with nested files and negations."""
    repo = Repo(tmp_path / "p")
    ignores = {
        ".gitignore": "*.log.py\n/build/\n!keep.log.py\nsub/*.py\n!sub/yes.py\n"
        "**/deep/x.py\n# no\n\\#odd.py\ntrail.py \n",
        "sub/.gitignore": "!also.py\nlocal/\n",
        "other/.gitignore": "*\n!.gitignore\n!one.py\n",
    }
    names = (
        "a.py a.log.py keep.log.py build/a.py x/build/b.py sub/no.py sub/yes.py sub/also.py sub/local/c.py sub/in/d.py "
        "a/deep/x.py a/deep/y.py #odd.py trail.py other/one.py other/two.py x/keep.log.py x/z.log.py"
    )
    repo.write_all({**ignores, **{name: f"x = {i}\n" for i, name in enumerate(names.split(" "))}})
    known, _ = built(out, repo.folder)
    (repo.folder / ".git").rename(tmp_path / "gone")
    plain, _ = built(out, repo.folder)
    paths = [row["source"]["path"] for row in known]
    assert [row["source"]["path"] for row in plain] == paths
    assert "sub/also.py" in paths
    assert len(paths) == 12


def test_include_and_exclude_are_patterns_as_in_gitignore(repo: Repo, out: Path) -> None:
    repo.commit("more", {"src/test_app.py": "x = 1\n", "tools/src/t.py": "x = 2\n"})
    rows, result = built(out, repo.folder, include=("/src/", "*.md"), exclude=("test_*",))
    assert [row["source"]["path"] for row in rows] == ["README.md", "src/app.py"]
    assert left_out(result) == {
        "not in --include": [".gitignore", "tools/src/t.py"],
        "in --exclude": ["src/test_app.py"],
    }


def test_a_submodule_is_named(repo: Repo, tmp_path: Path, out: Path) -> None:
    repo.git("update-index", "--add", "--cacheinfo", f"160000,{repo.git('rev-parse', 'HEAD')},lib")
    _, result = built(out, repo.folder)
    assert left_out(result) == {"submodule (give its folder as a SOURCE of its own)": ["lib"]}


def test_windows_line_ends_and_a_byte_order_mark_are_read_as_plain_text(tmp_path: Path, out: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "a.py").write_bytes(b"\xef\xbb\xbfx = 1\r\n\r\ny = 2\r\n")
    rows, _ = built(out, tmp_path / "p")
    assert rows[0]["text"] == "File: a.py\n\nx = 1\n\ny = 2\n"
    assert rows[0]["source"]["lines"] == [1, 3]


def test_a_repository_runs_nothing_of_its_own(repo: Repo, out: Path, tmp_path: Path) -> None:
    """A hostile repository can name programs in its settings: none of them is started."""
    trap = tmp_path / "trap.sh"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\ncat\n")
    trap.chmod(0o755)
    repo.commit("more", {".gitattributes": "*.py diff=trap\n", "b.py": "x = 1\n"})
    for key in ("core.fsmonitor", "diff.external", "diff.trap.textconv", "diff.trap.command", "core.pager"):
        repo.git("config", key, str(trap))
    repo.write_all({"src/app.py": "x = 5\n"})
    built(out, repo.folder, kinds=("repo", "history"))
    assert not (tmp_path / "sprung").exists()


def test_the_kind_follows_what_is_there(repo: Repo, tmp_path: Path, out: Path) -> None:
    pages = tmp_path / "handbook"
    pages.mkdir()
    for number in range(9):
        (pages / f"{number}.md").write_text(f"# Page {number}\n\ntext\n")
    (pages / "b.rst").write_text("B\n===\n\ntext\n")
    (pages / "conf.py").write_text("x = 1\n")
    rows, result = built(out, pages)
    assert {row["source"]["kind"] for row in rows} == {"page"}
    assert result.sources[0]["why"] == "10 of 11 texts are pages"
    assert left_out(result) == {"not a page": ["conf.py"]}
    (pages / "index.html").write_text("<h1>Front</h1> <p>door</p>\n")
    (pages / "more.py").write_text("y = 1\n")
    rows, _ = built(out, pages)
    kinds = {row["source"]["path"]: row["source"]["kind"] for row in rows}
    assert (kinds["b.rst"], kinds["conf.py"], kinds["index.html"]) == ("page", "file", "file")
    wiki = Repo(tmp_path / "project.wiki")
    wiki.commit("home", {"Home.md": "Welcome\n", "_Sidebar.md": "links\n", "a.py": "x\n", "b.py": "y\n"})
    rows, result = built(out, wiki.folder)
    assert [row["doc"] for row in rows] == ["project.wiki:Home.md"]
    assert left_out(result) == {"navigation page": ["_Sidebar.md"], "not a page": ["a.py", "b.py"]}


def test_a_page_is_taken_once_where_code_and_docs_are_asked_for(repo: Repo, out: Path) -> None:
    rows, _ = built(out, repo.folder, kinds=("docs", "repo"))
    assert [(row["source"]["kind"], row["source"]["path"]) for row in rows] == [
        ("file", ".gitignore"),
        ("page", "README.md"),
        ("file", "src/app.py"),
    ]


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
    assert "token" not in without_password(url)


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
