"""The job that is measured: a model of a known shape with random weights, and batches of random tokens."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "tests"))

from golden import models  # noqa: E402

from localft.engine import AdamSpec, LoraSpec, MicroBatch  # noqa: E402

SHAPES = {
    shape.name: shape
    for shape in (
        models.Shape("tinymistral-248m", 1024, 4096, 12, 32, 8, 32000, tied=False, n_ctx_train=2048),
        models.Shape("tiny-4m", 256, 512, 4, 8, 4, 4096, tied=False, n_ctx_train=2048),
    )
}


@dataclass(frozen=True)
class Job:
    """What both sides do in every step: `n_row` sequences of `n_ctx` tokens, all supervised, and one update."""

    shape: str = "tinymistral-248m"
    n_row: int = 4
    n_ctx: int = 512
    rank: int = 8
    alpha: float = 16.0
    lr: float = 2e-4

    @property
    def n_tok(self) -> int:
        return self.n_row * self.n_ctx

    def lora(self) -> LoraSpec:
        """Seven matrices of every layer, not the output."""
        names = tuple(name for name in SHAPES[self.shape].matrices() if name.startswith("blk."))
        return LoraSpec(names, rank=self.rank, alpha=self.alpha)

    def adam(self) -> AdamSpec:
        return AdamSpec(grad_clip=1.0)

    def step(self, index: int, rows_per_pass: int) -> list[MicroBatch]:
        """The micro-batches of step `index`; the same tokens however they are grouped."""
        tokens = np.random.RandomState(index).randint(3, SHAPES[self.shape].n_vocab, self.n_tok + 1).astype(np.int32)
        out = []
        for first in range(0, self.n_row, rows_per_pass):
            n_row = min(rows_per_pass, self.n_row - first)
            part = slice(first * self.n_ctx, (first + n_row) * self.n_ctx)
            starts = np.arange(n_row + 1, dtype=np.int32) * self.n_ctx
            mask = np.ones(n_row * self.n_ctx, np.uint8)
            out.append(MicroBatch(tokens[part], tokens[1:][part], mask, starts))
        return out


def model_file(shape: str, engine: str, mode: str) -> Path:
    """The base that a side reads: a GGUF in `mode` for the native engine, an f32 checkpoint for PEFT. Written once."""
    folder = _cache() / "benchmarks" / shape
    if engine == "native":
        return _gguf(shape, folder / f"{shape}-{mode}.gguf", mode)
    checkpoint = folder / "checkpoint"
    if not (checkpoint / "model.safetensors").exists():
        models.write_checkpoint(SHAPES[shape], checkpoint)
    return checkpoint


def _gguf(shape: str, path: Path, mode: str) -> Path:
    if not path.exists():
        partial = path.with_suffix(".partial.gguf")
        models.write_gguf(SHAPES[shape], partial, mode).replace(path)
    return path


def _cache() -> Path:
    from platformdirs import user_cache_path

    return Path(os.environ.get("LOCALFT_HOME") or user_cache_path("localft"))
