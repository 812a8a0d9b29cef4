"""Where a file is expected, a pipe is not waited for and a device is not read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from tiny_llama import write_model

from localft.cli import cli
from localft.errors import LocalftError

COMMANDS = [
    "data check {jsonl}",
    "data check {json}",
    "data check {txt}",
    "data check {csv}",
    "data check {parquet}",
    "data check {gz}",
    "data split {jsonl} -o out",
    "data synth {jsonl} -o out.jsonl",
    "data show {jsonl} --model base.gguf",
    "data github owner/name --from {json} -o out.jsonl",
    "finetune --model {gguf} --data rows.jsonl",
    "finetune --model base.gguf --data {jsonl}",
    "finetune --model base.gguf --data rows.jsonl --val-data {jsonl}",
    "finetune --model base.gguf --data rows.jsonl --replay {txt}:0.2",
    "finetune --model base.gguf --data rows.jsonl --template {txt}",
    "finetune --model base.gguf --data rows.jsonl --config {toml}",
    "finetune --model base.gguf --data rows.jsonl --checkpoint-in {gguf}",
    "finetune --resume {gguf}",
    "convert {gguf}",
    "chat --model {gguf} --prompt hi",
    "chat --model base.gguf --lora {gguf} --prompt hi",
]


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path / "base.gguf")
    (tmp_path / "rows.jsonl").write_text('{"prompt": "a?", "completion": " b."}\n' * 20)
    return tmp_path


@pytest.mark.timeout(30)
@pytest.mark.parametrize("what", ["pipe", "/dev/zero"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_pipe_and_a_device_are_refused(command: str, what: str, work: Path) -> None:
    for suffix in ("jsonl", "json", "txt", "csv", "parquet", "gguf", "toml", "gz"):
        path = work / (f"x.{suffix}" if suffix != "gz" else "x.jsonl.gz")
        if what == "pipe":
            os.mkfifo(path)
        else:
            path.symlink_to(what)
        command = command.replace(f"{{{suffix}}}", path.name)
    before = sorted(path.name for path in work.iterdir())
    result = CliRunner().invoke(cli, command.split())
    assert result.exit_code != 0
    assert isinstance(result.exception, (LocalftError, SystemExit)), result.exception
    said = result.output + (str(result.exception.message) if isinstance(result.exception, LocalftError) else "")
    assert "x." in said, said
    if isinstance(result.exception, LocalftError):
        assert result.exception.hint
    assert sorted(path.name for path in work.iterdir()) == before


@pytest.mark.timeout(60)
def test_pipes_in_the_home_and_in_a_run_are_not_waited_for(work: Path, home: Path) -> None:
    """They are made anew, or named; each was a hang."""
    train = "finetune --model base.gguf --data rows.jsonl --threads 1 --max-steps 1 --out run"
    assert CliRunner().invoke(cli, train.split()).exit_code == 0
    for place, commands in {
        home: ["finetune --resume run --max-steps 2", "chat --model base.gguf --prompt hi --max-tokens 1"],
        work / "run": ["finetune --resume run", "chat --lora run --prompt hi --max-tokens 1"],
    }.items():
        for path in [path for path in place.iterdir() if path.is_file()]:
            path.unlink()
            os.mkfifo(path)
        for command in commands:
            result = CliRunner().invoke(cli, command.split())
            assert result.exit_code == 0 if place == home else isinstance(result.exception, LocalftError), command
