"""What llama.cpp asserts of every architecture, so that a breach is a sentence and not the end of the process.

Source: `llama_model_base::load_hparams` in src/llama-model.cpp of the llama.cpp in llama-cpp-python 0.3.36.
"""

from __future__ import annotations

import numpy as np
from gguf.constants import GGMLQuantizationType, GGUFValueType

from localft.model.gguf.header import Header, damaged, shown

INTEGERS = {
    GGUFValueType.UINT8,
    GGUFValueType.INT8,
    GGUFValueType.UINT16,
    GGUFValueType.INT16,
    GGUFValueType.UINT32,
    GGUFValueType.INT32,
    GGUFValueType.UINT64,
    GGUFValueType.INT64,
}
MAX_LAYERS = 512  # LLAMA_MAX_LAYERS
MAX_EXPERTS = 1024  # LLAMA_MAX_EXPERTS
MAX_CONTEXT = 1 << 27
_NORMS = ("layer_norm", "layer_norm_rms", "group_norm")


def check_limits(header: Header) -> None:
    """Refuse a header whose counts no architecture can have.

    Raises:
        ModelError: layers, context, experts, an epsilon or the type of a vector are out of range.
    """
    n_layer = whole_number(header, "block_count", 1, MAX_LAYERS)
    whole_number(header, "context_length", 1, MAX_CONTEXT)
    whole_number(header, "nextn_predict_layers", 0, n_layer, 0)
    _check_experts(header)
    for key in (f"{header.architecture}.attention.{name}_epsilon" for name in _NORMS):
        value = header.values.get(key, 0.0)
        if not isinstance(value, float) or value < 0:
            raise damaged(header.path, f'"{shown(key)}" is {shown(value)}; a number from 0 up is needed')
    for info in header.tensors.values():
        # ggml adds and multiplies by vectors in f32 only
        if len(info.ne) == 1 and info.type != GGMLQuantizationType.F32:
            raise damaged(header.path, f"tensor `{info.name}` has the type {info.type.name}; F32 is needed")


def whole_number(header: Header, key: str, lowest: int, highest: int, default: int | None = None) -> int:
    """The whole number behind the architecture's name and `key`.

    Raises:
        ModelError: it is missing where there is no default, of another type, or out of range.
    """
    key = f"{header.architecture}.{key}"
    value = header.values.get(key, default)
    if value is None:
        raise damaged(header.path, f'"{shown(key)}" is missing')
    if header.types.get(key, GGUFValueType.UINT32) not in INTEGERS or not lowest <= int(value) <= highest:
        needed = f"a whole number from {lowest} to {highest} is needed"
        raise damaged(header.path, f'"{shown(key)}" is {shown(value)}; {needed}')
    return int(value)


def _check_experts(header: Header) -> None:
    n_expert = whole_number(header, "expert_count", 0, MAX_EXPERTS, 0)
    key = f"{header.architecture}.expert_used_count"
    used = header.arrays[key].values if key in header.arrays else [header.values.get(key, 0)]
    most = np.asarray(used).max(initial=0) if len(used) and not isinstance(used[0], bytes | str) else -1
    if not (0 < most <= n_expert or most == n_expert == 0):
        raise damaged(header.path, f'"{shown(key)}" does not fit its {n_expert} experts')
    n_group = whole_number(header, "expert_group_count", 0, max(n_expert - 1, 0), 0)
    if n_group > 1:
        n_used = whole_number(header, "expert_group_used_count", 1, n_group - 1, 0)
        if n_expert % n_group:
            raise damaged(
                header.path, f"its {n_expert} experts cannot be shared out among {n_group} groups, {n_used} used"
            )
