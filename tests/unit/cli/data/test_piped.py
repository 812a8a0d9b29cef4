"""`-`: check, show, split and synth take what is piped to them, whatever it is; a run does not."""

from __future__ import annotations

import gzip
import json
import os
import sys
import tempfile
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from tiny_llama import write_model

from localft.cli.data.check import command as check
from localft.cli.data.piped import piped
from localft.cli.data.show import command as show
from localft.cli.data.split import command as split
from localft.cli.data.synth import command as synth
from localft.errors import ConfigError, DatasetError, LocalftError

LINES = "".join(json.dumps({"prompt": f"q{i}?", "completion": f"It is {i}.", "doc": f"d{i}"}) + "\n" for i in range(20))


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))


def run(command: click.Command, stdin: str | bytes, *arguments: str) -> Result:
    result = CliRunner().invoke(command, list(arguments), input=stdin)
    assert not list(Path("tmp").iterdir()), "nothing is left behind"
    assert "localft-" not in result.output, "stdin is called stdin"
    return result


def error_of(result: Result) -> LocalftError:
    assert isinstance(result.exception, LocalftError), result.output
    assert "localft-" not in result.exception.message + result.exception.hint
    return result.exception


@pytest.mark.parametrize(
    "stdin",
    [
        LINES,
        "\ufeff" + LINES,
        f"[{','.join(LINES.splitlines())}]",
        gzip.compress(LINES.encode(), mtime=0),
        "prompt,completion\r\n" + "".join(f"q{i},a{i}\r\n" for i in range(20)),
        "prompt\tcompletion\n" + "".join(f"q{i}\ta{i}\n" for i in range(20)),
    ],
    ids=["lines", "mark", "array", "gzip", "commas", "tabs"],
)
def test_check_takes_rows_of_every_form(stdin: str | bytes) -> None:
    result = run(check, stdin, "-")
    assert result.exit_code == 0
    assert "stdin: 20 rows of prompt/completion" in result.output


def test_check_of_a_text_and_of_what_is_wrong() -> None:
    assert "stdin: 1 row of plain text" in run(check, "It was a dark night.\n", "-").output
    wrong = run(check, LINES + '{"no": 1}\n', "-", "--json")
    assert wrong.exit_code == 1
    report = json.loads(wrong.stdout)
    assert report["files"][0]["file"] == "stdin"
    assert report["problems"][0]["message"].startswith("line 21 of `stdin` has no")
    assert "`stdin` is a Git LFS pointer" in run(check, "version https://git-lfs.github.com/spec/v1\n", "-").output


def test_show_names_stdin(tmp_path: Path) -> None:
    base = write_model(tmp_path / "base.gguf")
    result = run(show, LINES, "-", "--model", str(base), "-n", "1")
    assert "stdin:1" in result.output
    assert "It is 0." in result.output
    run(show, LINES, "-", "--model", str(base), "--html", "rows.html")
    page = Path("rows.html").read_text()
    assert "<h1>stdin</h1>" in page
    assert "localft-" not in page
    assert "`stdin`" in error_of(run(show, '{"no": 1}\n', "-", "--model", str(base))).message


def test_split_and_synth_read_stdin() -> None:
    assert run(split, LINES, "-", "-o", "data").exit_code == 0
    rows = [line for name in ("train", "test") for line in Path("data", f"{name}.jsonl").read_text().splitlines()]
    assert sorted(rows) == sorted(LINES.splitlines())
    source = {"kind": "file", "path": "a.txt"}
    text = json.dumps({"text": "File: a.txt\n\nThe words of it are these.\n", "doc": "n:a.txt", "source": source})
    assert run(synth, text, "-", "-o", "pairs.jsonl").exit_code == 0
    assert "The words of it" in Path("pairs.jsonl").read_text()


@pytest.mark.parametrize(
    ("stdin", "words"),
    [
        ("Once upon a time\n", "`stdin` is a text, expected JSON lines"),
        ("a,b\n1,2\n", "`stdin` is a table, expected JSON lines"),
        ('{"a": 1,}\n{"a": 1,}\n', "line 1 of `stdin` is not JSON: "),
        ("GGUF\3\0\0\0" + "\0" * 20, "`stdin` is a model (GGUF), expected JSON lines"),
        ("", "`stdin` has no rows"),
    ],
)
def test_split_and_synth_say_what_stdin_is(stdin: str, words: str) -> None:
    for command in (split, synth):
        assert error_of(run(command, stdin, "-", "-o", "out")).message.startswith(words)


def test_what_cannot_be_read_from_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="`-` is given twice"), piped(["-", "a", "-"]):
        pass
    with piped(["a"]) as (names, named):
        assert (names, named("a")) == (("a",), "a")
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(ConfigError, match="is closed"), piped(["-"]):
        pass


def test_the_words_of_a_book_are_no_rows(tmp_path: Path) -> None:
    (tmp_path / "my book.txt").write_text("It was.\n")
    os.mkfifo(tmp_path / "pipe")
    error = error_of(run(synth, "", "my book.txt", "-o", "pairs.jsonl"))
    assert isinstance(error, DatasetError)
    assert error.message == "`my book.txt` is a text, expected JSON lines"
    assert error.hint == "`localft data build . --include 'my book.txt' -o rows.jsonl` makes rows of it"
    assert "is a pipe" in error_of(run(synth, "", "pipe", "-o", "pairs.jsonl")).message
