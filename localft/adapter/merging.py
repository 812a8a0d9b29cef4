"""Merging an adapter into an f32, f16 or bf16 base model, tensor by tensor."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from gguf.constants import GGMLQuantizationType
from gguf.quants import quantize
from numpy.typing import NDArray

from localft.adapter.check import check_adapter
from localft.adapter.file import Adapter, read_adapter, read_values
from localft.errors import AdapterError
from localft.model.gguf.check import check_gguf
from localft.model.gguf.header import Header
from localft.outputs import output_path

Q = GGMLQuantizationType
MERGEABLE = (Q.F32, Q.F16, Q.BF16)


def merge(
    adapter: Path | str, base: Path | str, out: Path | str, *, adapter_scale: float = 1.0, force: bool = False
) -> int:
    """Write base + adapter as one model of the base's types; the adapter is checked against the base first.

    The base is copied and only the adapted tensors are rewritten, so metadata and every other tensor stay as they are,
    and one tensor at a time is in memory.

    Args:
        adapter: an adapter GGUF.
        base: a GGUF whose adapted tensors are f32, f16 or bf16.
        out: the file to write.
        adapter_scale: strength, on top of alpha / rank.
        force: replace a file that is there, whosever it is.

    Returns:
        How many tensors were merged.

    Raises:
        AdapterError: the adapter does not fit, or the base is quantised.
        ModelError: the base cannot be read.
        ConfigError: see `output_path`.
        OSError: `out` cannot be written.
    """
    adapter, base, out = Path(adapter), Path(base), Path(out)
    check_adapter(adapter, base)
    header, lora = check_gguf(base), read_adapter(adapter)
    _require_unquantised(lora, header, base)
    with output_path(out, force) as temporary:
        shutil.copyfile(base, temporary)
        file = np.memmap(temporary, np.uint8, "r+")
        for name, (a, b) in lora.tensors.items():
            info = header.tensors[name]
            delta = np.float32(adapter_scale * lora.lora_scale(name)) * (b @ a)
            start = header.data_start + info.offset
            file[start : start + info.n_bytes] = _stored(read_values(header, name) + delta, info.type)
        file.flush()
        del file
    return len(lora.tensors)


def _require_unquantised(lora: Adapter, header: Header, base: Path) -> None:
    for name in lora.tensors:
        kind = header.tensors[name].type
        if kind not in MERGEABLE:
            raise AdapterError(
                f"`{name}` in `{base}` is {kind.name.lower()}, and merging into a quantised tensor undoes the tuning",
                "convert the base with --outtype f16, merge into that, and quantise the result",
            )


def _stored(values: NDArray[np.float32], kind: GGMLQuantizationType) -> NDArray[np.uint8]:
    data = quantize(np.ascontiguousarray(values), kind)
    return np.ascontiguousarray(data).reshape(-1).view(np.uint8)
