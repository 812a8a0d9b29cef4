"""The engine of a run: what its settings say of LoRA, of the optimizer, and of the machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from localft.engine import AdamSpec, LoraSpec
from localft.errors import ConfigError
from localft.run.record import Resolved
from localft.settings.train_config import TrainConfig
from localft.training.memory import Shapes, activation_budget, held_bytes, require_memory, require_room
from localft.training.targets import select_targets

if TYPE_CHECKING:
    from localft.engine.native import NativeEngine


def open_engine(
    config: TrainConfig, base: Path, shapes: Shapes, max_tokens: int, kept: Resolved | None = None
) -> NativeEngine:
    """Load the GGUF `base` into a training engine.

    Args:
        config: with the hardware's settings filled in.
        shapes: of the tensors that carry LoRA, in the model's order; see `lora_shapes`.
        max_tokens: positions of the largest micro-batch.
        kept: what a run that is resumed had resolved; it stays as it was.

    Raises:
        ConfigError: an adapter of this size, or the `memory` that was given, cannot be kept.
        EngineError: the device is unknown, or memory does not suffice.
    """
    from localft.engine.native import NativeEngine

    held = held_bytes(config, base, shapes)
    require_room(config, held, shapes)
    engine = NativeEngine(
        base,
        LoraSpec(tuple(shapes), config.lora_rank, config.lora_alpha, config.lora_dropout, config.seed),
        AdamSpec(weight_decay=config.weight_decay, grad_clip=config.grad_clip),
        device=kept.device if kept else config.device,
        n_threads=config.threads or 0,
        max_tokens=max(max_tokens, kept.max_tokens if kept else 0),
        memory_budget=activation_budget(config, held),
        kernels=kept.kernels if kept else config.kernels,
        arithmetic=kept.arithmetic if kept else config.arithmetic,
    )
    try:
        require_memory(config, held + engine.memory_estimate)
    except ConfigError:
        engine.close()
        raise
    return engine


def lora_shapes(config: TrainConfig, base: Path) -> dict[str, tuple[int, int]]:
    """(n_out, n_in) of each tensor of the GGUF `base` that carries LoRA, in the model's order.

    Raises:
        ConfigError: no tensor, or one that is not there, is to carry LoRA.
    """
    from localft.engine.native import lora_targets

    available = lora_targets(base)
    chosen = select_targets(available, config.lora_targets, config.lora_layers)
    return {name: available[name] for name in chosen}


def fits_memory(config: TrainConfig, base: Path) -> Callable[[int], bool]:
    """What says whether a row of so many positions can be trained on within the memory that a run may use.

    Args:
        config: with the hardware's settings filled in.
        base: the GGUF; it is opened each time that is asked for, and nothing is computed.
    """

    def fits(n_positions: int) -> bool:
        shapes = lora_shapes(config, base)
        held = held_bytes(config, base, shapes)
        try:
            engine = open_engine(config, base, shapes, n_positions)
        except ConfigError:  # the --memory that was given would not be kept to
            return False
        try:
            return engine.memory_estimate <= activation_budget(config, held)
        finally:
            engine.close()

    return fits
