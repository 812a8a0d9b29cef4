"""The adapter that a run starts from, the same for every engine."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping

import numpy as np

from localft.engine.protocol import EngineState, LoraSpec, LoraState


def initial_state(spec: LoraSpec, shapes: Mapping[str, tuple[int, int]]) -> EngineState:
    """Draw A as PEFT does (kaiming uniform with a = √5: uniform within ±1/√n_in) and set B to zero.

    Each tensor has a generator of its own, keyed by the run's seed and the tensor's name, so that the draw of one
    does not depend on which others are adapted.

    Args:
        spec: rank, seed and target tensors.
        shapes: (n_out, n_in) by tensor name.
    """
    tensors = {}
    for name in spec.target_tensors:
        n_out, n_in = shapes[name]
        key = np.array([spec.seed % 2**64, zlib.crc32(name.encode())], dtype=np.uint64)
        bound = 1 / math.sqrt(n_in)
        draw = np.random.Generator(np.random.Philox(key=key)).random((spec.rank, n_in), dtype=np.float32)
        a = (2 * bound * draw - bound).astype(np.float32)
        tensors[name] = LoraState(a=a, b=np.zeros((n_out, spec.rank), np.float32))
    return EngineState(tensors=tensors)
