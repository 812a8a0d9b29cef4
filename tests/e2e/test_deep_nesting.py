"""JSON and TOML of thousands of levels, wherever such a file is read: a sentence, or made anew."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from checkpoints import write_checkpoint
from click.testing import CliRunner
from tiny_llama import random_adapter, write_model

from localft.adapter import peft, read_adapter, write_adapter
from localft.adapter.origin import TEMPLATE
from localft.cli import cli
from localft.data.tokens import tokenize_on_disk
from localft.errors import LocalftError
from localft.hashes import file_sha256
from localft.model.card import read_card

DEEP = {"list": "[" * 9000 + "]" * 9000, "object": '{"a":' * 9000 + "1" + "}" * 9000, "open": "[" * 9000}
TOML = {kind: "lr = " + text.replace('"a":', "a=") for kind, text in DEEP.items()}


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path / "base.gguf", chat=True)
    (tmp_path / "rows.jsonl").write_text('{"prompt": "a?", "completion": " b."}\n' * 20)
    return tmp_path


def run(command: str) -> None:
    result = CliRunner().invoke(cli, command.split())
    assert isinstance(result.exception, (LocalftError, SystemExit, type(None))), repr(result.exception)[:200]


def refused(call: Callable[[], object]) -> None:
    with pytest.raises(LocalftError):
        call()


TRAIN = "finetune --model base.gguf --data rows.jsonl --threads 1 --max-steps 1"


@pytest.mark.parametrize("kind", DEEP)
def test_settings(kind: str, work: Path) -> None:
    (work / "c.toml").write_text(TOML[kind])
    refused(lambda: CliRunner().invoke(cli, f"{TRAIN} --config c.toml".split(), catch_exceptions=False))
    refused(lambda: read_card(work / "c.toml"))


@pytest.mark.parametrize("kind", DEEP)
def test_adapters(kind: str, work: Path, home: Path) -> None:
    write_adapter("a.gguf", random_adapter(**{TEMPLATE: DEEP[kind]}))
    run("chat --model base.gguf --lora a.gguf --prompt hi --max-tokens 1")
    peft.to_peft(read_adapter("a.gguf"), "peft", "base.gguf")
    (work / "peft" / "adapter_config.json").write_text(DEEP[kind])
    refused(lambda: peft.from_peft("peft", "base.gguf"))
    (work / "peft" / "adapter_config.json").write_text('{"peft_type": "LORA", "lora_alpha": 1' + "0" * 400 + "}")
    refused(lambda: peft.from_peft("peft", "base.gguf"))


@pytest.mark.parametrize("kind", ["list"])
def test_what_localft_keeps(kind: str, work: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenize_on_disk, "MIN_BYTES", 0)
    monkeypatch.setattr(tokenize_on_disk, "processors", lambda: 1)
    rows = [{"text": f"{i} the cat sat"} for i in range(50)]
    (work / "large.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run(f"{TRAIN} --out run")
    large = "finetune --model base.gguf --data large.jsonl --no-val --ctx 32 --threads 1 --dry-run"
    run(large)
    known = file_sha256(work / "base.gguf")
    kept = [path for path in home.rglob("*.json") if path.is_file()]
    assert {path.name for path in kept} >= {"sha256.json", "sums.json", "header.json"}
    for path in [*kept, work / "run" / "metrics.jsonl"]:
        path.write_text(DEEP[kind])
    assert file_sha256(work / "base.gguf") == known
    result = CliRunner().invoke(cli, large.split())
    assert result.exit_code == 0, result.output
    assert CliRunner().invoke(cli, ["finetune", "--resume", "run", "--max-steps", "2"]).exit_code == 0
    (work / "run" / "config.json").write_text(DEEP[kind])
    run("chat --lora run --prompt hi --max-tokens 1")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json"])
def test_checkpoints(name: str, work: Path) -> None:
    write_checkpoint(work / "hf", vocabulary="smollm")
    for text in DEEP.values():
        (work / "hf" / name).write_text(text)
        refused(lambda: CliRunner().invoke(cli, ["convert", "hf"], catch_exceptions=False))
