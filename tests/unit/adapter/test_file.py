"""Adapter files: round trip, how they fit a base, and which base they were trained on."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest
from adapters import Q, factors, raw_adapter, same
from tiny_llama import N_EMBD, random_adapter, write_model

from localft.adapter import Adapter, LoraTensor, check_adapter, read_adapter, write_adapter
from localft.adapter.file import read_adapter_header
from localft.adapter.origin import BASE_PATH, find_base
from localft.errors import AdapterError, ModelError
from localft.hashes import file_sha256


def test_an_adapter_comes_back_to_the_bit(tmp_path: Path) -> None:
    adapter = random_adapter(alpha=3.5, **{"general.name": "mine", "localft.version": "1", "x.int": -3, "x.float": 0.1})
    write_adapter(tmp_path / "a.gguf", adapter)
    read = read_adapter(tmp_path / "a.gguf")
    assert same(read, adapter)
    assert (read.architecture, read.rank, read.alpha, read.metadata) == ("llama", 4, 3.5, adapter.metadata)
    assert read.lora_scale(Q) == 3.5 / 4


@pytest.mark.parametrize(("dtype", "error"), [(np.float16, 1e-3), ("bf16", 1e-2), ("q8_0", 1e-2)])
def test_factors_of_other_types_are_read_as_f32(tmp_path: Path, dtype: object, error: float) -> None:
    a, b = np.random.default_rng(0).normal(size=(32, N_EMBD)), np.random.default_rng(1).normal(size=(N_EMBD, 32))
    kinds = {"bf16": gguf.GGMLQuantizationType.BF16, "q8_0": gguf.GGMLQuantizationType.Q8_0}
    with raw_adapter(tmp_path / "a.gguf") as writer:
        for suffix, values in (("lora_a", a), ("lora_b", b)):
            values = values.astype(np.float32)
            kind = kinds.get(str(dtype))
            data = gguf.quants.quantize(values, kind) if kind else values.astype(np.float16)
            writer.add_tensor(f"{Q}.{suffix}", data, raw_dtype=kind)
    read = read_adapter(tmp_path / "a.gguf").tensors[Q]
    assert np.abs(read.a - a).max() < 4 * error
    assert np.abs(read.b - b).max() < 4 * error


def test_output_lora_is_refused_on_a_tied_base_and_taken_on_an_untied_one(tmp_path: Path, base: Path) -> None:
    tied = write_model(tmp_path / "tied.gguf", tied=True)
    n_vocab = int(gguf.GGUFReader(base).tensors[0].shape[1])
    with raw_adapter(tmp_path / "a.gguf") as writer:
        factors(writer, "output.weight", (n_vocab, N_EMBD))
    assert check_adapter(tmp_path / "a.gguf", base).n_tensors == 1
    with pytest.raises(AdapterError, match="tied to the token embeddings"):
        check_adapter(tmp_path / "a.gguf", tied)


def test_an_adapter_without_alpha_has_scale_one_and_says_so(tmp_path: Path, base: Path) -> None:
    with raw_adapter(tmp_path / "a.gguf", alpha=None) as writer:
        factors(writer)
    assert read_adapter(tmp_path / "a.gguf").lora_scale(Q) == 1.0
    assert check_adapter(tmp_path / "a.gguf", base).notes == (
        "the adapter stores no alpha, so its LoRA scale is 1 instead of alpha / rank",
    )


def test_a_base_that_is_an_adapter_or_damaged_is_a_model_error(tmp_path: Path, lora: Path) -> None:
    with pytest.raises(ModelError, match="adapter"):
        check_adapter(lora, lora)
    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + b"\xff" * 64)
    with pytest.raises(ModelError):
        check_adapter(lora, tmp_path / "bad.gguf")


def test_the_file_that_was_trained_on_gives_no_note_and_others_do(tmp_path: Path, base: Path) -> None:
    metadata = {"localft.base.sha256": file_sha256(base), "localft.base.name": "mine", "localft.base.type": "f32"}
    write_adapter(tmp_path / "gone.gguf", random_adapter(**metadata))
    write_adapter(tmp_path / "here.gguf", random_adapter(**metadata, **{"localft.base.path": str(base)}))
    half = write_model(tmp_path / "half.gguf", dtype=np.float16)
    again = write_model(tmp_path / "again.gguf", name="again")
    other = write_model(tmp_path / "other.gguf", seed=4)
    patched = gguf.GGUFReader(other, "r+")
    next(t for t in patched.tensors if t.name == "output_norm.weight").data[:] *= 1.5

    def notes(lora: str, used: Path) -> tuple[str, ...]:
        return check_adapter(tmp_path / lora, used).notes

    trained_on = "the adapter was trained on"
    assert notes("here.gguf", base) == notes("gone.gguf", base) == ()
    assert notes("here.gguf", half) == (f"{trained_on} f32 and is used on f16, another file of the same model",)
    assert notes("gone.gguf", half) == (f"{trained_on} f32 and is used on f16",)
    assert notes("here.gguf", again) == (
        f"`{again}` is not the file that {trained_on}, another file of the same model",
    )
    assert notes("here.gguf", other) == (
        f'{trained_on} "mine", of which `{other}` is no other file: its answers may be poor',
    )


def test_a_hash_is_remembered_until_the_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"one")
    first = file_sha256(path)
    monkeypatch.setattr("localft.hashes.sha256", lambda _: "computed anew")
    assert file_sha256(path) == first
    path.write_bytes(b"more than one")
    assert file_sha256(path) == "computed anew"


def test_a_value_that_is_not_finite_is_not_written(tmp_path: Path) -> None:
    bad = LoraTensor(np.full((2, 4), np.inf, np.float32), np.ones((4, 2), np.float32))
    with pytest.raises(AdapterError, match="not finite"):
        write_adapter(tmp_path / "a.gguf", Adapter("llama", 2, 4.0, {Q: bad}))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["a\0b", "x" * 5000, "/dev/zero", "\udcff", "/", "//\n", "nowhere.gguf"])
def test_a_base_that_is_named_strangely_is_not_found(place: str, tmp_path: Path) -> None:
    write_adapter(tmp_path / "a.gguf", random_adapter())
    header = read_adapter_header(tmp_path / "a.gguf")
    header.values[BASE_PATH] = place
    header.types[BASE_PATH] = gguf.GGUFValueType.STRING
    assert find_base(header, tmp_path / "a.gguf") is None
