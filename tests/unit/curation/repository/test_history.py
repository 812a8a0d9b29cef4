"""git history: a commit's message and diff as one row; what is left out of it is named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from repos import Repo, built, left_out


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


def test_a_diff_that_is_too_long_keeps_the_hunks_that_fit(repo: Repo, out: Path) -> None:
    lines = [f"value_{i} = {i}\n" for i in range(90)]
    repo.commit("start", {"a.py": "".join(lines)})
    for at in (5, 45, 85):
        lines[at] = f"changed_{at} = {at}\n"
    repo.commit("three places", {"a.py": "".join(lines), "b.py": "b = 1\n" * 200})
    rows, result = built(out, repo.folder, kinds=("history",), chunk_tokens=180)
    text = rows[-1]["text"]
    assert text.count("@@ -") == 2
    assert "[left out: a.py (1 of 3 hunks), b.py]" in text
    assert result.cut_commits == 1
    assert result.longest <= 180
    assert left_out(result)["commit whose diff is too long"] != []


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
