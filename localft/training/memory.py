"""What a run holds in memory against what it may: its adapter before that is made, the rest before the first step."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from localft import hardware
from localft.errors import ConfigError
from localft.settings.train_config import TrainConfig
from localft.units import size

Shapes = Mapping[str, tuple[int, int]]

# Bytes of one trainable value: itself, its gradient, two moments, and a copy of all but the gradient for checkpoints.
STATE_BYTES = 4 * (4 + 3)
MIN_BUDGET = 64 << 20
_GRAIN = 64 << 20
_LESS = "lower --lora-rank, --ctx or --micro-batch-size"


def n_trainable(rank: int, shapes: Shapes) -> int:
    """Values of an adapter of `rank` on matrices of (n_out, n_in)."""
    return sum(rank * (n_in + n_out) for n_out, n_in in shapes.values())


def held_bytes(config: TrainConfig, base: Path, shapes: Shapes) -> int:
    """Held beside activations: the base model, the adapter's state, and on a CPU this process as it is so far."""
    state = STATE_BYTES * n_trainable(config.lora_rank, shapes)
    process = -(-hardware.current_rss() // _GRAIN) * _GRAIN if (config.device or "CPU") == "CPU" else 0
    return base.stat().st_size + state + process


def activation_budget(config: TrainConfig, held: int) -> int:
    """Bytes for activations: what training may use, less what it holds anyway; at least a little where nobody said."""
    return max((config.memory or 0) - held, 1 if _given(config) else MIN_BUDGET)


def require_room(config: TrainConfig, held: int, shapes: Shapes) -> None:
    """Refuse an adapter that is larger than the memory that training may use, before it is made.

    Raises:
        ConfigError: names its rank and what it takes; or that the memory that was given is too little for any.
    """
    require_memory(config, held)
    state = STATE_BYTES * n_trainable(config.lora_rank, shapes)
    if config.memory is not None and state > config.memory:
        raise ConfigError(
            f"training an adapter of rank {config.lora_rank} takes {size(state)} beside the base model, and "
            f"{size(config.memory)} may be used",
            "lower --lora-rank, or choose fewer --lora-targets or --lora-layers",
        )


def require_memory(config: TrainConfig, needed: int) -> None:
    """Refuse a --memory that would not be kept to.

    Args:
        needed: bytes that it takes, with everything recomputed that can be.

    Raises:
        ConfigError: names what is needed.
    """
    if _given(config) and config.memory is not None and needed > config.memory:
        least = -(-needed // _GRAIN) * _GRAIN
        raise ConfigError(
            f"`--memory` is {size(config.memory)}, and this run takes more: {size(least)}", f"allow that, or {_LESS}"
        )


def _given(config: TrainConfig) -> bool:
    return config.source("memory") in ("flag", "config file", "model card")
