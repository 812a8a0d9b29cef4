"""The learning rate of each step, as a pure function."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """lr(step) with linear warm-up, then constant, linear or cosine down to `min_lr`.

    Steps count from 0, and `step` is the update that is about to be made. In the warm-up lr is
    peak · (step + 1) / warmup_steps, so that no update is wasted on lr 0. After it, with
    t = (step − warmup_steps) / (total_steps − warmup_steps) in [0, 1):
    linear is min_lr + (peak − min_lr)(1 − t), cosine is min_lr + (peak − min_lr)(1 + cos πt) / 2.

    Attributes:
        kind: "constant", "linear" or "cosine".
        peak: the learning rate at the top.
        total_steps, warmup_steps: in optimizer updates.
    """

    kind: str
    peak: float
    total_steps: int
    warmup_steps: int = 0
    min_lr: float = 0.0

    def __call__(self, step: int) -> float:
        if step < self.warmup_steps:
            return self.peak * (step + 1) / self.warmup_steps
        span = max(1, self.total_steps - self.warmup_steps)
        done = min(1.0, (step - self.warmup_steps) / span)
        return self.min_lr + (self.peak - self.min_lr) * _SHAPES[self.kind](done)


_SHAPES: dict[str, Callable[[float], float]] = {
    "constant": lambda done: 1.0,
    "linear": lambda done: 1.0 - done,
    "cosine": lambda done: (1.0 + math.cos(math.pi * done)) / 2,
}


def warmup_steps(warmup: float, total_steps: int) -> int:
    """Steps of warm-up: `warmup` below 1 is a share of `total_steps` (rounded up), from 1 on a number of steps."""
    steps = math.ceil(warmup * total_steps - 1e-9) if warmup < 1 else round(warmup)
    return min(steps, total_steps)
