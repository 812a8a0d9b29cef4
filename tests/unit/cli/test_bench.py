"""The command bench: what it measures with, what it prints, and that it leaves nothing behind."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from tiny_llama import write_model

import localft.model.source
from localft import bench as module
from localft.cli.bench import command
from localft.errors import ConfigError
from localft.model.card import Shape, load_cards

SHAPE = Shape(n_vocab=300, n_embd=64, n_layer=2, n_head=4, n_head_kv=2, n_ff=96, tied=False)


@pytest.fixture(autouse=True)
def short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "ENOUGH_SECONDS", 0.0)


def measured(*arguments: str) -> dict[str, object]:
    done = CliRunner().invoke(command, [*arguments, "--threads", "1", "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_a_file_is_measured_as_it_is(tmp_path: Path) -> None:
    write_model(tmp_path / "tiny.gguf")
    found = measured("--model", "tiny.gguf", "--ctx", "16", "--lora-rank", "3")
    assert (found["weights"], found["n_ctx"], found["n_tok"], found["lora_rank"]) == ("own", 16, 128, 3)
    assert (found["n_steps"], found["n_threads"], found["device"]) == (3, 1, "CPU")
    assert found["n_trainable"] == 3 * 2 * (2 * (64 + 64) + 2 * (64 + 32) + 3 * (64 + 96))
    speed = found["tok_per_sec"]
    assert isinstance(speed, float)
    assert found["slowest"] <= speed <= found["fastest"]  # type: ignore[operator]
    assert found["runs"] == {str(rows): pytest.approx(rows * 16 * 3 / speed) for rows in (200, 1000, 10000)}


def test_the_screen_says_it_in_lines(tmp_path: Path) -> None:
    write_model(tmp_path / "tiny.gguf")
    text = CliRunner().invoke(command, ["--model", "tiny.gguf", "--ctx", "16"]).stdout
    labels = ["model", "adapter", "processor", "engine", "step", "speed", "memory"]
    assert [line.split()[0] for line in text.splitlines()[:7]] == labels
    assert "128 tokens in rows of 16" in text
    assert "10,000 rows" in text
    assert "For another model" not in text


def test_a_model_that_is_not_here_is_stood_in_for(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    card = replace(load_cards()["tinymistral"], shape=SHAPE)
    monkeypatch.setattr(localft.model.source, "find_card", lambda _: card)
    found = measured("--model", "tinymistral", "--ctx", "16")
    assert (found["model"], found["weights"], found["type"]) == ("tinymistral", "random", "q8_0")
    assert list(home.rglob("*.gguf")) == []
    assert list(home.glob(".bench-*")) == []


def test_wrong_settings_are_refused() -> None:
    for arguments, message in (
        (["--model", "tinymstral"], "`tinymstral` is neither"),
        (["--ctx", "much"], "`--ctx` cannot be `much`"),
        (["--outtype", "q9"], "q9"),
    ):
        with pytest.raises(ConfigError, match=message):
            CliRunner().invoke(command, arguments, catch_exceptions=False)
