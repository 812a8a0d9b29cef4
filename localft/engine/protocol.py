"""What the training loop asks of an engine, and the plain types that cross that border."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from localft.data.batching.micro_batch import MicroBatch


class MicroResult(NamedTuple):
    """What one micro-batch gave: nats summed over its supervised targets, and how many those are (may be 0)."""

    loss_sum: float
    n_supervised: int


@dataclass(frozen=True)
class LoraSpec:
    """Which tensors carry LoRA, and how.

    Attributes:
        target_tensors: base tensor names such as "blk.0.attn_q.weight", in the model's order.
        rank: from 1; above the smaller side of a matrix it adds nothing but its cost.
        alpha: numerator of lora_scale = alpha / rank.
        dropout: share of each LoRA input that is zeroed while training, in [0, 1).
        seed: of the initialisation and of dropout; 0 is a seed.
    """

    target_tensors: tuple[str, ...]
    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.0
    seed: int = 42


@dataclass(frozen=True)
class AdamSpec:
    """AdamW as PyTorch defines it. `weight_decay` is decoupled; `grad_clip` is a global norm, 0 = off."""

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0
    grad_clip: float = 1.0


@dataclass
class LoraState:
    """One adapted tensor: factors and Adam moments, all f32.

    Attributes:
        a, a_m, a_v: (rank, n_in); moments are empty arrays in an adapter without optimizer state.
        b, b_m, b_v: (n_out, rank).
    """

    a: NDArray[np.float32]
    b: NDArray[np.float32]
    a_m: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    a_v: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    b_m: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    b_v: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))


@dataclass
class EngineState:
    """All that an engine needs to go on exactly: tensors by base tensor name, updates done, micro-batches seen."""

    tensors: dict[str, LoraState]
    step: int = 0
    micro_step: int = 0


class Engine(Protocol):
    """A training engine. `training/loop.py` knows nothing else of one."""

    def accumulate(self, batch: MicroBatch) -> MicroResult:
        """Run forward and backward and add the gradient of the summed loss to the accumulator."""
        ...

    def apply(self, lr: float) -> float:
        """Divide the gradient by its n_supervised, clip, update, clear; return grad_norm before clipping."""
        ...

    def evaluate(self, batch: MicroBatch) -> MicroResult:
        """Run forward only, without dropout."""
        ...

    def state(self) -> EngineState:
        """Copy adapter, moments and counters out (NumPy, f32)."""
        ...

    def load_state(self, state: EngineState) -> None:
        """Put a state in; empty moments mean zeros (an adapter to go on from, without optimizer state)."""
        ...

    def peak_mem_bytes(self) -> dict[str, int]:
        """Peak memory by place: "rss", and each device's buffers under its name."""
        ...

    def close(self) -> None:
        """Free the model and every buffer. The engine cannot be used afterwards."""
        ...
