"""git history: a commit's message and diff as one row; what is left out of it is named."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from repos import Repo, built, left_out

from localft.errors import ConfigError


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return Repo(tmp_path / "project")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "rows.jsonl"


def history(out: Path, repo: Repo, **options: object) -> list[str]:
    return [row["text"] for row in built(out, repo.folder, kinds=("history",), **options)[0]]


def test_a_row_is_a_message_and_a_diff_oldest_first(repo: Repo, out: Path) -> None:
    first = repo.commit("Add a\n\nBecause it was missing.\n\nSigned-off-by: A <a@example.com>\n", {"a.py": "x = 1\n"})
    repo.commit("Change a", {"a.py": "x = 2\n"})
    rows, result = built(out, repo.folder, kinds=("history",))
    assert rows[0] == {
        "text": "Commit: Add a\nDate: 2025-01-01\n\nBecause it was missing.\n\ndiff --git a/a.py b/a.py\n"
        "new file mode 100644\n--- /dev/null\n+++ b/a.py\n@@ -0,0 +1 @@\n+x = 1\n",
        "doc": f"project@{first[:12]}",
        "source": {"kind": "commit", "repository": "project", "revision": first, "date": "2025-01-01T12:00:00+00:00"},
    }
    assert rows[1]["text"] == (
        "Commit: Change a\nDate: 2025-01-02\n\ndiff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n"
        "@@ -1 +1 @@\n-x = 1\n+x = 2\n"
    )
    assert (dict(result.documents), result.cut_commits) == ({"commit": 2}, 0)


def test_merges_empty_commits_and_those_of_left_out_files_are_counted(repo: Repo, out: Path) -> None:
    repo.commit("one", {"a.py": "x = 1\n"})
    repo.git("checkout", "-q", "-b", "side")
    repo.commit("two", {"b.py": "y = 1\n"})
    repo.git("checkout", "-q", "main")
    locked = repo.commit("three", {"uv.lock": "x\n", "p.png": b"\x89PNG\0"})
    repo.git("merge", "-q", "--no-ff", "-m", "merge", "side")
    empty = repo.commit("nothing")
    rows, result = built(out, repo.folder, kinds=("history",))
    assert [row["text"].split("\n")[0] for row in rows] == ["Commit: one", "Commit: two"]
    assert left_out(result) == {
        "merge commit": [repo.git("rev-parse", "HEAD~1")[:12]],
        "commit of left-out files only": [locked[:12]],
        "commit without changes": [empty[:12]],
    }


def test_what_a_row_lacks_is_named_in_it(repo: Repo, out: Path) -> None:
    repo.commit(
        "all", {"a.py": "x = 1\n", "uv.lock": "x\n", "p.bin": b"\0\1", "l.py": b"caf\xe9\n", "t/z.py": "z = 1\n"}
    )
    text = history(out, repo, exclude=("t/",))[0]
    assert text.endswith(
        "+x = 1\n\n[left out: l.py (not UTF-8), p.bin (binary), t/z.py (in --exclude), uv.lock (lock file)]\n"
    )


def lines_of(rows: list[dict[str, Any]]) -> list[str]:
    lines = (line for row in rows for line in row["text"].split("\n"))
    return [line for line in lines if line.startswith(("+", "-")) and not line.startswith(("+++", "---"))]


def test_a_diff_that_does_not_fit_becomes_several_rows(repo: Repo, out: Path) -> None:
    """It was cut: most of the lines of larger commits were lost."""
    before = [f"value_{i} = {i}\n" for i in range(90)]
    repo.commit("start", {"a.py": "".join(before)})
    after = [f"changed_{i} = {i}\n" if i in (5, 45, 85) else line for i, line in enumerate(before)]
    changed = repo.commit("three places\n\nBecause.", {"a.py": "".join(after), "b.py": "b = 1\n" * 200})
    rows, result = built(out, repo.folder, kinds=("history",), chunk_tokens=180)
    rows = [row for row in rows if row["doc"] == f"project@{changed[:12]}"]
    assert len(rows) > 5
    assert lines_of(rows) == [
        *(f"{mark}{line}" for i in (5, 45, 85) for mark, line in (("-", before[i][:-1]), ("+", after[i][:-1]))),
        *["+b = 1"] * 200,
    ]
    begins = "Commit: three places\nDate: 2025-01-02\n\nBecause.\n\ndiff --git a/a.py b/a.py\n"
    assert rows[0]["text"].startswith(begins)
    assert rows[1]["text"].startswith("Commit: three places (part 2)\nDate: 2025-01-02\n\ndiff --git a/")
    assert [row["source"]["part"] for row in rows] == [[i, len(rows)] for i in range(1, len(rows) + 1)]
    assert (result.cut_commits, result.longest <= 180, left_out(result)) == (0, True, {})


def test_a_hunk_that_is_too_large_does_not_take_the_message_along(repo: Repo, out: Path) -> None:
    repo.commit("Add the table", {"a.py": "".join(f"{i}: 'word',\n" for i in range(20000)), "b.py": "b = 1\n"})
    repo.commit("One line", {"c.py": "x" * 3000 + "\n"})
    repo.commit("Say much\n\n" + "many words. " * 500, {"d.py": "d = 1\n"})
    rows, result = built(out, repo.folder, kinds=("history",), chunk_tokens=180)
    first = [row["text"] for row in rows if row["text"].startswith("Commit: Add the table")]
    assert first[-1].endswith("\n[left out: a.py (too large), b.py (too large)]\n")
    (line,) = (row["text"] for row in rows if "One line" in row["text"])
    assert line.endswith("[left out: c.py (very long lines)]\n")
    said = [row["text"] for row in rows if "Say much" in row["text"]]
    assert "many words." in said[0]
    assert said[-1].endswith("+d = 1\n\n[left out: the rest of the message]\n")
    assert result.longest <= 180


def test_git_lfs_pointers_are_left_out_as_files_are(repo: Repo, out: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "ab" * 32 + "\nsize 12\n"
    repo.commit("pointers", {"data.json": pointer, "a.py": "a = 1\n"})
    repo.commit("changed", {"data.json": pointer.replace("ab", "cd"), "a.py": "a = 2\n"})
    gone = repo.commit("gone", {"data.json": "{}\n"})
    rows, result = built(out, repo.folder, kinds=("history",))
    assert ["oid sha256" in row["text"] for row in rows] == [False, False]
    assert all(row["text"].endswith("[left out: data.json (Git LFS pointer)]\n") for row in rows)
    assert left_out(result) == {"commit of left-out files only": [gone[:12]]}


@pytest.mark.parametrize("name", [b"caf\xe9.py", b"\xff/x.py", b"a\xc3.md", b"\xed\xa0\x80.py"])
def test_names_that_are_not_utf8_are_named_all_the_same(repo: Repo, out: Path, name: bytes) -> None:
    """One such name in its past, and nothing was built of a whole repository."""
    path = Path(os.fsdecode(bytes(repo.folder) + b"/" + name))
    path.parent.mkdir(exist_ok=True)
    path.write_text("x = 1\n")
    repo.commit("odd", {"a.py": "a = 1\n"})
    path.rename(repo.folder / "b.py")
    repo.commit("renamed")
    (repo.folder / "b.py").rename(path)
    repo.commit("and back", {"a.py": "a = 2\n"})
    texts = history(out, repo)
    shown = "".join(f"\\udc{byte:02x}" if byte > 127 else chr(byte) for byte in name)
    assert texts[0].endswith(f"[left out: {shown} (name that is not UTF-8)]\n")
    assert "+a = 2" in texts[-1]


def test_the_newest_commits_or_those_since_a_day(repo: Repo, out: Path) -> None:
    hashes = [repo.commit(f"number {i}", {"a.py": f"a = {i}\n"}) for i in range(5)]
    for options, kept in (
        ({"max_commits": 2}, [3, 4]),
        ({"since": "2025-01-03"}, [2, 3, 4]),
        ({"since": "2025-01-03T12:00:00Z"}, [2, 3, 4]),
        ({"since": "2025-01-03T12:00:01+00:00"}, [3, 4]),
        ({"since": "2025-01-02", "max_commits": 1}, [4]),
    ):
        rows, result = built(out, repo.folder, kinds=("history",), **options)
        assert [row["text"].split("\n")[0] for row in rows] == [f"Commit: number {i}" for i in kept]
        others = [each[:12] for i, each in enumerate(hashes) if i not in kept]
        assert sorted(left_out(result)["commit beyond --max-commits or --since"]) == sorted(others)
    for wrong in ({"since": "yesterday"}, {"since": "2025-01-01", "kinds": ("repo",)}, {"max_commits": 1, "kinds": ()}):
        with pytest.raises(ConfigError, match=r"is no date|not asked for"):
            built(out, repo.folder, **{"kinds": ("history",), **wrong})


def test_renames_and_odd_names(repo: Repo, out: Path) -> None:
    repo.commit("start", {"old name.py": "x = 1\ny = 2\nz = 3\n"})
    (repo.folder / "new b").mkdir()
    repo.git("mv", "old name.py", "new b/name.py")
    repo.commit("move", {"a b/x.py": "q = 1\n", "tab\tname.py": "t = 1\n", "new\nline.min.js": "n = 1\n"})
    text = history(out, repo)[-1]
    assert "rename from old name.py\nrename to new b/name.py" in text
    assert "--- /dev/null\n+++ b/a b/x.py" in text
    assert text.endswith("[left out: new\\nline.min.js (minified)]\n")


def test_a_message_cannot_pass_for_a_diff(repo: Repo, out: Path) -> None:
    message = "diff --git a/x b/x\n\n+++ b/x\n@@ -0,0 +1 @@\n+evil\n"
    repo.commit(message, {"a.py": "x = 1\n"})
    (text,) = history(out, repo)
    assert text.startswith(
        "Commit: diff --git a/x b/x\nDate: 2025-01-01\n\n+++ b/x\n@@ -0,0 +1 @@\n+evil\n\ndiff --git a/a.py"
    )


def test_settings_of_the_user_change_nothing(repo: Repo, out: Path) -> None:
    repo.commit("start", {"a.py": "x = 1\n"})
    repo.commit("Grüße", {"a.py": "x = 2\n"})
    before = history(out, repo)
    for key, value in {
        "diff.noprefix": "true",
        "diff.mnemonicPrefix": "true",
        "diff.context": "0",
        "color.ui": "always",
        "i18n.logOutputEncoding": "latin1",
        "log.showSignature": "true",
        "diff.srcPrefix": "s/",
        "log.date": "relative",
        "format.pretty": "oneline",
    }.items():
        repo.git("config", key, value)
    assert history(out, repo) == before
    assert before[1].startswith("Commit: Grüße\n")


def test_only_commits_of_the_folder_that_was_asked_for(repo: Repo, out: Path) -> None:
    repo.commit("in src", {"src/a.py": "x = 1\n"})
    repo.commit("elsewhere", {"b.py": "y = 1\n"})
    rows, _ = built(out, repo.folder / "src", kinds=("history",))
    assert [row["text"].split("\n")[0] for row in rows] == ["Commit: in src"]


@pytest.mark.parametrize("name", [b"caf\xe9.py", b"d\xff/x.md", b"\xe3\x81.txt", b"a\xed\xa0\x80.py"])
def test_one_name_that_is_not_utf8_does_not_stop_a_whole_history(name: bytes, tmp_path: Path, out: Path) -> None:
    """Where a commit changed such a file beside others, nothing of the repository could be built."""
    repo, odd = Repo(tmp_path / "p"), os.fsdecode(name)
    repo.commit("Add both files", {odd: "x = 1\n", "b.py": "y = 1\n"})
    repo.git("mv", odd, "plain.py")
    repo.commit("Rename the one", {"b.py": "y = 2\n"})
    repo.git("mv", "plain.py", odd)
    repo.commit("Rename it back", {"b.py": "y = 3\n", odd: "x = 4\n"})
    rows, _ = built(out, repo.folder, kinds=("history",))
    assert [row["text"].splitlines()[0] for row in rows] == [
        *("Commit: Add both files", "Commit: Rename the one", "Commit: Rename it back")
    ]
    for row in rows:
        row["text"].encode()
    assert ascii(odd)[1:-1].rpartition("/")[2] in rows[0]["text"]
    assert "not UTF-8" in rows[0]["text"]
