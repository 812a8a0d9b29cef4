"""Engines on tiny models, and how their numbers are compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from golden import models

from localft.data.batching.micro_batch import MicroBatch
from localft.engine import AdamSpec, EngineState, LoraSpec
from localft.engine.native import NativeEngine

KERNELS = ("avx512vnni", "avx512", "avx2", "generic")

# Widths that are no multiple of a vector, a tile or a block; heads of 8 and of 24; one model's depth passes the
# kernels' panel of 512 in every product.
HEAD8 = models.Shape("head8", 72, 172, 2, 9, 3, 97, tied=False)
HEAD24 = models.Shape("head24", 96, 100, 2, 4, 1, 131, tied=True)
DEEP = models.Shape("deep", 528, 600, 1, 11, 11, 531, tied=False)


def make(shape: models.Shape, path: Path, *, outtype: str = "f32", **options: Any) -> NativeEngine:
    """An engine with a random nonzero adapter on all of `shape`, its model written to `path` (a folder)."""
    return load(shape, models.write_gguf(shape, path, outtype), **options)


def load(
    shape: models.Shape,
    model: Path,
    *,
    rank: int = 4,
    dropout: float = 0.0,
    seed: int = 42,
    targets: Sequence[str] = (),
    adam: AdamSpec | None = None,
    n_threads: int = 1,
    **options: Any,
) -> NativeEngine:
    """`make` on a model that is there already; `targets` in place of every matrix."""
    names = tuple(targets) or tuple(shape.matrices())
    lora = LoraSpec(names, rank=rank, alpha=1.5 * rank, dropout=dropout, seed=seed)
    engine = NativeEngine(model, lora, adam or AdamSpec(), n_threads=n_threads, **options)
    full = models.adapter(shape, rank)
    engine.load_state(EngineState({name: full[name] for name in names}))
    return engine


def gradients(engine: NativeEngine) -> dict[str, np.ndarray]:
    """Both factors' gradients of every tensor, by "<tensor>/a" and "<tensor>/b"."""
    return {
        f"{name}/{factor}": values
        for name, pair in engine.gradients().items()
        for factor, values in zip("ab", pair, strict=True)
    }


def factors(engine: NativeEngine) -> dict[str, np.ndarray]:
    """Both factors of every tensor, likewise."""
    return {f"{name}/{factor}": getattr(t, factor) for name, t in engine.state().tensors.items() for factor in "ab"}


def relative(ours: np.ndarray, reference: np.ndarray) -> float:
    assert ours.shape == reference.shape
    """Relative error; absolute where the reference is all zero (the gradient of q and k under a single token)."""
    return float(np.linalg.norm(ours - reference) / (np.linalg.norm(reference) or 1.0))


def assert_close(ours: dict[str, np.ndarray], reference: dict[str, np.ndarray], tolerance: float) -> None:
    """Relative error of each array within `tolerance`."""
    assert list(ours) == list(reference)
    errors = {name: relative(ours[name], reference[name]) for name in ours}
    worst = max(errors, key=lambda name: errors[name])
    assert errors[worst] <= tolerance, (worst, errors[worst])


def assert_same_bits(ours: dict[str, np.ndarray], reference: dict[str, np.ndarray]) -> None:
    assert list(ours) == list(reference)
    for name, values in ours.items():
        assert values.tobytes() == reference[name].tobytes(), name


def join(batches: Sequence[MicroBatch]) -> MicroBatch:
    """The rows of several micro-batches in one."""
    starts = [np.zeros(1, np.int32)]
    for batch in batches:
        starts.append(starts[-1][-1] + batch.row_starts[1:])
    return MicroBatch(
        np.concatenate([b.tokens for b in batches]),
        np.concatenate([b.targets for b in batches]),
        np.concatenate([b.loss_mask for b in batches]),
        np.concatenate(starts).astype(np.int32),
    )
