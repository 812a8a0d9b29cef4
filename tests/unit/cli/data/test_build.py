"""The command data build: what it prints where, what it refuses and how, and that secrets are never on the screen."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from repos import Repo, built

from localft.cli import main
from localft.curation.repository.build import Request, build

Run = Callable[..., tuple[int, str, str]]
AWS = "AKI" + "AJ4QXZ7N2LW5TYB6D"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The program in this process: exit status, stdout, stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["localft", "data", "build", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        shown = capsys.readouterr()
        assert "Traceback" not in shown.err
        return code, shown.out, shown.err

    return call


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    made = Repo(tmp_path / "project")
    made.commit(
        "first", {"a.py": "x = 1\n", "copy.py": "x = 1\n", "LICENSE": "MIT\n", "README.md": "# Project\n\nWords.\n"}
    )
    return made


def test_the_table_is_on_stderr_and_stdout_is_empty(repo: Repo, tmp_path: Path, run: Run) -> None:
    out = tmp_path / "rows.jsonl"
    code, stdout, stderr = run(repo.folder, "--kind", "repo", "--kind", "docs", "--kind", "history", "-o", out)
    assert (code, stdout) == (0, "")
    assert stderr.split("\n")[:4] == [
        "left out (2)",
        "  licence                     1  LICENSE",
        "  copy of another file        1  copy.py",
        "",
    ]
    lines = [line.strip() for line in stderr.split("\n")[4:]]
    assert f"source    project: 4 files, repo, docs, history, {repo.git('rev-parse', 'HEAD')[:12]}" in lines
    assert "rows      1 row from 1 page" in lines
    assert "1 row from 1 file" in lines
    assert "1 row from 1 commit" in lines
    assert "chunks    of at most 2,048 tokens: the default without --model; estimated at 2.5 bytes a token" in lines
    assert "secrets   none found" in lines
    assert len(out.read_text().split("\n")) == 4


def test_snapshot_and_span_of_history_are_taken_from_flags(repo: Repo, tmp_path: Path, run: Run) -> None:
    repo.commit("second", {"a.py": "x = 2\n"})
    out, kinds = tmp_path / "rows.jsonl", ("--kind", "repo", "--kind", "history")
    assert run(repo.folder, *kinds, "--as-of", "2026-01-02", "--max-commits", 1, "-o", out)[0] == 0
    sources = [json.loads(line)["source"] for line in out.read_text().splitlines()]
    assert [source.get("as_of") for source in sources if source["kind"] == "file"] == ["2026-01-02"] * 3
    assert sum(source["kind"] == "commit" for source in sources) == 1
    for flags in (("--since", ""), ("--since", "soon"), ("--as-of", ""), ("--max-commits", "0")):
        assert run(repo.folder, *kinds, *flags, "-o", out)[0] == 2
    assert run(repo.folder, "--since", "2025-01-01", "-o", out)[0] == 2


def test_json_has_every_name_and_stderr_nothing(repo: Repo, tmp_path: Path, run: Run) -> None:
    out = tmp_path / "rows.jsonl"
    code, stdout, stderr = run(repo.folder, "-o", out, "--json", "--chunk-tokens", "500")
    assert (code, stderr) == (0, "")
    facts = json.loads(stdout)
    assert facts["rows"] == 2
    assert facts["documents_by_kind"] == {"file": 1, "page": 1}
    assert facts["chunk_tokens"] == 500
    assert facts["bytes"] == out.stat().st_size
    assert facts["skipped"] == {
        "licence": {"count": 1, "names": ["LICENSE"]},
        "copy of another file": {"count": 1, "names": ["copy.py"]},
    }


def test_rows_that_repeat_others_are_said(tmp_path: Path, run: Run) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.md").write_text("# Same\n\nWords.\n\n")
    (folder / "b.md").write_text("# Same\n\nWords.\n")
    code, _, stderr = run(folder, "-o", tmp_path / "rows.jsonl")
    assert code == 0
    assert "repeated  1 row with the content of an earlier one, in b.md" in stderr
    assert built(tmp_path / "rows.jsonl", folder)[1].repeated_rows == 1


@pytest.mark.parametrize("what", ["redact", "drop", "keep"])
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_secret_is_counted_and_never_shown(what: str, form: list[str], repo: Repo, tmp_path: Path, run: Run) -> None:
    repo.commit(f"use {AWS}", {"key.py": f'key = "{AWS}"\n', "page.md": f"# The key {AWS}\n"})
    out = tmp_path / "rows.jsonl"
    code, stdout, stderr = run(
        repo.folder, "-o", out, "--secrets", what, "--kind", "repo", "--kind", "docs", "--kind", "history", *form
    )
    assert code == 0
    assert AWS not in stdout + stderr
    assert (AWS in out.read_text()) == (what == "keep")
    if form:
        assert json.loads(stdout)["secrets"]["found"] == {"aws access key": 5}
    else:
        assert "secrets   5 in 3 documents " in stderr
        assert "5 × aws access key" in stderr


def test_what_cannot_be_read_has_its_own_sentence(repo: Repo, tmp_path: Path, run: Run) -> None:
    (repo.folder / "loop").symlink_to("loop")
    (repo.folder / "latin.py").write_bytes(b"caf\xe9 = 1\n")
    (repo.folder / "nul.txt").write_bytes(b"#" * 9000 + b"\0\n")
    (repo.folder / "wide.py").write_text("x = '" + "y" * 20_000 + "'\n")
    (repo.folder / "new\nline.py").write_text("x = 2\n")
    (repo.folder / "\x1b[2Jclear.py").write_text("x = 3\n")
    code, _, stderr = run(repo.folder, "-o", tmp_path / "rows.jsonl")
    assert code == 0
    for sentence in (
        "symbolic link that leads in a circle",
        "not UTF-8",
        "text with NUL bytes",
        "minified",
        "name with control characters",
    ):
        assert sentence in stderr
    assert "\x1b[2J" not in stderr
    assert "new\\nline.py" in stderr


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root can read everything")
def test_an_unreadable_file_is_named(repo: Repo, tmp_path: Path, run: Run) -> None:
    (repo.folder / "a.py").chmod(0)
    code, _, stderr = run(repo.folder, "-o", tmp_path / "rows.jsonl")
    assert code == 0
    assert "unreadable: permission denied" in stderr


def test_what_cannot_be_built_is_refused_with_a_hint(
    repo: Repo, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "rows.jsonl"
    empty = Repo(tmp_path / "empty")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "taken").write_text("x")
    cases = [
        ((empty.folder,), "there is nothing to write"),
        ((repo.folder, "--rev", "v9"), "`project` has no revision `v9`"),
        ((tmp_path / "nowhere",), "there is no folder"),
        ((tmp_path / "loop",), "is a symbolic link that leads in a circle"),
        ((tmp_path / "taken",), "is not a folder"),
        ((repo.folder, "--chunk-tokens", "3"), "--chunk-tokens `3` is too small"),
        ((repo.folder, "--model", tmp_path / "no-model.gguf"), "no-model.gguf"),
        ((f"file://{tmp_path}/nothing.git",), "could not be cloned"),
    ]
    for arguments, sentence in cases:
        code, stdout, stderr = run(*arguments, "-o", out)
        assert (code != 0, stdout) == (True, ""), arguments
        assert stderr.startswith("error: ")
        assert sentence in stderr
        assert "\nhint: " in stderr
        assert not out.exists()
    code, _, stderr = run(repo.folder, "-o", "/dev/null")
    assert (code, "is no file that can be written whole" in stderr) == (2, True)
    monkeypatch.setenv("PATH", str(tmp_path))
    code, _, stderr = run(repo.folder, "--kind", "history", "-o", out)
    assert "git is not installed" in stderr
    code, _, stderr = run("https://example.com/a/b.git", "-o", out)
    assert "git is not installed" in stderr
    code, _, stderr = run(repo.folder, "-o", out)
    assert code == 0
    assert "note      git is not installed: `project` is read as a plain folder" in stderr


def test_wrong_usage_has_exit_status_2(repo: Repo, tmp_path: Path, run: Run) -> None:
    for arguments in (
        ("--max-file-size", "big"),
        ("--max-file-size", "9" * 400),
        ("--kind", "wiki"),
        ("--secrets", "show"),
        ("--keep", "all"),
    ):
        code, _, stderr = run(repo.folder, "-o", tmp_path / "rows.jsonl", *arguments)
        assert code == 2
        assert arguments[1][:50] in stderr
    for option in ("--kind", "--secrets", "--keep"):
        code, _, stderr = run(repo.folder, "-o", tmp_path / "rows.jsonl", option, "9" * 5000)
        assert (code, len(stderr) < 800, "9999…" in stderr) == (2, True, True)


def test_memory_does_not_grow_with_the_repository(tmp_path: Path) -> None:
    peaks = []
    for n_files in (30, 300):
        folder = tmp_path / f"p{n_files}"
        folder.mkdir()
        for i in range(n_files):
            (folder / f"module_{i}.py").write_text(f"def f{i}():\n    return {i}\n" + f"# {'more ' * 40}\n" * 40)
        gc.collect()
        tracemalloc.start()
        try:
            result = build(Request((str(folder),)), tmp_path / "rows.jsonl", lambda *_: None)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
        assert result.documents["file"] == n_files
    # what grows is the names of one folder, some 300 bytes each; a file has 8,000
    assert peaks[1] - peaks[0] < 270 * 4000


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from localft.cli.data.build import command;"
        "found = CliRunner().invoke(command, ['--help']);"
        "assert found.exit_code == 0 and 'localft data build . -o data.jsonl' in found.output;"
        "heavy = {'numpy', 'pathspec', 'detect_secrets', 'markdown_it', 'bs4', 'requests', 'llama_cpp', 'rich'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
