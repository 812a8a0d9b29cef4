"""`localft finetune --from RUN`: a new run that starts from another's adapter."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_llama import write_model

import localft
from localft.adapter import read_adapter
from localft.errors import ConfigError, LocalftError
from localft.events import Notice, RunEnd, RunStart, Step, TrainEvent, Validation
from localft.run.folder import Run


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("base") / "tiny.gguf")


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base.gguf").symlink_to(base)
    rows = [{"prompt": f"say {i}?", "completion": f" it is {i * i}."} for i in range(24)]
    lines = [json.dumps(row) + "\n" for row in rows]
    (tmp_path / "data.jsonl").write_text("".join(lines), encoding="utf-8")
    (tmp_path / "more.jsonl").write_text("".join(lines[:8]) * 2, encoding="utf-8")
    return tmp_path


def train(out: str, model: str = "base.gguf", data: str = "data.jsonl", **more: Any) -> list[TrainEvent]:
    settings = {"max_steps": 4, "lr": 0.01, "batch_size": 4, "threads": 1, "val_data": "data.jsonl", "on_leak": "warn"}
    return list(localft.finetune(model, data, out=out, **{**settings, **more}))


def val_losses(events: list[TrainEvent]) -> list[float]:
    return [event.val_loss for event in events if isinstance(event, Validation)]


def test_a_run_starts_where_the_other_was_best(work: Path) -> None:
    train("one", lora_rank=4, lora_alpha=6, lora_targets="attn", lora_layers="0-0")
    events = train("two", data="more.jsonl", from_run="one", seed=7)
    notices = [event.message for event in events if isinstance(event, Notice)]
    assert "starting from the adapter `one/adapter-best.gguf`" in notices
    (start,) = [event for event in events if isinstance(event, RunStart)]
    assert [start.settings[f"lora_{name}"]["value"] for name in ("rank", "alpha", "targets", "layers")] == [
        *(4, 6.0),
        *("attn", "0-0"),
    ]
    assert start.settings["lora_rank"]["source"] == "adapter"
    metrics = [json.loads(line) for line in Path("one/metrics.jsonl").read_text().splitlines()]
    best = min(line["val_loss"] for line in metrics if line["event"] == "validation")
    assert val_losses(events)[0] == pytest.approx(best, rel=1e-6)
    again = train("three", data="more.jsonl", from_run=str(work / "one" / "adapter-best.gguf"), seed=7)
    assert val_losses(again) == val_losses(events)


def test_it_is_a_run_of_its_own(work: Path) -> None:
    train("one", lora_rank=4)
    first = read_adapter(Run(Path("one")).adapter).tensors["blk.0.attn_q.weight"]
    events = train("two", from_run="one", max_steps=8, epochs=9)
    whole = [event.loss for event in events if isinstance(event, Step)]
    half = train("three", from_run="one", max_steps=4, epochs=9, lr_schedule="constant")
    assert len([event for event in half if isinstance(event, Step)]) == 4
    shutil.rmtree("one")
    (end,) = [e for e in localft.finetune(resume="three", max_steps=8) if isinstance(e, RunEnd)]
    assert (end.step, len(whole)) == (8, 8)
    changed = read_adapter(Run(Path("two")).adapter).tensors["blk.0.attn_q.weight"]
    assert not np.array_equal(first.b, changed.b)
    with pytest.raises(ConfigError, match="--from-run"):
        list(localft.finetune(resume="three", from_run="two"))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"from_run": "nowhere"}, "neither a run's folder nor an adapter file"),
        ({"from_run": "."}, "is no run"),
        ({"from_run": "data.jsonl"}, ""),
        ({"from_run": "one", "lora_rank": 8}, "`--lora-rank 8` is not what `one/adapter-best.gguf` has: 4"),
        ({"from_run": "one", "lora_targets": "ffn"}, "`--lora-targets ffn` is not what"),
        ({"from_run": "one", "model": "other.gguf"}, "was trained on other weights than those of"),
    ],
)
def test_what_does_not_fit_is_refused(work: Path, more: dict[str, Any], message: str) -> None:
    train("one", lora_rank=4)
    write_model(work / "other.gguf", seed=5)
    with pytest.raises(LocalftError) as caught:
        train("two", **more)
    assert message in caught.value.message
    assert caught.value.hint
    assert not Path("two").exists()
