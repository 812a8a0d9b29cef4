"""Checkpoints and run folders: whole, exact, and safe against damaged files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from fake_engine import FakeEngine

from localft.errors import ConfigError, LocalftError
from localft.events import Notice, Progress, Step, Validation, json_line
from localft.model.gguf.header import read_header
from localft.run import checkpoint as checkpoint_module
from localft.run.checkpoint import Cursor, read_checkpoint, write_checkpoint
from localft.run.folder import Run, create_run, newest_run
from localft.run.record import BaseModel, Resolved, RunRecord
from localft.run.resume import apply_changes, find_checkpoint
from localft.run.writer import RunWriter
from localft.settings.resolve import resolve
from localft.settings.train_config import TrainConfig


def record(config: TrainConfig | None = None, **changes: Any) -> RunRecord:
    resolved = Resolved(64, "--ctx", 1024, 512, 4, 10, 3, "CPU", "avx2", 2, 2**30, 0, ("blk.0.attn_q.weight",), 28)
    whole = RunRecord(
        folder="/runs/one",
        cwd="/",
        created="2025-01-01T00:00:00+00:00",
        settings=(config or TrainConfig()).to_dict(),
        base=BaseModel("/m.gguf", "m", "llama", "q8_0", "ab" * 32),
        resolved=resolved,
        template={"kind": "raw"},
        data_files={"/d.jsonl": "cd" * 32},
        fingerprint="ef" * 32,
        versions={"localft": "0"},
    )
    return replace(whole, **changes)


def some_cursor() -> Cursor:
    return Cursor(5, 9, 4, 0.1 + 0.2, 1 / 3, 4, 777, 1.5)


def saved(path: Path) -> Path:
    engine = FakeEngine()
    for tensor in engine.tensors.values():
        tensor.a_m += np.float32(0.1)
    write_checkpoint(path, record(), some_cursor(), engine.state())
    return path


def test_a_checkpoint_comes_back_to_the_bit(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.step, engine.micro_step = 5, 9
    write_checkpoint(tmp_path / "c.gguf", record(), some_cursor(), engine.state())
    found = read_checkpoint(tmp_path / "c.gguf")
    assert found.record == record()
    assert found.cursor == some_cursor()
    assert (found.state.step, found.state.micro_step) == (5, 9)
    assert list(found.state.tensors) == list(engine.tensors)
    for name, tensor in engine.tensors.items():
        for key, array in vars(tensor).items():
            again = getattr(found.state.tensors[name], key)
            assert again.shape == array.shape
            assert again.tobytes() == array.tobytes()


@pytest.mark.parametrize("cut", [0, 3, 20, 100, 500, 2000, -40])
def test_a_truncated_checkpoint_is_refused(tmp_path: Path, cut: int) -> None:
    whole = saved(tmp_path / "c.gguf").read_bytes()
    (tmp_path / "c.gguf").write_bytes(whole[:cut])
    with pytest.raises(LocalftError) as error:
        read_checkpoint(tmp_path / "c.gguf")
    assert error.value.hint


def test_other_files_are_no_checkpoints(tmp_path: Path) -> None:
    def write(name: str, **values: str) -> Path:
        writer = gguf.GGUFWriter(tmp_path / name, "llama")
        for key, value in values.items():
            writer.add_string(key.replace("__", "."), value)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.close()
        return tmp_path / name

    with pytest.raises(LocalftError, match="is no checkpoint"):
        read_checkpoint(write("model.gguf", general__type="model"))
    with pytest.raises(LocalftError, match=r"written by the old llama\.cpp program"):
        read_checkpoint(write("old.gguf", training__type="finetune_lora", optimizer__type="adam"))
    with pytest.raises(LocalftError, match="cannot be read: No such file"):
        read_checkpoint(tmp_path / "nothing.gguf")


def test_a_failed_write_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = saved(tmp_path / "c.gguf").read_bytes()

    def full(self: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(gguf.GGUFWriter, "write_tensors_to_file", full)
    with pytest.raises(OSError, match="No space"):
        write_checkpoint(tmp_path / "c.gguf", record(), Cursor(), FakeEngine().state())
    assert (tmp_path / "c.gguf").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["c.gguf"]


def step(n: int) -> Step:
    return Step(n, n / 4, 1.0, None, 1e-4, 0.5, 100.0, 7, 1000)


def test_metrics_are_trimmed_to_the_checkpoint(tmp_path: Path) -> None:
    run = Run(tmp_path)
    for event in (step(1), Validation(1, 0.25, None, 2.0, None, None, 9.0, 3, 10), step(2), Notice("x"), step(3)):
        run.append(event)
    run.append(Progress("step", 1, 2))
    run.append(Validation(3, 0.75, None, 1.0, None, None, 9.0, 3, 10))
    with run.metrics.open("a", encoding="utf-8") as file:
        file.write('{"event": "step", "st')
    run.trim_metrics(2, 1)
    kept = [json.loads(line) for line in run.metrics.read_text(encoding="utf-8").splitlines()]
    assert [(line["event"], line["step"]) for line in kept] == [("step", 1), ("validation", 1), ("step", 2)]


def test_json_has_no_nan() -> None:
    event = Step(1, 0.5, float("nan"), None, 1.0, float("inf"), 1.0, 1, 1)
    assert json.loads(json_line(event))["loss"] is None


def test_run_folders_are_numbered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = create_run("my model!", None), create_run("my model!", None)
    assert first.folder.name.startswith("my-model-20")
    assert (first.folder.name[-2:], second.folder.name[-2:]) == ("-1", "-2")
    with pytest.raises(LocalftError, match="there is no run"):
        newest_run()
    for run in (second, first):
        run.write_record(record())
    first.last_adapter.touch()
    assert newest_run().folder == first.folder
    first.best_adapter.touch()
    assert first.adapter == first.best_adapter
    with pytest.raises(LocalftError, match="has no adapter yet"):
        _ = second.adapter
    with pytest.raises(LocalftError, match="holds a run already"):
        create_run("x", str(first.folder))
    assert first.record == record()


def test_what_a_resume_may_change(tmp_path: Path) -> None:
    config = resolve({"model": "m", "data": "d.jsonl", "lr": 1e-3, "epochs": 2})
    kept = record(config)
    same, changes = apply_changes(kept, Path("run/checkpoint.gguf"), {"lr": "0.001", "data": ("/d.jsonl",)}, None)
    assert (same, changes) == (config, [])
    longer, changes = apply_changes(kept, Path("run/checkpoint.gguf"), {"epochs": 4, "val_every": 9}, None)
    assert (longer.epochs, longer.source("epochs"), [change.flag for change in changes]) == (
        4,
        "flag",
        ["--epochs", "--val-every"],
    )
    path = tmp_path / "run.toml"
    path.write_text("lora_rank = 16\n", encoding="utf-8")
    for flags, file, name in (({"seed": 1}, None, "--seed"), ({"ctx": 64}, None, "--ctx"), ({}, path, "--lora-rank")):
        with pytest.raises(ConfigError) as error:
            apply_changes(kept, Path("run/checkpoint.gguf"), flags, file)
        assert f"`{name}`" in error.value.message


@pytest.mark.parametrize(
    ("before", "flags", "after"),
    [
        ({"max_steps": 8}, {"epochs": 2}, (2, "flag", None, "default")),
        ({"max_steps": 8}, {"epochs": 3}, (3, "flag", None, "default")),
        ({"epochs": 1}, {"max_steps": 90}, (3, "default", 90, "flag")),
        ({"epochs": 1, "max_steps": 8}, {"max_steps": "90"}, (3, "default", 90, "flag")),
        ({"epochs": 1, "max_steps": 8}, {"epochs": 5}, (5, "flag", None, "default")),
        ({"epochs": 1}, {"epochs": 5, "max_steps": 90}, (5, "flag", 90, "flag")),
        ({"epochs": 1, "max_steps": 8}, {"val_every": 2}, (1, "flag", 8, "flag")),
    ],
)
def test_the_length_that_a_resume_gives_holds(before: Any, flags: Any, after: tuple[object, ...]) -> None:
    kept = record(resolve({"model": "m", "data": "d.jsonl", **before}))
    config, _ = apply_changes(kept, Path("run/checkpoint.gguf"), flags, None)
    assert (config.epochs, config.source("epochs"), config.max_steps, config.source("max_steps")) == after


def test_resume_takes_the_newest_run_that_is_not_at_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    of = record().resolved
    where = {"old": 1, "half": 2, "done": of.total_steps, "damaged": 0, "begun": 0}
    for i, (name, step) in enumerate(where.items()):
        run = Run(tmp_path / "runs" / name)
        run.folder.mkdir(parents=True)
        run.write_record(record())
        if name != "begun":
            write_checkpoint(run.checkpoint, record(), Cursor(step=step), FakeEngine().state())
        os.utime(run.folder / "config.json", (i, i))
    (tmp_path / "runs/damaged/checkpoint.gguf").write_bytes(b"GGUF")

    def found(**given: object) -> str:
        path = find_checkpoint(True, None, given)
        assert path is not None
        return path.parent.name

    assert found() == "half"
    assert found(max_steps=of.total_steps) == "half"
    assert found(max_steps=str(of.total_steps + 1)) == "done"
    assert found(epochs=of.total_steps + 1) == "done"
    assert found(epochs=1000, max_steps=2) == "old"
    assert found(max_steps=1) == "damaged"


def test_finding_the_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_checkpoint(None, None) is None
    assert find_checkpoint(None, "not-there.gguf") is None
    path = saved(tmp_path / "c.gguf")
    assert find_checkpoint(None, str(path)) == path
    assert find_checkpoint(path, None) == path
    with pytest.raises(LocalftError, match="is no run"):
        find_checkpoint("nowhere", None)
    with pytest.raises(ConfigError, match="contradict"):
        find_checkpoint(True, str(path))


def test_metrics_that_cannot_be_written_are_a_sentence(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.metrics.mkdir()
    with pytest.raises(LocalftError, match=r"metrics\.jsonl` could not be written"):
        run.append(step(1))


def test_a_run_whose_folder_was_moved_is_not_made_anew(tmp_path: Path) -> None:
    """It was written again at its old place, without what was there, or the hint was to make room."""
    run = Run(tmp_path / "run")
    run.folder.mkdir()
    run.folder.rename(tmp_path / "elsewhere")
    writer = RunWriter(run, record(), TrainConfig())
    for write in (
        lambda: run.append(step(1)),
        lambda: run.write_record(record()),
        lambda: writer.checkpoint(FakeEngine().state(), some_cursor()),
        lambda: writer.best(FakeEngine().state()),
    ):
        with pytest.raises(LocalftError, match=r"run` was moved or removed while the run went on") as caught:
            write()
        assert "--resume FOLDER" in caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["elsewhere"]


@pytest.mark.parametrize(
    ("code", "words"), [(28, "make room and go on"), (27, "make room"), (5, "mend that"), (13, "mend that")]
)
def test_the_hint_fits_what_happened(code: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("localft.run.folder.append_event", refuse)
    with pytest.raises(LocalftError, match=os.strerror(code)) as caught:
        Run(tmp_path).append(step(1))
    assert words in caught.value.hint


STRANGE: tuple[Any, ...] = (
    *(None, -5, 3.7, 10**20, float("inf"), float("nan"), "x", "\0", "a" * 100_000, True),
    *([], [1], {}, {"a": 1}, [[[]]]),
)


def places(values: dict[str, Any], at: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in values.items():
        yield (*at, key)
        if isinstance(value, dict) and len(at) < 2:
            yield from places(value, (*at, key))


def with_value(values: dict[str, Any], at: tuple[str, ...], value: Any) -> dict[str, Any]:
    key, *rest = at
    return {**values, key: with_value(values[key], tuple(rest), value) if rest else value}


@pytest.mark.parametrize("part", ["localft.run", "localft.cursor", "localft.counters"])
def test_any_value_of_any_kind_is_read_or_refused(part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """196 of 1,596 such checkpoints ended in a traceback."""
    path = saved(tmp_path / "c.gguf")
    header = read_header(path)
    values = json.loads(str(header.values[part]))
    monkeypatch.setattr(checkpoint_module, "read_header", lambda _: header)
    n_refused = 0
    for at in places(values):
        for strange in STRANGE:
            header.values[part] = json.dumps(with_value(values, at, strange))
            refusal = refusal_of(path)
            if refusal is not None:
                n_refused += 1
                assert refusal.hint, refusal.message
                assert len(refusal.message) < 400 + len(str(path))
    assert n_refused > 10


def refusal_of(checkpoint: Path) -> LocalftError | None:
    try:
        apply_changes(read_checkpoint(checkpoint).record, checkpoint, {}, None)
    except LocalftError as error:
        return error
    return None
