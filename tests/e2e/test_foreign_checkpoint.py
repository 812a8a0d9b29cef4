"""`--resume` of a checkpoint from a stranger: it decides numbers, never places, and fetches nothing.

What was moved goes on all the same.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_llama import write_model

import localft
from localft.errors import LocalftError, ModelError
from localft.events import Notice, RunEnd, Step, TrainEvent
from localft.run.checkpoint import read_checkpoint, write_checkpoint
from localft.run.folder import Run
from localft.run.record import RunRecord

SETTINGS: dict[str, Any] = {"lr": 0.01, "batch_size": 4, "val_every": 2, "checkpoint_every": 2, "threads": 1}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("base") / "tiny.gguf")


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base: Path) -> Path:
    """A folder in which a run of two steps was done; the network is not to be opened."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    Path("base.gguf").symlink_to(base)
    rows = [{"prompt": f"say {i}?", "completion": f" it is {i * i}."} for i in range(40)]
    Path("data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    list(localft.finetune("base.gguf", "data.jsonl", out="run", max_steps=2, lora_rank=4, **SETTINGS))

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("it fetches")

    for name in ("data.reading.web.download", "data.reading.hub_dataset.fetch", "model.huggingface.download"):
        monkeypatch.setattr(f"localft.{name}", refuse)
    return tmp_path / "work"


def forge(path: Path, **changes: Any) -> Path:
    """The run's checkpoint with another record; "settings" are merged."""
    found = read_checkpoint(path)
    settings = {**found.record.settings}
    for name, value in changes.pop("settings", {}).items():
        settings[name] = {"value": value, "source": "flag"}
    record = replace(found.record, settings=settings, **changes)
    write_checkpoint(path, record, found.cursor, found.state)
    return path


def go_on(resume: Path | str = "run", **settings: Any) -> list[TrainEvent]:
    return list(localft.finetune(resume=resume, max_steps=4, **settings))


def steps(events: list[TrainEvent]) -> list[int]:
    return [event.step for event in events if isinstance(event, Step)]


def said(events: list[TrainEvent]) -> str:
    return "\n".join(event.message for event in events if isinstance(event, Notice))


@pytest.mark.parametrize("name", ["lora_out", "checkpoint_out"])
def test_files_that_a_checkpoint_names_are_not_written(name: str, work: Path) -> None:
    victim = work.parent / "precious.gguf"
    victim.write_text("precious")
    forge(work / "run/checkpoint.gguf", settings={name: str(victim)})
    events = go_on()
    assert steps(events) == [3, 4]
    assert victim.read_text() == "precious"
    assert f"`--{name.replace('_', '-')}` changed from {victim} to nothing: a checkpoint's places" in said(events)


def test_files_that_the_command_names_are_written(work: Path) -> None:
    go_on(lora_out="l.gguf", checkpoint_out="c.gguf")
    assert Path("l.gguf").read_bytes() == Path("run/adapter-last.gguf").read_bytes()
    assert read_checkpoint(Path("c.gguf")).cursor.step == 4


@pytest.mark.parametrize("name", ["checkpoint.gguf", "other.gguf"])
def test_the_folder_that_a_checkpoint_names_is_not_written(name: str, work: Path) -> None:
    victim = work / "runs/victim"
    victim.mkdir(parents=True)
    other = Run(work / "run").record
    Run(victim).write_record(replace(other, created="2025-01-01T00:00:00+00:00", folder=str(victim)))
    before = {path.name: path.read_bytes() for path in victim.iterdir()}
    (work / "loads").mkdir()
    path = (work / "run/checkpoint.gguf").rename(work / "loads" / name)
    forge(path, folder=str(victim), settings={"out": str(victim)})
    events = go_on(path)
    assert steps(events) == [3, 4]
    assert {path.name: path.read_bytes() for path in victim.iterdir()} == before
    end = events[-1]
    assert isinstance(end, RunEnd)
    if name == "checkpoint.gguf":
        assert Path(end.run).resolve() == work / "loads"
    else:
        assert Path(end.run).parent == Path("runs")
        assert "lies in no run's folder: it goes on in a new one" in said(events)
        assert [path.name for path in (work / "loads").iterdir()] == [name]


def test_out_takes_a_run_elsewhere(work: Path) -> None:
    before = {path.name: path.read_bytes() for path in (work / "run").iterdir()}
    events = go_on(out="elsewhere")
    assert steps(events) == [3, 4]
    assert {path.name: path.read_bytes() for path in (work / "run").iterdir()} == before
    assert Run(work / "elsewhere").adapter.name == "adapter-best.gguf"
    with pytest.raises(LocalftError, match="`elsewhere` holds a run already"):
        go_on(out="elsewhere")


def test_a_copy_of_a_checkpoint_goes_on_in_its_run(work: Path) -> None:
    """As the old command form has it: the checkpoint beside, the run below runs/."""
    (work / "runs").mkdir()
    (work / "run").rename(work / "runs/one")
    (work / "copy.gguf").write_bytes((work / "runs/one/checkpoint.gguf").read_bytes())
    end = go_on("copy.gguf")[-1]
    assert isinstance(end, RunEnd)
    assert Path(end.run) == Path("runs/one")


def test_a_folder_of_something_else_is_not_written(work: Path) -> None:
    model = work / "model"
    model.mkdir()
    (model / "config.json").write_text('{"model_type": "llama"}')
    (work / "run/checkpoint.gguf").rename(model / "checkpoint.gguf")
    with pytest.raises(LocalftError, match=r"model` holds a config\.json that is no run's"):
        go_on(model / "checkpoint.gguf")
    with pytest.raises(LocalftError, match=r"model` holds a config\.json that is no run's"):
        localft.finetune("base.gguf", "data.jsonl", out=str(model))
    assert (model / "config.json").read_text() == '{"model_type": "llama"}'


@pytest.mark.parametrize("name", ["metrics.jsonl", "adapter-last.gguf", "adapter-best.gguf", "config.json"])
def test_a_link_in_a_run_is_not_written_through(name: str, work: Path) -> None:
    victim = work.parent / "precious"
    victim.write_bytes((work / "run" / name).read_bytes())
    before = victim.read_bytes()
    (work / "run" / name).unlink()
    (work / "run" / name).symlink_to(victim)
    go_on()
    assert victim.read_bytes() == before


@pytest.mark.parametrize("data", ["http://127.0.0.1:9/rows.jsonl", "hf:owner/name"])
def test_data_that_a_checkpoint_names_are_not_fetched(data: str, work: Path) -> None:
    forge(work / "run/checkpoint.gguf", settings={"data": [data]})
    with pytest.raises(LocalftError, match="is not on this machine any more") as caught:
        go_on()
    assert (caught.value.hint or "").startswith(f"fetch it with `localft data check {data}`")


def test_a_base_that_a_checkpoint_names_is_not_fetched(work: Path, tmp_path: Path) -> None:
    record = read_checkpoint(work / "run/checkpoint.gguf").record
    gone = replace(record.base, path=str(tmp_path / "gone.gguf"), sha256="ab" * 32)
    forge(work / "run/checkpoint.gguf", settings={"model": "owner/name"}, base=gone)
    with pytest.raises(ModelError, match=r"gone\.gguf`, is not on this machine any more") as caught:
        go_on()
    assert caught.value.hint == "fetch it with `localft convert owner/name --outtype q8_0`"


def test_a_base_in_localft_s_home_is_found_by_its_name_and_hash(work: Path, base: Path, home: Path) -> None:
    record = read_checkpoint(work / "run/checkpoint.gguf").record
    forge(work / "run/checkpoint.gguf", base=replace(record.base, path="/gone/tiny.gguf"))
    (home / "models").mkdir(parents=True)
    (home / "models/tiny.gguf").write_bytes(base.read_bytes())
    assert steps(go_on()) == [3, 4]
    (home / "models/tiny.gguf").write_bytes(base.read_bytes() + b"\0" * 32)
    with pytest.raises(ModelError, match="is not the file that this run was started on"):
        list(localft.finetune(resume="run", max_steps=6))


def _none(record: RunRecord) -> dict[str, str]:
    return {}


def _another(record: RunRecord) -> dict[str, str]:
    return {**record.data_files, "/other.jsonl": "ab" * 32}


def _wrong(record: RunRecord) -> dict[str, str]:
    return dict.fromkeys(record.data_files, "ab" * 32)


@pytest.mark.parametrize(
    ("change", "words"),
    [(_none, "is none of those"), (_another, "is no longer there"), (_wrong, "changed since this run was started")],
)
def test_every_data_file_has_its_hash(change: Any, words: str, work: Path) -> None:
    path = work / "run/checkpoint.gguf"
    forge(path, data_files=change(read_checkpoint(path).record))
    with pytest.raises(LocalftError, match=words) as caught:
        go_on()
    assert caught.value.hint


def test_a_pipe_as_data_is_not_waited_for(work: Path) -> None:
    os.mkfifo(work / "pipe.jsonl")
    forge(work / "run/checkpoint.gguf", settings={"data": ["pipe.jsonl"]}, data_files={})
    with pytest.raises(LocalftError, match=r"pipe\.jsonl` is a pipe"):
        go_on()


def test_a_project_that_was_moved_goes_on(work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work.rename(tmp_path / "moved")
    monkeypatch.chdir(tmp_path / "moved")
    assert steps(go_on()) == [3, 4]
    record = Run(tmp_path / "moved/run").record
    assert record.cwd == str(tmp_path / "moved")
    assert list(record.data_files) == [str(tmp_path / "moved/data.jsonl")]
    assert not work.exists()


def test_a_resume_without_its_best_adapter_finds_another(work: Path) -> None:
    (work / "run/adapter-best.gguf").unlink()
    go_on()
    assert (work / "run/adapter-best.gguf").is_file()
