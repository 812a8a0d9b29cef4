"""`localft finetune` on a tiny real model: a run and its files, kills and resumes, the old command form."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tiny_llama import write_model

import localft
from localft.adapter import check_adapter, read_adapter
from localft.cli.finetune import command
from localft.errors import ConfigError, LocalftError
from localft.events import Answers, DataReady, RunEnd, RunStart, Step, TrainEvent, Validation
from localft.hashes import file_sha256
from localft.run.checkpoint import read_checkpoint
from localft.run.folder import Run, newest_run
from localft.training.finetune import Session

PROGRAM = "from localft.cli import main; main()"
ROOT = Path(__file__).resolve().parents[2]
STEPS = 8


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("base") / "tiny.gguf")


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base: Path) -> Path:
    """A working folder with the base model and a small data file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base.gguf").symlink_to(base)
    rows = [
        {"prompt": f"say {'abcdefgh'[i % 8]} {i}?", "completion": f" the {'abcdefgh'[i % 8]} is {i * i}."}
        for i in range(40)
    ]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return tmp_path


def settings(**changes: Any) -> dict[str, Any]:
    values = {
        "max_steps": STEPS,
        "lr": 0.01,
        "lora_dropout": 0.2,
        "batch_size": 4,
        "micro_batch_size": 2,
        "val_every": 3,
    }
    return {**values, "checkpoint_every": 2, "threads": 1, "lora_rank": 4, **changes}


def train(out: str = "run", **changes: Any) -> list[TrainEvent]:
    return list(localft.finetune("base.gguf", "data.jsonl", out=out, **settings(**changes)))


def losses(events: list[TrainEvent]) -> list[float | None]:
    return [e.loss for e in events if isinstance(e, Step)]


def stored(run: Path) -> list[tuple[Any, ...]]:
    """The numbers of metrics.jsonl that do not depend on the clock."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    keys = ("event", "step", "epoch", "loss", "val_loss", "lr", "grad_norm", "n_supervised")
    return [tuple(line[key] for key in keys) for line in lines if line["event"] in ("step", "validation")]


def flags(**changes: Any) -> list[str]:
    words: list[str] = []
    for name, value in settings(**changes).items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    return words


def start(*arguments: str, program: str = PROGRAM) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", program, "finetune", *arguments]
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment)


def stop_at(process: subprocess.Popen[str], step: int, how: signal.Signals) -> None:
    """Send a signal as soon as an event line tells of `step`."""
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "step" and event["step"] == step:
            process.send_signal(how)
            return
    pytest.fail(f"the run ended before step {step}: {process.stderr and process.stderr.read()}")


def same_run(one: Path, two: Path) -> None:
    """Losses and adapters equal, to the bit."""
    assert stored(one) == stored(two)
    for name in ("adapter-last.gguf", "adapter-best.gguf"):
        assert (one / name).read_bytes() == (two / name).read_bytes()
    left, right = (read_checkpoint(run / "checkpoint.gguf") for run in (one, two))
    assert (left.state.step, left.state.micro_step) == (right.state.step, right.state.micro_step)
    for name, tensor in left.state.tensors.items():
        for array, other in zip(vars(tensor).values(), vars(right.state.tensors[name]).values(), strict=True):
            assert array.tobytes() == other.tobytes()


def test_the_estimate_changes_no_number(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With dropout, whose stream goes on with every micro-batch that an engine sees."""
    events = train("with")
    start = next(e for e in events if isinstance(e, RunStart))
    assert start.estimate is not None
    assert start.estimate.seconds > 0
    assert start.estimate.peak_mem_bytes > 2**20
    assert isinstance(events[-1], RunEnd)
    assert events[-1].estimate == start.estimate
    monkeypatch.setattr(Session, "estimate", lambda *_: None)
    assert next(e for e in train("without") if isinstance(e, RunStart)).estimate is None
    same_run(work / "with", work / "without")


def test_a_resumed_run_s_end_counts_the_time_before() -> None:
    train(max_steps=4)
    events = list(localft.finetune(resume="run", max_steps=STEPS))
    start, end = next(e for e in events if isinstance(e, RunStart)), events[-1]
    before = read_checkpoint(Path("run/checkpoint.gguf")).cursor.seconds - sum(
        e.elapsed_s for e in events if isinstance(e, (Step, Validation))
    )
    assert isinstance(end, RunEnd)
    assert start.estimate is not None
    assert end.estimate is not None
    assert end.estimate.seconds - start.estimate.seconds == pytest.approx(before)


def test_a_run_and_its_files(base: Path, work: Path) -> None:
    before = file_sha256(base)
    events = train()
    kinds = [type(e) for e in events]
    assert kinds.index(DataReady) < kinds.index(RunStart) < kinds.index(Step)
    assert isinstance(events[-1], RunEnd)
    assert len(losses(events)) == STEPS
    assert [e.step for e in events if isinstance(e, Validation)] == [0, 3, 6, 8]
    end = events[-1]
    assert end.val_loss_after is not None
    assert end.val_loss_before is not None
    assert end.val_loss_after < end.val_loss_before
    assert 2 <= sum(isinstance(e, Answers) for e in events) <= 3

    run = Run.open("run")
    assert sorted(path.name for path in run.folder.iterdir()) == [
        *("adapter-best.gguf", "adapter-last.gguf", "checkpoint.gguf", "config.json", "metrics.jsonl")
    ]
    assert file_sha256(base) == before == run.record.base.sha256
    check_adapter(run.adapter, base)
    adapter = read_adapter(run.adapter)
    assert (adapter.rank, adapter.alpha, len(adapter.tensors)) == (4, 16.0, 14)
    config = json.loads((work / "run/config.json").read_text(encoding="utf-8"))
    assert config["settings"]["lr"] == {"value": 0.01, "source": "flag"}
    assert config["settings"]["grad_clip"] == {"value": 1.0, "source": "default"}
    assert config["settings"]["memory"]["source"] == "hardware"
    assert config["data_files"] == {str((work / "data.jsonl").resolve()): file_sha256(work / "data.jsonl")}
    assert run.template.kind == "completion"
    assert run.base_model == base.resolve()


def test_the_same_seed_gives_the_same_losses_and_zero_is_a_seed() -> None:
    zero = losses(train("a", seed=0))
    assert zero == losses(train("b", seed=0))
    assert zero != losses(train("c", seed=1))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stopped_and_resumed_equals_uninterrupted(work: Path, how: signal.Signals) -> None:
    train("whole")
    process = start("--model", "base.gguf", "--data", "data.jsonl", "--out", "cut", "--json", *flags())
    stop_at(process, 5, how)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == (-signal.SIGKILL if how == signal.SIGKILL else 128 + how), errors
    assert not [path for path in (work / "cut").iterdir() if path.name.startswith(".")] or how == signal.SIGKILL
    at = read_checkpoint(work / "cut/checkpoint.gguf").cursor.step
    assert at < STEPS
    list(localft.finetune(resume="cut"))
    same_run(work / "whole", work / "cut")


SLOW_SAVE = """
import sys, time
import localft.run.writer as writer
write = writer.write_checkpoint
def slow(path, *rest):
    print('{"event": "saving", "step": 0}', flush=True)
    time.sleep(1)
    write(path, *rest)
writer.write_checkpoint = slow
from localft.cli import main
main()
"""


def test_a_second_signal_does_not_break_the_save_off(work: Path) -> None:
    """It left the last checkpoint, up to two minutes old, in place of this moment's."""
    limits = flags(max_steps=2000, checkpoint_every=1000)
    process = start(
        "--model", "base.gguf", "--data", "data.jsonl", "--out", "cut", "--json", *limits, program=SLOW_SAVE
    )
    stop_at(process, 5, signal.SIGINT)
    assert process.stdout is not None
    assert any('"saving"' in line for line in process.stdout)
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        time.sleep(0.1)
        process.send_signal(each)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert read_checkpoint(work / "cut/checkpoint.gguf").cursor.step >= 5
    assert not [path for path in (work / "cut").iterdir() if path.name.startswith(".")]


def test_a_hangup_that_is_ignored_stays_ignored(work: Path) -> None:
    """`nohup localft finetune …` trains on when its terminal is closed."""
    ignoring = f"import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN); {PROGRAM}"
    process = start("--model", "base.gguf", "--data", "data.jsonl", "--json", *flags(), program=ignoring)
    stop_at(process, 3, signal.SIGHUP)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert '"event": "end"' in out


def test_a_run_that_ended_before_its_first_checkpoint_begins_anew(work: Path) -> None:
    """`--resume` said to start again, and `--out` to resume."""
    train("whole")
    train("cut", max_steps=1)
    for name in ("checkpoint.gguf", "adapter-last.gguf", "adapter-best.gguf"):
        (work / "cut" / name).unlink(missing_ok=True)
    with pytest.raises(LocalftError, match="has no checkpoint") as error:
        localft.finetune(resume="cut")
    assert error.value.hint == "start it again: `localft finetune … --out cut` takes its folder"
    train("cut")
    same_run(work / "whole", work / "cut")


def test_ctrl_c_says_how_to_go_on(work: Path) -> None:
    process = start("--model", "base.gguf", "--data", "data.jsonl", "--out", "cut", *flags(max_steps=2000))
    metrics = work / "cut/metrics.jsonl"
    deadline = time.monotonic() + 60
    while not (metrics.is_file() and metrics.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert "localft finetune --resume cut" in errors
    assert "Traceback" not in errors


def test_a_last_checkpoint_that_cannot_be_written_is_an_error(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing an interrupted run let the error of its last save pass as "Exception ignored"."""
    events = localft.finetune("base.gguf", "data.jsonl", out="run", **settings(checkpoint_every=100))
    next(e for e in events if isinstance(e, Step))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("localft.run.writer.write_checkpoint", full)
    with pytest.raises(LocalftError, match=r"checkpoint.gguf` could not be written: No space left on device") as error:
        events.close()  # type: ignore[attr-defined]
    assert error.value.hint is not None
    assert "localft finetune --resume run" in error.value.hint


def test_resume_keeps_its_settings_and_says_what_it_takes(work: Path) -> None:
    train()
    with pytest.raises(ConfigError, match=r"`--lr` is `0.01` and cannot become `0.02`"):
        localft.finetune(resume="run", lr=0.02)
    with pytest.raises(ConfigError, match=r"unknown setting `lrr`"):
        localft.finetune(resume="run", lrr=0.02)
    events = list(localft.finetune(resume="run", lr=0.01, max_steps=STEPS + 2, threads=2))
    said = [e.to_dict()["message"] for e in events if e.event == "notice"]
    assert any("`--max-steps` changed from 8 to 10" in text for text in said)
    assert any("`--threads` changed from 1 to 2" in text for text in said)
    assert [e.step for e in events if isinstance(e, Step)] == [9, 10]
    assert [line[1] for line in stored(work / "run") if line[0] == "step"] == list(range(1, 11))


def test_resume_of_a_complete_run_adds_nothing(work: Path) -> None:
    train("runs/one")
    before = stored(work / "runs/one")
    assert newest_run(to_resume=True).folder == Path("runs/one")
    events = list(localft.finetune(resume=True))
    assert losses(events) == []
    assert stored(work / "runs/one") == before


def test_resume_checks_the_data_and_the_base(work: Path, base: Path) -> None:
    train()
    data = work / "data.jsonl"
    data.write_text(data.read_text(encoding="utf-8") + '{"prompt": "x", "completion": "y"}\n', encoding="utf-8")
    with pytest.raises(LocalftError, match="changed since this run was started"):
        list(localft.finetune(resume="run"))


def test_a_dry_run_and_an_error_write_nothing(work: Path) -> None:
    events = list(localft.finetune("base.gguf", "data.jsonl", dry_run=True, **settings()))
    assert [e.event for e in events if e.event != "notice"] == ["data", "start"]
    (work / "bad.jsonl").write_text('{"prompt": 1}\n', encoding="utf-8")
    with pytest.raises(LocalftError):
        list(localft.finetune("base.gguf", "bad.jsonl", **settings()))
    assert sorted(path.name for path in work.iterdir()) == ["bad.jsonl", "base.gguf", "data.jsonl"]


def test_json_is_all_of_stdout(work: Path) -> None:
    process = start("--model", "base.gguf", "--data", "data.jsonl", "--json", *flags(max_steps=2))
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    events = [json.loads(line) for line in out.splitlines()]
    assert [e["event"] for e in events if e["event"] in ("start", "data", "step", "end")] == [
        *("data", "start", "step", "step", "end")
    ]
    assert errors == ""
    keys = {
        "event",
        "step",
        "epoch",
        "loss",
        "val_loss",
        "lr",
        "grad_norm",
        "tok_per_sec",
        "n_supervised",
        "peak_mem_bytes",
    }
    run = newest_run()
    lines = [json.loads(line) for line in run.metrics.read_text(encoding="utf-8").splitlines()]
    assert all(keys <= set(e) for e in events + lines if e["event"] in ("step", "validation"))
    assert [e for e in events if e["event"] == "step"] == [e for e in lines if e["event"] == "step"]


OLD = [
    "--model-base", "base.gguf", "--train-data", "text.txt", "--threads", "2", "--batch", "2", "--sample-start", "<s>",
    "--ctx", "32", "--checkpoint-in", "checkpoint-LATEST.gguf", "--adam-iter",
]  # fmt: skip


def test_the_old_command_form_starts_afresh_and_goes_on(work: Path, base: Path) -> None:
    (work / "text.txt").write_text("<s>the cat sat on a mat.\n" * 40, encoding="utf-8")
    command.main([*OLD, "2"], standalone_mode=False)
    assert (work / "checkpoint-LATEST.gguf").is_file()
    check_adapter(work / "ggml-lora-LATEST-f32.gguf", base)
    assert read_checkpoint(work / "checkpoint-LATEST.gguf").cursor.step == 2
    first = (work / "ggml-lora-LATEST-f32.gguf").read_bytes()
    command.main([*OLD, "4"], standalone_mode=False)
    assert read_checkpoint(work / "checkpoint-LATEST.gguf").cursor.step == 4
    assert (work / "ggml-lora-LATEST-f32.gguf").read_bytes() != first
    assert len(list((work / "runs").iterdir())) == 1


def test_numbered_files_of_the_old_form(work: Path) -> None:
    (work / "text.txt").write_text("<s>the cat sat on a mat.\n" * 40, encoding="utf-8")
    names = ["--checkpoint-out", "c-ITERATION.gguf", "--lora-out", "l-ITERATION.gguf", "--save-every", "2"]
    command.main([*OLD, "4", *names], standalone_mode=False)
    found = {path.name for path in work.glob("[cl]-*.gguf")}
    assert found == {"c-LATEST.gguf", "c-0.gguf", "c-2.gguf", "c-4.gguf", "l-LATEST.gguf", "l-2.gguf", "l-4.gguf"}


def test_a_run_that_was_moved_goes_on_where_it_is(work: Path) -> None:
    """Given by its checkpoint file, a moved run was written to where it had been."""
    train("old", max_steps=2)
    (work / "old").rename(work / "new")
    list(localft.finetune(resume="new/checkpoint.gguf", max_steps=4))
    assert not (work / "old").exists()
    assert read_checkpoint(work / "new/checkpoint.gguf").cursor.step == 4


def test_a_base_that_was_moved_or_renamed_is_found_by_its_hash(work: Path, base: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "other.gguf").write_bytes(base.read_bytes() + b"\0" * 32)
    (elsewhere / "tiny.gguf").write_bytes(base.read_bytes())
    list(localft.finetune(str(elsewhere / "tiny.gguf"), "data.jsonl", out="run", **settings(max_steps=2)))
    (elsewhere / "tiny.gguf").rename(work / "renamed.gguf")
    (elsewhere / "other.gguf").rename(work / "a.gguf")
    (work / "base.gguf").unlink()
    list(localft.finetune(resume="run", max_steps=4))
    found = read_checkpoint(work / "run/checkpoint.gguf")
    assert (found.cursor.step, Path(found.record.base.path).name) == (4, "renamed.gguf")


def test_two_processes_do_not_train_one_run() -> None:
    """Two resumes of one run wrote each step twice into metrics.jsonl."""
    events = localft.finetune("base.gguf", "data.jsonl", out="run", **settings())
    next(e for e in events if isinstance(e, Step))
    with pytest.raises(LocalftError, match="`run` is being trained by another process"):
        list(localft.finetune(resume="run"))
    events.close()  # type: ignore[attr-defined]
    assert isinstance(list(localft.finetune(resume="run"))[-1], RunEnd)


def test_a_folder_with_a_run_is_refused_before_anything_is_read(work: Path) -> None:
    train(max_steps=2)
    with pytest.raises(LocalftError, match="`run` holds a run already"):
        localft.finetune("no-such-model", "no-such-data", out="run")
