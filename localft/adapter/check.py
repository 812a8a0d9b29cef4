"""Checking an adapter against its base before llama.cpp sees it, which crashes on an adapter that it refuses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from localft.adapter.file import metadata_text, pair_names, read_adapter, read_adapter_header, read_values
from localft.adapter.origin import BASE_NAME, BASE_PATH, BASE_SHA256, BASE_TYPE
from localft.errors import AdapterError, LocalftError
from localft.hashes import file_sha256
from localft.model.gguf.check import check_gguf
from localft.model.gguf.header import Header, file_type, read_header

_OTHER_BASE = "give --model the base that the adapter was trained on, or train an adapter for this one"


@dataclass(frozen=True)
class AdapterFit:
    """An adapter that llama.cpp will load on its base.

    Attributes:
        rank: the largest of its tensors.
        alpha: as stored; 0 where the file has none.
        n_tensors: adapted base tensors.
        notes: lines to tell the user, such as "the adapter was trained on q8_0 and is used on q4_k_m".
    """

    rank: int
    alpha: float
    n_tensors: int
    notes: tuple[str, ...]


def check_adapter(adapter: Path | str, base: Path | str) -> AdapterFit:
    """Check that an adapter file fits a base GGUF: architecture, tensors, shapes, types and finite values.

    Raises:
        AdapterError: the adapter is damaged or belongs to another model.
        ModelError: the base is no readable GGUF model.
    """
    path, base = Path(adapter), Path(base)
    header = read_adapter_header(path)
    base_header = check_gguf(base)
    _check_architecture(path, header, base, base_header)
    for name in pair_names(path, header):
        _check_tensor(path, header, name, base, base_header)
    read = read_adapter(path)
    notes = _notes(header, base, base_header)
    if not read.alpha:
        notes.append("the adapter stores no alpha, so its LoRA scale is 1 instead of alpha / rank")
    return AdapterFit(read.rank, read.alpha, len(read.tensors), tuple(notes))


def _check_architecture(path: Path, header: Header, base: Path, base_header: Header) -> None:
    ours, theirs = header.architecture, base_header.architecture
    if ours != theirs:
        raise AdapterError(
            f'`{path}` is an adapter for architecture "{ours}", and `{base}` is a "{theirs}" model', _OTHER_BASE
        )


def _check_tensor(path: Path, header: Header, name: str, base: Path, base_header: Header) -> None:
    if name.startswith("token_embd."):
        raise AdapterError(f"`{path}` adapts `{name}`, which localft does not support", "leave embeddings out of LoRA")
    if name not in base_header.tensors:
        raise _unknown_tensor(path, name, base)
    ne = base_header.tensors[name].ne
    if len(ne) != 2:
        raise AdapterError(f"`{path}` adapts `{name}`, which is no matrix in `{base}`: {list(ne)}", _OTHER_BASE)
    (n_in, rank_a), (rank_b, n_out) = header.tensors[f"{name}.lora_a"].ne, header.tensors[f"{name}.lora_b"].ne
    if rank_a != rank_b:
        raise AdapterError(
            f"`{path}`: lora_a of `{name}` has rank {rank_a} and lora_b rank {rank_b}",
            "the file is damaged, or its factors are swapped or transposed",
        )
    if (n_in, n_out) != ne:
        raise AdapterError(
            f"`{path}` adapts `{name}` as {n_in} inputs and {n_out} outputs; in `{base}` it has {ne[0]} and {ne[1]}",
            _OTHER_BASE,
        )


def _unknown_tensor(path: Path, name: str, base: Path) -> AdapterError:
    if name == "output.weight":
        return AdapterError(
            f"`{path}` adapts `output.weight`, and `{base}` has none: its head is tied to the token embeddings",
            "no runtime can load such an adapter on this model; train without `output` in --lora-targets",
        )
    return AdapterError(f"`{path}` adapts `{name}`, which `{base}` does not have", _OTHER_BASE)


def _notes(header: Header, base: Path, base_header: Header) -> list[str]:
    """Say where the base is another file than the adapter was trained on."""
    sha256 = metadata_text(header.values, BASE_SHA256)
    if not sha256 or sha256 == file_sha256(base):
        return []
    same = _same_norms(metadata_text(header.values, BASE_PATH), base_header)
    if same is False:
        name = metadata_text(header.values, BASE_NAME) or "another model"
        return [f'the adapter was trained on "{name}", of which `{base}` is no other file: its answers may be poor']
    old, new = metadata_text(header.values, BASE_TYPE), file_type(base_header)
    whose = ", another file of the same model" if same else ""
    if old and new and old != new:
        return [f"the adapter was trained on {old} and is used on {new}{whose}"]
    return [f"`{base}` is not the file that the adapter was trained on{whose}"]


def _same_norms(recorded: str | None, base_header: Header) -> bool | None:
    """Whether two files hold one model: every type of file keeps the norms in f32. None = the other file is gone."""
    name = "output_norm.weight"
    try:
        other = read_header(Path(recorded or ""))
        return np.array_equal(read_values(other, name), read_values(base_header, name))
    except (LocalftError, OSError, KeyError):
        return None
