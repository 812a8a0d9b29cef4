"""The commands finetune and doctor: help, usage errors, streams."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from localft.cli.doctor import command as doctor
from localft.cli.finetune import command
from localft.errors import ConfigError
from localft.settings.train_config import SETTINGS

NAMES = (
    "ctx epochs max-steps batch-size micro-batch-size lr lr-schedule warmup weight-decay grad-clip lora-rank "
    "lora-alpha lora-dropout lora-targets lora-layers threads device seed val-split val-samples val-data "
    "val-batch-size val-every no-val resume json dry-run out packing overlength train-on-prompt sample-start "
    "outtype config all-data replay prompt-column answer-column"
)


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    root = str(Path(__file__).resolve().parents[3])
    code = "from localft.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False, env={"PYTHONPATH": root}
    )


def test_help_names_every_option_in_its_section() -> None:
    text = CliRunner().invoke(command, ["--help"]).output
    for name in NAMES.split(" "):
        assert f"--{name} " in text or f"--{name}\n" in text, name
    sections = [line[:-1] for line in text.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert sections == ["Model and data", "Training", "Adapter", "Validation", "Machine", "Run", "Other"]
    assert "--checkpoint-in" not in text
    assert "localft finetune --resume" in text


def test_every_setting_has_a_flag() -> None:
    flags = {param.name for param in command.params}
    assert set(SETTINGS) <= flags


def test_usage_errors_exit_with_2() -> None:
    for arguments, message in (
        (["finetune"], "no model was given"),
        (["finetune", "--model", "demo"], "no data was given"),
        (["finetune", "--lora-rnk", "4"], "unknown option `--lora-rnk`"),
        (["finetune", "--lr", "much"], "`--lr` cannot be `much`"),
    ):
        done = run(*arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"error: {message}")
        assert "\nhint: " in done.stderr
    assert "did you mean `--lora-rank`?" in run("finetune", "--lora-rnk", "4").stderr
    assert "did you mean `--lr`?" in run("finetune", "--learning-rate", "4").stderr


def test_run_time_errors_exit_with_1() -> None:
    done = run("finetune", "--resume")
    assert (done.returncode, done.stdout) == (1, "")
    assert "there is no run" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_checkpoint_named_in_the_config_file_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text('model = "m"\ndata = "d"\ncheckpoint_in = "old.gguf"\n')
    (tmp_path / "old.gguf").write_bytes(b"no checkpoint")
    done = run("finetune", "--config", "run.toml")
    assert (done.returncode, done.stdout) == (1, "")
    assert "`old.gguf` is not a usable checkpoint" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_behind_stdout_is_a_sentence() -> None:
    root = str(Path(__file__).resolve().parents[3])
    code = "from localft.cli import main; main()"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code, "doctor", "--json"],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False, env={"PYTHONPATH": root},
        )  # fmt: skip
    hint = "free some room there, or choose a place on another disk"
    assert (done.returncode, done.stderr) == (1, f"error: `output`: No space left on device\n\nhint: {hint}\n")


def test_a_path_that_may_not_be_searched_is_a_sentence() -> None:
    code = (
        "from localft import cli\n"
        "def refuse(**_): raise PermissionError(13, 'Permission denied', 'secret/train.jsonl')\n"
        "cli.cli.main = refuse\n"
        "cli.main()"
    )
    root = str(Path(__file__).resolve().parents[3])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env={"PYTHONPATH": root}
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: `secret/train.jsonl`: Permission denied\n\nhint: choose a place")


def test_an_option_of_the_old_program_is_refused_by_name() -> None:
    old = ["--model-base", "m.gguf", "--train-data", "d.txt", "--use-flash"]
    with pytest.raises(ConfigError, match="`--use-flash` of the old finetune program"):
        command.main(old, standalone_mode=False)


def test_help_pages_load_nothing_heavy() -> None:
    code = (
        "import sys; from localft.cli import cli\n"
        "for name in ('finetune', 'doctor'):\n"
        "    cli.main([name, '--help'], standalone_mode=False)\n"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'numpy', 'rich', 'torch', 'llama_cpp', 'gguf'}))"
    )
    root = str(Path(__file__).resolve().parents[3])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": root}
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_doctor() -> None:
    found = json.loads(CliRunner().invoke(doctor, ["--json"]).output)
    assert set(found) == {
        *("localft", "system", "cpu", "memory", "engine", "devices", "versions", "places", "problems")
    }
    assert any(device["kind"] == "cpu" for device in found["devices"])
    assert found["cpu"]["threads"] >= 1
    cpu = next(device for device in found["devices"] if device["kind"] == "cpu")
    assert cpu["free_bytes"] < cpu["total_bytes"], "programs run, so not all of the memory is free"
    assert set(found["places"]) == {"home", "downloads", "runs", "package"}
    text = CliRunner().invoke(doctor, []).output
    for title in ("Machine", "Devices", "Versions", "Places"):
        assert title in text
