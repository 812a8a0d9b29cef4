"""A deterministic engine without a model: every step depends on the batch, on the moments and on micro_step."""

from __future__ import annotations

import math

import numpy as np

from localft.data.batching.micro_batch import MicroBatch
from localft.engine import EngineState, LoraState, MicroResult

SHAPES = {"blk.0.attn_q.weight": (8, 6), "blk.1.ffn_down.weight": (6, 10)}


class FakeEngine:
    """Learns to push its factors towards values that depend on the tokens; "dropout" depends on micro_step."""

    def __init__(self, seed: int = 1, rank: int = 2, interrupt_at: int | None = None) -> None:
        rng = np.random.default_rng(seed)
        self.tensors = {
            name: LoraState(
                rng.normal(size=(rank, n_in)).astype(np.float32),
                np.zeros((n_out, rank), np.float32),
                *(np.zeros(shape, np.float32) for shape in ((rank, n_in), (rank, n_in), (n_out, rank), (n_out, rank))),
            )
            for name, (n_out, n_in) in SHAPES.items()
        }
        self.step = self.micro_step = 0
        self.interrupt_at = interrupt_at
        self.closed = False
        self.clear()

    def clear(self) -> None:
        self.sums = {name: (np.zeros_like(t.a), np.zeros_like(t.b)) for name, t in self.tensors.items()}
        self.n = 0

    def _target(self, batch: MicroBatch) -> float:
        return float((batch.targets * batch.loss_mask).sum() % 17) / 17

    def _loss(self, batch: MicroBatch, noise: float) -> float:
        target = self._target(batch) + noise
        return float(sum(((t.a - target) ** 2).mean() + ((t.b - target) ** 2).mean() for t in self.tensors.values()))

    def accumulate(self, batch: MicroBatch) -> MicroResult:
        noise = math.sin(self.micro_step) / 10
        self.micro_step += 1
        if self.interrupt_at == self.micro_step:
            self.interrupt_at = None
            raise KeyboardInterrupt
        n, target = batch.n_supervised, self._target(batch) + noise
        for name, t in self.tensors.items():
            a, b = self.sums[name]
            a += n * (t.a - target)
            b += n * (t.b - target)
        self.n += n
        return MicroResult(n * self._loss(batch, noise), n)

    def apply(self, lr: float) -> float:
        self.step += 1
        squares = 0.0
        for name, t in self.tensors.items():
            for value, m, v, total in zip((t.a, t.b), (t.a_m, t.b_m), (t.a_v, t.b_v), self.sums[name], strict=True):
                grad = total / self.n
                squares += float((grad**2).sum())
                m[:] = 0.9 * m + 0.1 * grad
                v[:] = 0.99 * v + 0.01 * grad**2
                value -= (lr * m / (np.sqrt(v) + 1e-8)).astype(np.float32)
        self.clear()
        return math.sqrt(squares)

    def evaluate(self, batch: MicroBatch) -> MicroResult:
        return MicroResult(batch.n_supervised * self._loss(batch, 0.0), batch.n_supervised)

    def state(self) -> EngineState:
        copies = {name: LoraState(*(array.copy() for array in t.__dict__.values())) for name, t in self.tensors.items()}
        return EngineState(copies, self.step, self.micro_step)

    def load_state(self, state: EngineState) -> None:
        self.tensors = {
            name: LoraState(*(array.copy() for array in t.__dict__.values())) for name, t in state.tensors.items()
        }
        self.step, self.micro_step = state.step, state.micro_step
        self.clear()

    def peak_mem_bytes(self) -> dict[str, int]:
        return {"rss": 1000, "GPU": 24}

    def close(self) -> None:
        self.closed = True


def batch(*lengths: int, first: int = 1) -> MicroBatch:
    """Rows of these lengths with running token ids; the last half of each row is supervised."""
    n_tok = sum(lengths)
    tokens = np.arange(first, first + n_tok, dtype=np.int32)
    mask = np.concatenate([(np.arange(n) >= n // 2).astype(np.uint8) for n in lengths])
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return MicroBatch(tokens, tokens + 1, mask, starts)


class FakePlan:
    """Steps of one to three micro-batches that differ in every epoch."""

    steps_per_epoch = 4

    def step(self, epoch: int, index: int) -> list[MicroBatch]:
        return [batch(3 + index, 4, first=1 + epoch * 7 + index * 3 + i) for i in range(1 + index % 3)]
