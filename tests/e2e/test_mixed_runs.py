"""Runs on several sources: weights, replayed text and documents, stopped and resumed to the same numbers."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from tiny_llama import write_model

import localft
from localft.errors import ConfigError, LocalftError
from localft.events import DataReady, RunEnd, RunStart, Step, TrainEvent
from localft.run.folder import Run

STEPS = 20


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("base") / "tiny.gguf")


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base: Path) -> Path:
    """A working folder with the base model, two data files whose rows name documents, and a text."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base.gguf").symlink_to(base)
    for name in "ab":
        rows = [{"prompt": f"say {name} {i}?", "completion": f" {name}{i}.", "doc": f"d{i // 2}"} for i in range(20)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (tmp_path / "wiki.txt").write_text("".join(f"the {i} cat\n" for i in range(200)), encoding="utf-8")
    return tmp_path


def start(out: str, **changes: Any) -> Any:
    settings: dict[str, Any] = {"lr": 0.01, "batch_size": 4, "val_every": 6, "checkpoint_every": 2, "threads": 1}
    settings |= {"max_steps": STEPS, "lora_rank": 4, "lora_dropout": 0.2, "ctx": 32, "replay": "wiki.txt:20%"}
    return localft.finetune("base.gguf", ["a.jsonl:1.5", "b.jsonl"], out=out, **{**settings, **changes})


def losses(events: list[TrainEvent]) -> list[float | None]:
    return [event.loss for event in events if isinstance(event, Step)]


def test_a_mixed_run_is_resumed_to_the_same_numbers(work: Path) -> None:
    whole = list(start("whole"))
    (summary,) = (event.summary for event in whole if isinstance(event, DataReady))
    assert "documents" in summary["val_reason"]
    assert "20% of them replay" in summary["epoch"]
    (started,) = (event for event in whole if isinstance(event, RunStart))
    rows = [int(n) for n in re.findall(r"× (\d+) rows", summary["epoch"])]
    weights = [float(n) for n in re.findall(r"([\d.]+) × \d+ rows", summary["epoch"])]
    assert started.steps_per_epoch == math.ceil(sum(round(n * w) for n, w in zip(rows, weights, strict=True)) / 4)
    cut = start("cut")
    begun = []
    for event in cut:
        begun.append(event)
        if isinstance(event, Step) and event.step == 9:
            break
    cut.close()
    gone_on = list(localft.finetune(resume="cut"))
    assert losses(begun) + losses(gone_on) == losses(whole)
    assert isinstance(gone_on[-1], RunEnd)
    for name in ("adapter-last.gguf", "adapter-best.gguf"):
        assert (work / "whole" / name).read_bytes() == (work / "cut" / name).read_bytes()
    assert losses(list(start("other", seed=1))) != losses(whole)


def test_the_record_names_every_file_and_resume_checks_it(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    list(start("run", max_steps=2))
    record = Run(work / "run").record
    assert sorted(Path(name).name for name in record.data_files) == ["a.jsonl", "b.jsonl", "wiki.txt"]
    assert record.settings["data"]["value"] == ["a.jsonl:1.5", "b.jsonl"]
    assert record.settings["replay"]["value"] == "wiki.txt:20%"
    monkeypatch.chdir(work / "run")
    again = {"data": ["../a.jsonl:1.5", "../b.jsonl"], "replay": "../wiki.txt:20%"}
    assert losses(list(localft.finetune(resume=work / "run", max_steps=3, **again)))
    with pytest.raises(ConfigError, match=r"cannot become `../a.jsonl:2 ../b.jsonl`"):
        localft.finetune(resume=work / "run", max_steps=4, **{**again, "data": ["../a.jsonl:2", "../b.jsonl"]})
    (work / "wiki.txt").write_text("another text", encoding="utf-8")
    with pytest.raises(LocalftError, match=r"wiki.txt` changed since this run was started"):
        list(localft.finetune(resume=work / "run", max_steps=4))


def test_all_data_trains_without_validation(work: Path) -> None:
    events = list(start("run", all_data=True, val_every=None, max_steps=2, replay=None))
    (summary,) = (event.summary for event in events if isinstance(event, DataReady))
    assert (summary["n_train"], summary["n_val"]) == (40, 0)
    assert summary["val_reason"] == "none: every row is trained on (--all-data)"
    assert (work / "run/adapter-last.gguf").is_file()
    assert not (work / "run/adapter-best.gguf").exists()
