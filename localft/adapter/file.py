"""A LoRA adapter and its GGUF file, as llama.cpp's loader wants it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from gguf import GGUFWriter
from gguf.constants import GGMLQuantizationType, GGUFValueType
from gguf.quants import dequantize
from numpy.typing import NDArray

from localft.arrays import whole
from localft.errors import AdapterError, ModelError
from localft.files import atomic_path
from localft.kinds.file_kind import MODEL, PEFT_WEIGHTS, Kind, file_kind
from localft.model.gguf.header import Header, read_header, shown

Q = GGMLQuantizationType
FACTOR_TYPES = (Q.F32, Q.F16, Q.BF16, Q.Q8_0)
MetaValue = str | int | float | bool
_OWN_KEYS = frozenset({"general.type", "general.architecture", "adapter.type", "adapter.lora.alpha"})
_EACH = "give the base model to --model and the adapter to --lora"
_DAMAGED = "the adapter file is damaged or was not made for llama.cpp; copy it again or train it anew"


class LoraTensor(NamedTuple):
    """The two factors of one adapted tensor, f32: W' = W + lora_scale · b · a.

    Attributes:
        a: (rank, n_in).
        b: (n_out, rank).
    """

    a: NDArray[np.float32]
    b: NDArray[np.float32]


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter in the GGUF's names and row order.

    Attributes:
        architecture: the base model's `general.architecture`, such as "llama".
        rank: of every tensor, or the largest where they differ.
        alpha: numerator of lora_scale; 0 means that the file has none, and the scale is 1.
        tensors: by base tensor name, such as "blk.0.attn_q.weight".
        metadata: further keys, such as "general.name", "localft.base.sha256", "localft.template".
    """

    architecture: str
    rank: int
    alpha: float
    tensors: dict[str, LoraTensor]
    metadata: dict[str, MetaValue] = field(default_factory=dict)

    def lora_scale(self, name: str) -> float:
        """alpha / rank of one tensor, as llama.cpp computes it."""
        return self.alpha / self.tensors[name].a.shape[0] if self.alpha else 1.0


def write_adapter(path: Path | str, adapter: Adapter) -> None:
    """Write an adapter GGUF, whole or not at all.

    Raises:
        AdapterError: the factors of a tensor do not fit together, or a value is not finite.
        OSError: the file cannot be written.
    """
    _require_sound(Path(path), adapter)
    with atomic_path(Path(path)) as temporary, closing(GGUFWriter(temporary, adapter.architecture)) as writer:
        writer.add_type("adapter")
        writer.add_string("adapter.type", "lora")
        writer.add_float32("adapter.lora.alpha", adapter.alpha)
        for key, value in adapter.metadata.items():
            if key not in _OWN_KEYS:
                _add_value(writer, key, value)
        for name, (a, b) in adapter.tensors.items():
            writer.add_tensor(f"{name}.lora_a", whole(np.ascontiguousarray(a, np.float32)))
            writer.add_tensor(f"{name}.lora_b", whole(np.ascontiguousarray(b, np.float32)))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()


def _add_value(writer: GGUFWriter, key: str, value: MetaValue) -> None:
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_int64(key, value)
    elif isinstance(value, float):
        writer.add_float64(key, value)
    else:
        writer.add_string(key, value)


def read_adapter(path: Path | str) -> Adapter:
    """Read an adapter GGUF of whatever origin, checking all that can be checked without its base model.

    f16, bf16 and q8_0 factors come back as f32.

    Raises:
        AdapterError: the file is missing, damaged, no LoRA adapter, or holds values that are not finite.
    """
    path = Path(path)
    header = read_adapter_header(path)
    names = pair_names(path, header)
    tensors = {name: LoraTensor(*(read_values(header, f"{name}.lora_{x}") for x in "ab")) for name in names}
    metadata = {key: value for key, value in header.values.items() if key not in _OWN_KEYS}
    adapter = Adapter(
        architecture=header.architecture,
        rank=max(t.a.shape[0] for t in tensors.values()),
        alpha=float(header.values.get("adapter.lora.alpha", 0.0)),
        tensors=tensors,
        metadata=metadata,
    )
    _require_sound(path, adapter)
    return adapter


def read_adapter_header(path: Path) -> Header:
    """Read the header and check the keys that llama.cpp's loader reads without looking at their types.

    Raises:
        AdapterError: see `read_adapter`.
    """
    require_adapter_file(path)
    try:
        header = read_header(path)
    except ModelError as error:
        raise _damaged(error.message) from error
    wanted = {"general.type": "adapter", "adapter.type": "lora", "general.architecture": None}
    for key, value in wanted.items():
        _require_text(path, header, key, value)
    _require_alpha(path, header)
    if "adapter.alora.invocation_tokens" in {*header.values, *header.arrays}:
        raise AdapterError(
            f"`{path}` is an activated LoRA (it has adapter.alora.invocation_tokens)",
            "localft uses plain LoRA adapters only",
        )
    return header


def require_adapter_file(path: Path) -> None:
    """Refuse what is no adapter at first sight, by what it is.

    Raises:
        AdapterError: names it. What cannot be read, or looked into no further, is left to the reader.
    """
    try:
        kind = file_kind(path)
    except OSError:
        return
    if kind.kind is Kind.TEXT:
        config = path.name == "adapter_config.json"
        raise AdapterError(f"`{path}` is a text and no adapter", PEFT_WEIGHTS.hint if config else _DAMAGED)
    # of a GGUF its own header tells more
    if kind.what and kind.kind not in (Kind.ADAPTER, Kind.MODEL, Kind.UNKNOWN):
        raise AdapterError(f"`{path}` is {kind.what}", kind.hint)


def _require_alpha(path: Path, header: Header) -> None:
    key = "adapter.lora.alpha"
    alpha = "an array" if key in header.arrays else header.values.get(key, 0.0)
    finite = isinstance(alpha, float) and math.isfinite(alpha)
    if not finite or header.types.get(key, GGUFValueType.FLOAT32) != GGUFValueType.FLOAT32:
        raise _damaged(f"`{path}` has {key} = {shown(alpha)!r}, which must be a finite f32 value")


def _require_text(path: Path, header: Header, key: str, expected: str | None) -> None:
    found = header.values.get(key)
    if found is None and not any(key.startswith("adapter.") for key in header.values) and key == "general.type":
        raise AdapterError(f"`{path}` is {MODEL.what}, not an adapter", _EACH)
    if found is None:
        raise _damaged(f"`{path}` is no LoRA adapter: it has no {key}")
    value = metadata_text(header.values, key)
    if not value or (expected is not None and value != expected):
        wanted = f'"{expected}"' if expected else "text"
        hint = _EACH if value == "model" else _DAMAGED
        raise AdapterError(f"`{path}` is no LoRA adapter: its {key} is {shown(found)!r}, {wanted} was expected", hint)


def pair_names(path: Path, header: Header) -> list[str]:
    """The adapted base tensors in the file's order; norms, which llama.cpp ignores, are left out.

    Raises:
        AdapterError: a tensor has no partner, an unknown suffix, or a shape or type that no factor has.
    """
    names: dict[str, None] = {}
    for name, info in header.tensors.items():
        base, _, suffix = name.rpartition(".")
        if name.endswith("_norm.weight"):
            continue
        if suffix not in ("lora_a", "lora_b"):
            raise _damaged(f"`{path}` has tensor `{name}`, which is neither .lora_a nor .lora_b")
        if len(info.ne) != 2 or info.type not in FACTOR_TYPES:
            raise _damaged(f"`{path}` has tensor `{name}` of shape {list(info.ne)} and type {info.type.name.lower()}")
        names[base] = None
    if not names:
        raise _damaged(f"`{path}` holds no LoRA tensors")
    for base in names:
        for suffix in ("lora_a", "lora_b"):
            if f"{base}.{suffix}" not in header.tensors:
                raise _damaged(f"`{path}` has no `{base}.{suffix}`, the partner of its other factor")
    return list(names)


def read_values(header: Header, name: str) -> NDArray[np.float32]:
    """Read one tensor as f32, in NumPy's shape (ggml's order reversed)."""
    info = header.tensors[name]
    raw = np.fromfile(header.path, np.uint8, info.n_bytes, offset=header.data_start + info.offset)
    shape = info.ne[::-1]
    if info.type in (Q.F32, Q.F16):
        return raw.view(np.float32 if info.type == Q.F32 else np.float16).astype(np.float32).reshape(shape)
    values: NDArray[np.float32] = dequantize(raw.reshape(*shape[:-1], -1), info.type)
    return values.reshape(shape)


def _require_sound(path: Path, adapter: Adapter) -> None:
    for name, (a, b) in adapter.tensors.items():
        if a.ndim != 2 or b.ndim != 2 or a.shape[0] != b.shape[1] or not a.size or not b.size:
            raise _damaged(
                f"`{path}`: the factors of `{name}` do not fit together: "
                f"lora_a is {_shape(a.shape)} and lora_b {_shape(b.shape)} (rank × n_in, n_out × rank)"
            )
        if not (np.isfinite(a).all() and np.isfinite(b).all()):
            raise AdapterError(
                f"`{path}`: `{name}` holds values that are not finite (NaN or infinity)",
                "the training diverged or the file is damaged; train again with a lower --lr",
            )


def _shape(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))


def _damaged(message: str) -> AdapterError:
    return AdapterError(message, _DAMAGED)


def metadata_text(metadata: Mapping[str, object], key: str) -> str | None:
    """A string of the metadata, or None where it is missing or something else."""
    value = metadata.get(key)
    return value if isinstance(value, str) else None
