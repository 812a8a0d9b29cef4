"""How a model turns its queries and keys by their position, from config.json."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from localft.errors import ModelError
from localft.model.conversion.json_object import JsonObject
from localft.model.gguf.limits import MAX_CONTEXT

FREQ_BASE = 10000.0


@dataclass(frozen=True)
class RopeScaling:
    """How positions beyond the original context are squeezed. `kind` is "linear" or "llama3" (Llama 3.1 and later)."""

    kind: str
    factor: float
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    n_ctx_orig: int = 8192


def read_rope(config: JsonObject, n_ctx_train: int) -> tuple[float, RopeScaling | None]:
    """The base of the frequencies, and their scaling.

    As in transformers, `rope_scaling` is taken before `rope_parameters`, and what stands in it before what stands
    beside it, except for the original context.

    Raises:
        ModelError: another kind of scaling, or one that lacks a number.
    """
    key = "rope_scaling" if config.get("rope_scaling") else "rope_parameters"
    values = config.get(key) or {}
    if not isinstance(values, dict):
        raise config.error(key, "an object")
    rope = JsonObject(config.path, values, "rope_parameters")
    base = rope.number("rope_theta", config.number("rope_theta", FREQ_BASE))
    kind = rope.get("rope_type") or rope.get("type") or "default"
    if kind == "default":
        return base, None
    if kind == "linear":
        return base, RopeScaling("linear", rope.number("factor"))
    if kind != "llama3":
        raise ModelError(
            f"the RoPE scaling `{str(kind)[:80]}` in `{config.path}` cannot be converted",
            "these can: default, linear, llama3",
        )
    outside = config.get("original_max_position_embeddings")
    where, n_ctx = (rope, n_ctx_train) if outside is None else (config, None)
    scaling = RopeScaling(
        "llama3",
        rope.number("factor"),
        rope.number("low_freq_factor"),
        rope.number("high_freq_factor"),
        where.size("original_max_position_embeddings", MAX_CONTEXT, n_ctx),
    )
    if scaling.low_freq_factor >= scaling.high_freq_factor:
        raise rope.error("low_freq_factor", f'a number below "high_freq_factor" ({scaling.high_freq_factor})')
    return base, scaling


def rope_warnings(config: JsonObject) -> list[str]:
    """A sentence where config.json says two things about RoPE."""
    older, newer = config.get("rope_scaling"), config.get("rope_parameters")
    if not older or not newer or (isinstance(newer, dict) and _meant(older) == _meant(newer)):
        return []
    return [
        'config.json has both "rope_scaling" and "rope_parameters", and they differ: as in transformers, '
        '"rope_scaling" is taken'
    ]


def _meant(values: dict[str, Any]) -> dict[str, Any]:
    return {("rope_type" if key == "type" else key): value for key, value in values.items() if value is not None}


def rope_factors(scaling: RopeScaling, n_rot: int, freq_base: float) -> NDArray[np.float32]:
    """Divisors of the n_rot / 2 RoPE frequencies for Llama 3's scaling, as transformers' `llama3` RoPE defines it."""
    freqs = 1.0 / freq_base ** (np.arange(0, n_rot, 2, dtype=np.float32) / np.float32(n_rot))
    wavelengths = 2 * np.pi / freqs.astype(np.float64)
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    smooth = np.clip((scaling.n_ctx_orig / wavelengths - low) / (high - low), 0.0, 1.0)
    factors: NDArray[np.float32] = (1.0 / ((1.0 - smooth) / scaling.factor + smooth)).astype(np.float32)
    return factors
