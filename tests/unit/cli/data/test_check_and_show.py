"""`localft data check` and `show`: they take what a run takes, and count what a run counts."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tiny_llama import write_model

import localft
from localft.cli.data.check import command as check_command
from localft.cli.data.show import command as show_command
from localft.errors import ConfigError, DatasetError
from localft.events import DataReady
from localft.inspect.check.check import check
from localft.settings.resolve import resolve


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("base") / "tiny.gguf")


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base: Path) -> Path:
    """A working folder with a base model and data of every sort."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("localft.inspect.check.check.epoch_cost", lambda *what: None)
    (tmp_path / "base.gguf").symlink_to(base)
    rows = [
        {"prompt": f"say {i}?", "completion": f" it is {'very ' * (i % 7)}{i}.", "doc": f"d{i // 2}"} for i in range(40)
    ]
    lines = [json.dumps(row) + "\n" for row in rows]
    (tmp_path / "a.jsonl").write_text("".join(lines), encoding="utf-8")
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress("".join(lines[:20]).encode()))
    (tmp_path / "held.jsonl").write_text("".join(lines[::5]) + lines[0].replace("say", "tell me of"), encoding="utf-8")
    (tmp_path / "t.csv").write_text("q,r\n" + "".join(f"ask {i}, answer {i}\n" for i in range(9)), encoding="utf-8")
    (tmp_path / "notes").mkdir()
    for i in range(3):
        (tmp_path / "notes" / f"{i}.md").write_text(f"the {i} cat sat. " * 60, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"val_split": 0.3, "seed": 0},
        {"val_samples": 3},
        {"no_val": True},
        {"all_data": True, "val_data": "held.jsonl"},
        {"val_data": "held.jsonl", "val_samples": 4},
        {"val_data": "held.jsonl", "on_leak": "drop"},
        {"ctx": 16, "overlength": "truncate", "train_on_prompt": True},
        {"ctx": 16, "data": ["a.jsonl.gz", "notes"], "raw": True},
        {"data": ["notes"]},
        {"data": ["t.csv:0.5", "a.jsonl:2", "notes"], "prompt_column": "q", "answer_column": "r"},
    ],
)
def test_check_counts_what_a_run_counts(settings: dict[str, Any]) -> None:
    given = {"data": ["a.jsonl"], **settings}
    found = check(resolve({"model": "base.gguf", **given}))
    tokens = found.tokens
    assert tokens
    events = localft.finetune("base.gguf", given.pop("data"), dry_run=True, threads=1, **given)
    (ready,) = (event for event in events if isinstance(event, DataReady))
    said = ready.summary
    assert (tokens.train.n_rows, tokens.train.n_tokens) == (said["n_train"], said["n_tokens"])
    assert (tokens.val.n_rows, tokens.val.n_tokens) == (said["n_val"], said["n_val_tokens"])
    assert (tokens.train.n_supervised, tokens.val.n_supervised) == (said["n_supervised"], said["n_val_supervised"])
    assert (tokens.n_ctx, tokens.n_ctx_reason) == (ready.n_ctx, ready.n_ctx_reason)
    assert (found.split, tokens.epoch, tokens.dropped) == (said["val_reason"], said["epoch"], said["dropped"])
    assert found.leakage.counts == said["leaks"]
    assert not found.errors


def test_a_run_records_what_leaks(work: Path) -> None:
    settings: dict[str, Any] = {"val_data": "held.jsonl", "max_steps": 1, "threads": 1}
    list(localft.finetune("base.gguf", ["a.jsonl"], on_leak="drop", out="run", **settings))
    record = json.loads((work / "run" / "config.json").read_text())
    assert record["leaks"]["exact"] == 8
    assert record["settings"]["on_leak"] == {"value": "drop", "source": "flag"}
    with pytest.raises(DatasetError, match="validation rows leak into the training rows"):
        list(localft.finetune("base.gguf", ["a.jsonl"], on_leak="refuse", **settings))
    with pytest.raises(ConfigError, match="a resumed run keeps its settings"):
        list(localft.finetune("base.gguf", resume="run", on_leak="warn"))


def run(*arguments: str, expect: int = 0) -> str:
    done = CliRunner().invoke(check_command, arguments)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == expect, done.output
    return done.output


def test_the_last_line_says_how_many_rows_are_left_out(work: Path) -> None:
    """It said that every row can be used, below a list of those that are too long."""
    assert run("a.jsonl", "--model", "base.gguf").splitlines()[-1].startswith("40 rows can be used; ")
    found = check(resolve({"model": "base.gguf", "data": ["a.jsonl"], "ctx": 24}))
    (n_gone,) = found.tokens.dropped.values() if found.tokens else (0,)
    last = run("a.jsonl", "--model", "base.gguf", "--ctx", "24").splitlines()[-1]
    assert last.startswith(f"40 rows read, {n_gone} left out; ")


def test_what_a_run_refuses_is_an_error(work: Path) -> None:
    text = run("a.jsonl", "--val-data", "held.jsonl", "--on-leak", "refuse", expect=1)
    assert (
        "validation rows leak into the training rows, the first: line 1 of `held.jsonl` and line 1 of `a.jsonl`" in text
    )
    assert run("a.jsonl", "--val-data", "held.jsonl").count("copied") == 9
    assert "leak" in run("a.jsonl", "--val-data", "held.jsonl").splitlines()[-1]
    text = run("a.jsonl", "--prompt-column", "question", expect=1)
    assert "no row has `question` (--prompt-column)" in text
    text = run("a.jsonl", "--model", "base.gguf", "--ctx", "16", "--overlength", "refuse", expect=1)
    assert "more than n_ctx, and is left out" in text
    with pytest.raises(ConfigError, match="there is no data to look at"):
        run()
    with pytest.raises(ConfigError, match="contradict each other"):
        run("a.jsonl", "--raw", "--template", "alpaca")


def test_settings_of_a_run_are_read_from_its_file(work: Path) -> None:
    (work / "run.toml").write_text(
        'data = ["t.csv", "notes"]\nprompt_column = "q"\nanswer_column = "r"\nreplay = "w.txt:10%"\n'
    )
    text = run("--config", "run.toml")
    assert "t.csv: 9 rows of q/r" in text
    assert "notes (3 texts): 3 rows of plain text" in text
    assert "`w.txt:10%` (--replay) is not looked at" in text
    report = json.loads(run("--config", "run.toml", "--json"))
    assert [(read["file"], read["formats"]) for read in report["files"]] == [
        ("t.csv", {"q/r": 9}),
        ("notes (3 texts)", {"plain text": 3}),
    ]


def test_show_takes_what_check_takes(work: Path) -> None:
    def show(*arguments: str) -> str:
        done = CliRunner().invoke(show_command, [*arguments, "--model", "base.gguf"], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    text = show("t.csv", "--prompt-column", "q", "--answer-column", "r", "--row", "3")
    assert "t.csv:4 · row 3 · " in text
    assert "ask 2« answer 2" in text
    assert "notes/1.md:1 · row 2" in show("notes")
    assert "a.jsonl.gz:1 · row 1" in show("a.jsonl.gz", "-n", "1")
    assert show("a.jsonl", "--html", "rows.html").splitlines() == [
        "rows.html",
        "a page for a browser: 40 of 40 rows, as base.gguf will see them; --row, --random and -n choose",
    ]
    page = (work / "rows.html").read_text(encoding="utf-8")
    assert (page.count('<section class="card">'), page.count("row 2 · line 2</h2>")) == (40, 1)
    show("notes", "--html", "rows.html")
    assert "row 2 · line 1 of notes/1.md</h2>" in (work / "rows.html").read_text(encoding="utf-8")
