"""A memory that cannot be kept to is refused before the first step, an adapter without room before it is made."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tiny_llama import write_model

import localft
from localft import hardware
from localft.errors import ConfigError
from localft.events import Notice, RunStart
from localft.settings.resolve import resolve
from localft.training.engine import lora_shapes, open_engine
from localft.training.memory import STATE_BYTES, activation_budget, held_bytes, n_trainable

MIB = 1 << 20


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hardware, "current_rss", lambda: 100 * MIB)
    rows = [{"prompt": f"What is {i}?", "completion": f"It is {i}."} for i in range(12)]
    (tmp_path / "d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return write_model(tmp_path / "m.gguf", chat=True)


def start(**settings: object) -> RunStart:
    events = localft.finetune("m.gguf", "d.jsonl", dry_run=True, threads=1, **settings)
    return next(event for event in events if isinstance(event, RunStart))


@pytest.mark.parametrize("memory", ["1MB", "64MiB", "100MiB", "128MiB"])
def test_a_memory_that_cannot_be_kept_to_is_refused(memory: str, base: Path) -> None:
    """1 MB was taken, and exceeded a hundred times over."""
    with pytest.raises(
        ConfigError, match=rf"`--memory` is {memory[:-2].strip('Mi')} MiB, and this run takes more: \d+ MiB"
    ) as caught:
        start(memory=memory)
    assert caught.value.hint.startswith("allow that, or lower --lora-rank")
    allowed = re.search(r"more: (\d+ MiB)", caught.value.message)
    assert allowed
    start(memory=allowed[1] if memory == "128MiB" else "1GiB")


def test_what_the_error_asks_for_is_enough(base: Path) -> None:
    message, memory = "", "2MiB"
    for _ in range(3):
        try:
            start(memory=memory)
        except ConfigError as error:
            message = error.message
            memory = message.rpartition(": ")[2]
    assert start(memory=memory).settings["memory"]["source"] == "flag"
    assert message


def test_a_config_file_is_taken_at_its_word_too(base: Path) -> None:
    Path("c.toml").write_text('memory = "1MB"\n')
    with pytest.raises(ConfigError, match="`--memory` is 1 MiB"):
        start(config="c.toml")


def test_an_adapter_without_room_is_refused_before_it_is_made(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "memory_free", lambda: 200 * MIB)
    with pytest.raises(ConfigError, match=r"training an adapter of rank 60000 takes [\d.]+ GiB beside the base model"):
        start(lora_rank=60_000)
    with pytest.raises(ConfigError, match="expected at most 65536"):
        start(lora_rank=65_537)


def test_what_is_held_leaves_the_rest_for_activations(base: Path) -> None:
    config = resolve({"model": "m.gguf", "data": ("d.jsonl",), "memory": "1GiB", "device": "CPU", "lora_rank": 64})
    shapes = lora_shapes(config, base)
    held = held_bytes(config, base, shapes)
    assert held == base.stat().st_size + STATE_BYTES * n_trainable(64, shapes) + 128 * MIB
    engine = open_engine(config, base, shapes, 64)
    assert engine.memory_budget == activation_budget(config, held) == (1 << 30) - held
    engine.close()


def test_a_rank_above_a_side_is_noted(base: Path) -> None:
    events = list(localft.finetune("m.gguf", "d.jsonl", dry_run=True, threads=1, lora_rank=200))
    notes = [event.message for event in events if isinstance(event, Notice)]
    assert any(note.startswith("rank 200 is more than 14 of 14 matrices can have (`blk.0.") for note in notes)
