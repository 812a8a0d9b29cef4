"""Converting again: what is kept, what is made anew, and that it is the same to the byte."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from checkpoints import write_checkpoint

from localft.errors import ModelError
from localft.model.convert import convert


def test_a_rerun_is_skipped_until_something_changes(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "tiny")
    first = convert(str(checkpoint))
    before = first.path.stat().st_mtime_ns
    assert not first.skipped
    assert convert(str(checkpoint)).skipped
    assert first.path.stat().st_mtime_ns == before
    assert not convert(str(checkpoint), force=True).skipped
    later = first.path.stat().st_mtime + 10
    os.utime(checkpoint / "model.safetensors", (later, later))
    assert not convert(str(checkpoint)).skipped


def test_an_incomplete_file_is_made_anew(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "tiny")
    first = convert(str(checkpoint))
    data = first.path.read_bytes()
    first.path.write_bytes(data[:-40])
    assert not convert(str(checkpoint)).skipped
    assert first.path.read_bytes() == data


def test_another_type_or_model_under_out_is_made_anew(tmp_path: Path) -> None:
    one, other = write_checkpoint(tmp_path / "a"), write_checkpoint(tmp_path / "b", seed=1)
    out = tmp_path / "out.gguf"
    assert not convert(str(one), "q8_0", out).skipped
    assert not convert(str(one), "f32", out).skipped
    assert not convert(str(other), "f32", out).skipped
    assert convert(str(other), "f32", out).skipped


def test_folders_of_one_name_do_not_share_a_file(tmp_path: Path) -> None:
    one = convert(str(write_checkpoint(tmp_path / "a" / "model")))
    other = convert(str(write_checkpoint(tmp_path / "b" / "model", seed=1)))
    assert one.path.name == "model-q8_0.gguf"
    assert other.path != one.path
    assert convert(str(tmp_path / "a" / "model")).path == one.path
    again = convert(str(tmp_path / "b" / "model"))
    assert (again.path, again.skipped) == (other.path, True)


def test_the_same_checkpoint_gives_the_same_bytes(tmp_path: Path) -> None:
    checkpoint = str(write_checkpoint(tmp_path / "tiny", vocabulary="llama3"))
    for outtype in ("q8_0", "q4_k_m"):
        one = convert(checkpoint, outtype, tmp_path / "one.gguf", force=True).path.read_bytes()
        assert convert(checkpoint, outtype, tmp_path / "two.gguf", force=True).path.read_bytes() == one


def test_a_gguf_is_checked_and_returned(tmp_path: Path) -> None:
    made = convert(str(write_checkpoint(tmp_path / "tiny")), "f32").path
    result = convert(str(made), "q8_0")
    assert (result.path, result.skipped) == (made, True)
    made.write_bytes(made.read_bytes()[:-100])
    with pytest.raises(ModelError, match="truncated"):
        convert(str(made))
