"""The golden cases: which model, adapter and batches, and where PyTorch's numbers for them lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from golden import models
from localft.data.batching.micro_batch import MicroBatch
from localft.engine import AdamSpec, EngineState, LoraSpec

N_STEP = 10


@dataclass(frozen=True)
class Case:
    """A tiny model with a random adapter, ten batches of rows of unequal length, and AdamW with everything on."""

    name: str
    shape: models.Shape
    rank: int
    lengths: tuple[tuple[int, ...], ...]
    grad_clip: float
    alpha: float = 16.0
    lr: float = 3e-3

    @property
    def adam(self) -> AdamSpec:
        return AdamSpec(0.9, 0.95, 1e-8, weight_decay=0.1, grad_clip=self.grad_clip)

    def lora(self) -> LoraSpec:
        return LoraSpec(tuple(self.shape.matrices()), rank=self.rank, alpha=self.alpha)

    def state(self) -> EngineState:
        """The adapter that the golden run starts from."""
        return EngineState(models.adapter(self.shape, self.rank))

    def batches(self) -> list[MicroBatch]:
        """One micro-batch per step."""
        n = len(self.lengths)
        return [models.batch(self.shape, self.lengths[i % n], f"step {i}") for i in range(N_STEP)]

    def golden(self) -> dict[str, np.ndarray]:
        """PyTorch's arrays (see make_golden.py)."""
        with np.load(Path(__file__).parent / f"{self.name}.npz") as file:
            return dict(file)


# Model w's frequencies are scaled for wavelengths from 16 on, so its rows are long enough to notice.
# grad_clip lies amid the norms, so some steps are clipped and some are not.
CASES = {
    case.name: case
    for case in (
        Case("s", models.MODELS["s"], 4, ((9, 21, 14), (33,), (1, 2, 30, 6)), 10.45),
        Case("tiny", models.MODELS["tiny"], 5, ((5, 12), (20,), (3, 3, 3)), 12.0),
        Case("w", models.MODELS["w"], 5, ((70, 11, 26), (50, 41), (5, 90)), 4.9),
    )
}
