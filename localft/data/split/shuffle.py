"""A random order that depends on nothing but its seeds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def shuffled(n: int, *seed: int) -> NDArray[np.intp]:
    """A permutation of n that depends on nothing but the seeds (integers of any sign; 0 is a seed)."""
    generator = np.random.Generator(np.random.PCG64([value % 2**64 for value in seed]))
    return np.argsort(generator.random(n), kind="stable")
