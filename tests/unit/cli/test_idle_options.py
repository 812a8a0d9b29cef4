"""What is given and could only be ignored is refused by its flag, or said in a note."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hostile.sound import github
from tiny_llama import random_adapter, write_model

import localft
from localft.adapter import write_adapter
from localft.chat import ChatSession
from localft.cli import cli
from localft.errors import ConfigError, LocalftError
from localft.events import Notice
from localft.hardware import processors, threads_note


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path / "m.gguf", chat=True)
    write_adapter(tmp_path / "a.gguf", random_adapter())
    rows = [{"prompt": f"What is {i}?", "completion": f"It is {i}.", "doc": f"d{i}"} for i in range(20)]
    texts = [{"text": "the cat sat", "doc": "r:a.py", "source": {"kind": "file", "path": "a.py"}}]
    for name, found in (("rows.jsonl", rows), ("texts.jsonl", texts)):
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in found))
    (tmp_path / "d").mkdir()
    (tmp_path / "d/test.jsonl").write_text(json.dumps(rows[0]) + "\n")
    github(tmp_path)
    return tmp_path


def run(words: Sequence[str]) -> Result:
    return CliRunner().invoke(cli, words, catch_exceptions=True)


CHAT = ("chat", "--model", "m.gguf", "--threads", "1", "--max-tokens", "1", "--prompt", "the cat")
SHOW = ("data", "show", "rows.jsonl", "--model", "m.gguf")
SYNTH = ("data", "synth", "texts.jsonl", "-o", "out.jsonl")
EXPORT = ("data", "github", "owner/name", "-o", "out.jsonl")
REFUSED = {
    "--adapter-scale": (*CHAT, "--adapter-scale", "0.5"),
    "--seed": (*SHOW, "--seed", "3"),
    "--number": (*SHOW, "--row", "1", "-n", "3"),
    "--random": (*SHOW, "--row", "1", "--random"),
    "--tokens": (*SHOW, "--tokens", "--html", "o.html"),
    "--sample-start": (*SHOW, "--sample-start", "<s>"),
    "--retries": (*SYNTH, "--retries", "3"),
    "--timeout": (*SYNTH, "--timeout", "3", "--model", "m.gguf"),
    "--price": (*SYNTH, "--price", "1:2"),
    "--pairs": (*SYNTH, "--pairs", "3"),
    "--support": (*SYNTH, "--support", "0.5"),
    "--threads": (*SYNTH, "--threads", "2", "--endpoint", "http://127.0.0.1:9", "--endpoint-model", "m"),
    "--max-wait": (*EXPORT, "--from", "saved", "--max-wait", "1"),
    "--out": ("convert", "m.gguf", "--out", "other.gguf"),
    "--outtype": ("convert", "m.gguf", "--outtype", "f16"),
    "--force": ("convert", "m.gguf", "--force"),
}


@pytest.mark.parametrize("flag", list(REFUSED))
def test_an_option_that_would_be_ignored_is_refused(flag: str, work: Path) -> None:
    error = run(REFUSED[flag]).exception
    assert isinstance(error, ConfigError), error
    assert error.message.startswith(f"`{flag}` ")
    assert error.hint
    assert not (work / "out.jsonl").exists()


@pytest.mark.parametrize("words", [CHAT, SHOW, SYNTH, (*EXPORT, "--from", "saved")])
def test_without_it_the_command_runs(words: Sequence[str], work: Path) -> None:
    assert run(words).exit_code == 0


def test_a_seed_has_no_say_where_the_test_set_is_there(work: Path) -> None:
    error = run(("data", "split", "rows.jsonl", "-o", "d", "--seed", "7")).exception
    assert isinstance(error, ConfigError)
    assert error.message == "`--seed` has no meaning: the test set in `d/test.jsonl` stays as it is"
    assert run(("data", "split", "rows.jsonl", "-o", "d")).exit_code == 0


def test_a_type_says_nothing_of_a_model_that_is_converted(work: Path) -> None:
    error = run(("bench", "--model", "m.gguf", "--outtype", "f16", "--ctx", "8")).exception
    assert isinstance(error, ConfigError)
    assert error.message.startswith("`--outtype f16` has no meaning for `m.gguf`")


@pytest.mark.parametrize(("flag", "value"), [("--seed", "7"), ("--top-p", "0.5"), ("--top-k", "3")])
def test_what_greedy_answers_do_not_depend_on_is_said(flag: str, value: str, work: Path) -> None:
    said = f"note: {flag} changes nothing: --temp 0 is greedy"
    assert said in run((*CHAT, flag, value)).stderr
    assert said not in run((*CHAT, flag, value, "--temp", "0.5")).stderr
    assert "greedy" not in run(CHAT).stderr


def test_more_threads_than_processors_are_said(work: Path) -> None:
    assert threads_note(None) is threads_note(1) is None
    n = processors()
    note = threads_note(200)
    assert note
    assert note.startswith(f"200 threads share {n} processor")
    assert note in run((*CHAT, "--threads", "200")).stderr
    assert note in notices(threads=200)
    assert not any("threads" in each for each in notices())


def test_an_adapter_scale_needs_an_adapter(work: Path) -> None:
    with pytest.raises(ConfigError, match="`adapter_scale` is 2, and there is no adapter"):
        ChatSession("m.gguf", adapter_scale=2)
    ChatSession("m.gguf", "a.gguf", adapter_scale=2).close()


def notices(**settings: object) -> list[str]:
    events = localft.finetune("m.gguf", "rows.jsonl", dry_run=True, **{"threads": 1, "max_steps": 4, **settings})
    return [event.message for event in events if isinstance(event, Notice)]


@pytest.mark.parametrize(
    ("settings", "note"),
    [
        (
            {"warmup": 500, "lr": 0.001},
            "--warmup 500 is longer than the run of 4 steps: the learning rate ends at 8e-06 and never reaches 0.001",
        ),
        ({"val_every": 50}, "--val-every 50 is longer than the run of 4 steps: one comes at its end"),
        (
            {"checkpoint_every": 9},
            "--checkpoint-every 9 is longer than the run of 4 steps: one comes at its end",
        ),
        ({"report_every": 9}, "--report-every 9 is longer than the run of 4 steps: one comes at its end"),
    ],
)
def test_what_a_run_is_too_short_for_is_said(settings: dict[str, object], note: str, work: Path) -> None:
    assert note in notices(**settings)
    assert not notices(**dict.fromkeys(settings, 4))


def test_what_has_nothing_to_act_on_is_said_or_refused(work: Path) -> None:
    (work / "rows.jsonl").write_text("".join(f'{{"text": "the cat sat {i}"}}\n' for i in range(20)))
    assert "--train-on-prompt changes nothing: there are only texts, without prompts" in notices(train_on_prompt=True)
    with pytest.raises(LocalftError, match="`--sample-start` has nothing to do: no file is a plain text"):
        notices(sample_start="<s>")
    report = json.loads(run(("data", "check", "rows.jsonl", "--sample-start", "<s>", "--json")).stdout)
    assert [problem["kind"] for problem in report["problems"]] == ["nothing to split"]
    (work / "rows.txt").write_text("the cat sat, the dog ran, the bird sang")
    assert run(("data", "check", "rows.txt", "--sample-start", "the")).exit_code == 0
