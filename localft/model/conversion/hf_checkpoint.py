"""The weights of a Hugging Face checkpoint, one tensor at a time."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from localft.errors import ModelError
from localft.files import open_file
from localft.kinds.file_kind import Kind, tensors_kind, unfit
from localft.model.conversion.hparams import read_json

SAFETENSORS = "model.safetensors"
PYTORCH = "pytorch_model.bin"
_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_MAX_HEADER = 100 << 20
_ROWS = 4096

# Beside the weights: what a checkpoint may have that conversion reads.
SMALL_FILES = (
    "config.json",
    "tokenizer.model",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "generation_config.json",
    "chat_template.jinja",
    "chat_template.json",
)


@dataclass(frozen=True)
class StoredTensor:
    """A tensor's place.

    Attributes:
        dtype: what the file holds: "F32", "F16", "BF16" or "F64".
        rows: reads the rows from one to before another as float32.
    """

    shape: tuple[int, ...]
    dtype: str
    rows: Callable[[int, int], NDArray[np.float32]]

    def load(self) -> NDArray[np.float32]:
        """All of it."""
        return self.rows(0, self.shape[0] if self.shape else 1)

    def equals(self, other: StoredTensor) -> bool:
        """Whether both hold the same numbers; some rows at a time, as both may be large."""
        if self.shape != other.shape:
            return False
        n = self.shape[0] if self.shape else 1
        return all(
            np.array_equal(self.rows(start, min(start + _ROWS, n)), other.rows(start, min(start + _ROWS, n)))
            for start in range(0, n, _ROWS)
        )


@dataclass(frozen=True)
class HfCheckpoint:
    """Every tensor of a checkpoint by its Hugging Face name, their files, and what the user should know of them."""

    folder: Path
    files: tuple[Path, ...]
    tensors: dict[str, StoredTensor] = field(repr=False)
    notes: tuple[str, ...] = ()


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The weight files of a checkpoint folder: safetensors where there are any, else pytorch_model.bin.

    Raises:
        ModelError: none, or a part that the index names is missing.
    """
    for name in (SAFETENSORS, PYTORCH):
        index = folder / f"{name}.index.json"
        if index.is_file():
            return _indexed(index)
        if (folder / name).is_file():
            return (folder / name,)
        if parts := _numbered(folder, name):
            return parts
    raise ModelError(
        f"`{folder}` has no weights: neither `{SAFETENSORS}` nor `{PYTORCH}`, whole or in parts",
        "give the folder of a Hugging Face checkpoint, or download it again",
    )


def _numbered(folder: Path, name: str) -> tuple[Path, ...]:
    """Parts without their index, which say themselves how many they are; none where there are none.

    Raises:
        ModelError: some are missing.
    """
    stem, suffix = name.rsplit(".", 1)
    pattern = re.compile(rf"{re.escape(stem)}-(\d+)-of-(\d+)\.{suffix}")
    found = {path: match for path in sorted(folder.glob(f"{stem}-*")) if (match := pattern.fullmatch(path.name))}
    if not found:
        return ()
    there, n = {int(match[1]) for match in found.values()}, max(int(match[2]) for match in found.values())
    if there != set(range(1, n + 1)):
        missing = next(i for i in range(1, n + 1) if i not in there)
        message = f"`{folder}` has {len(there)} of {n} parts of its weights: number {missing} is missing"
        raise ModelError(message, "download the model again; what is there already is kept")
    return tuple(found)


def _indexed(index: Path) -> tuple[Path, ...]:
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(name, str) for name in weight_map.values()):
        raise ModelError(f'`{index}` has no usable "weight_map"', "download the model again")
    files = [index.parent / name for name in sorted(set(weight_map.values()))]
    for path in files:
        if path.parent != index.parent or not path.is_file():
            raise ModelError(f"`{index}` names the part `{path.name}`, which is missing", "download the model again")
    return tuple(files)


def open_checkpoint(folder: Path) -> HfCheckpoint:
    """Find the tensors of a checkpoint; reads headers only (pytorch_model.bin is mapped, not loaded).

    Raises:
        ModelError: weights missing, damaged, or stored in a type that cannot be read.
    """
    files = weight_files(folder)
    tensors: dict[str, StoredTensor] = {}
    for path in files:
        part = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pytorch(path)
        twice = tensors.keys() & part.keys()
        if twice:
            raise ModelError(f"tensor `{min(twice)}` is in two parts of `{folder}`", "download the model again")
        tensors |= part
    if kind := tensors_kind(tensors, (tensor.dtype for tensor in tensors.values())):
        raise ModelError(f"`{folder}` is {kind.what}", kind.hint)
    plain = _without_wrappers(folder, tensors)
    wrappers = sorted({name.removesuffix(plain_name) for name, plain_name in zip(tensors, plain, strict=True)} - {""})
    note = f"the names of the tensors begin with {_quoted(wrappers)}, which is left out" if wrappers else ""
    return HfCheckpoint(folder, files, plain, (note,) if note else ())


def _quoted(names: list[str]) -> str:
    return " and ".join(f"`{name}`" for name in names)


# what DistributedDataParallel and torch.compile put before every name
_WRAPPERS = re.compile(r"(?:module\.|_orig_mod\.)+")


def _without_wrappers(folder: Path, tensors: dict[str, StoredTensor]) -> dict[str, StoredTensor]:
    plain = {
        _WRAPPERS.sub("", name, count=1) if _WRAPPERS.match(name) else name: each for name, each in tensors.items()
    }
    if len(plain) < len(tensors):
        message = f"`{folder}` has tensors twice, with and without `module.` or `_orig_mod.` before their names"
        raise ModelError(message, "save the model itself, and not what wraps it")
    return plain


def _bad(path: Path, what: str) -> ModelError:
    return ModelError(f"`{path}` is damaged: {what}", "download the model again")


_NO_WEIGHTS = (Kind.EMPTY, Kind.WEB_PAGE, Kind.BINARY, Kind.MODEL, Kind.ADAPTER, Kind.CHECKPOINT)


def _require_weights(path: Path) -> None:
    if found := unfit(path, *_NO_WEIGHTS):
        hint = "a model's weights were expected: download it again" if found.kind is Kind.BINARY else found.hint
        raise ModelError(f"`{path}` is {found.what}", hint)


def _read_safetensors(path: Path) -> dict[str, StoredTensor]:
    _require_weights(path)
    size = path.stat().st_size
    with open_file(path) as file:
        n_header = int.from_bytes(file.read(8), "little")
        if size < 8 or n_header > min(size - 8, _MAX_HEADER):
            raise _bad(path, "it ends in the middle of its header")
        try:
            header = json.loads(file.read(n_header), object_pairs_hook=_unique)
        except _TwiceError as error:
            raise _bad(path, f"its header has `{error}` twice") from None
        except (ValueError, RecursionError) as error:
            raise _bad(path, "its header is not JSON") from error
    if not isinstance(header, dict):
        raise _bad(path, "its header is not an object")
    header.pop("__metadata__", None)
    tensors = {name: _entry(path, name, value, 8 + n_header, size) for name, value in header.items()}
    _require_apart(path, {name: value["data_offsets"] for name, value in header.items()})
    return tensors


class _TwiceError(Exception):
    """A key that stands twice in one JSON object."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _TwiceError(key[:80])
        found[key] = value
    return found


def _require_apart(path: Path, offsets: dict[str, list[int]]) -> None:
    """Refuse tensors that share bytes, which the format forbids."""
    last, reached = "", 0
    for name, (begin, end) in sorted(offsets.items(), key=lambda item: tuple(item[1])):
        if begin < reached:
            raise _bad(path, f"tensors `{last}` and `{name}` share bytes")
        last, reached = (name, end) if end > begin else (last, reached)


def _entry(path: Path, name: str, value: Any, data_start: int, size: int) -> StoredTensor:
    try:
        dtype, shape, (begin, end) = value["dtype"], tuple(value["shape"]), value["data_offsets"]
        whole = all(type(n) is int and n >= 0 for n in (*shape, begin, end)) and begin <= end
    except (TypeError, KeyError, ValueError) as error:
        raise _bad(path, f"the entry of tensor `{name}` cannot be understood") from error
    if not whole or not isinstance(dtype, str):
        raise _bad(path, f"the entry of tensor `{name}` cannot be understood")
    if dtype in _DTYPES and end - begin != math.prod(shape) * np.dtype(_DTYPES[dtype]).itemsize:
        raise _bad(path, f"tensor `{name}` of shape {list(shape)} has {end - begin} bytes")
    if data_start + end > size:
        raise _bad(path, f"it is truncated; tensor `{name}` is not all there")

    def rows(first: int, last: int) -> NDArray[np.float32]:
        row = (end - begin) // (shape[0] if shape else 1) if end > begin else 0
        part = (last - first, *shape[1:]) if shape else ()
        return _load(path, name, dtype, part, data_start + begin + first * row, (last - first) * row)

    return StoredTensor(shape, dtype, rows)


def _load(path: Path, name: str, dtype: str, shape: tuple[int, ...], offset: int, n_bytes: int) -> NDArray[np.float32]:
    if dtype not in _DTYPES:
        raise ModelError(
            f"tensor `{name}` in `{path}` is stored as {dtype}",
            f"these can be read: {', '.join(_DTYPES)}; take the model's full-precision checkpoint",
        )
    stored = np.empty(math.prod(shape), dtype=_DTYPES[dtype])
    # Plain reads and not a memory map: mapped pages would count as this process's memory, the whole file of them.
    with open_file(path) as file:
        file.seek(offset)
        if file.readinto(stored.view(np.uint8).data) != n_bytes:
            raise _bad(path, f"it is truncated; tensor `{name}` is not all there")
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), offset, n_bytes, os.POSIX_FADV_DONTNEED)
    return to_f32(stored, dtype).reshape(shape)


def to_f32(stored: NDArray[Any], dtype: str) -> NDArray[np.float32]:
    """Widen what a file holds; BF16 comes as its upper 16 bits in uint16."""
    if dtype != "BF16":
        return stored.astype(np.float32, copy=False)
    wide = stored.astype(np.uint32)
    wide <<= np.uint32(16)
    return wide.view(np.float32)


def _read_pytorch(path: Path) -> dict[str, StoredTensor]:
    _require_weights(path)
    try:
        import torch
    except ImportError as error:
        raise ModelError(
            f"`{path}` needs PyTorch to be read, which is not installed",
            "run `pip install 'localft[peft]'`, or take a checkpoint in safetensors",
        ) from error
    try:
        state = torch.load(str(path), map_location="cpu", mmap=True, weights_only=True)
    except Exception as error:  # torch raises a dozen kinds on a damaged or malicious pickle
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"`{path}` cannot be loaded as weights only: {first}", "take a checkpoint in safetensors"
        ) from error
    if not isinstance(state, dict):
        raise _bad(path, "it holds no table of tensors")
    names = {torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}
    tensors = {}
    for name, tensor in state.items():
        if isinstance(name, str) and isinstance(tensor, torch.Tensor):
            dtype = names.get(tensor.dtype, str(tensor.dtype))

            def rows(first: int, last: int, tensor: Any = tensor) -> NDArray[np.float32]:
                part = tensor.detach()[first:last] if tensor.dim() else tensor.detach()
                result: NDArray[np.float32] = part.to(torch.float32).numpy()
                return result

            tensors[name] = StoredTensor(tuple(tensor.shape), dtype, rows)
    return tensors
