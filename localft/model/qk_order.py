"""The order of the rows of Q and K: two halves per head at Hugging Face, pairs of neighbours in the GGUF.

Hugging Face's RoPE turns row i of a head with row i + n/2; llama.cpp's (mode 0) turns 2i with 2i + 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]


def to_gguf(rows: F32, n_head: int) -> F32:
    """Rows [n_head · n_embd_head, n] from Hugging Face's order to the GGUF's; n_head 0 = leave them."""
    return rows if n_head == 0 or rows.size == 0 else _swapped(rows, (n_head, 2, -1, rows.shape[1]))


def to_hf(rows: F32, n_head: int) -> F32:
    """The inverse of `to_gguf`."""
    return rows if n_head == 0 or rows.size == 0 else _swapped(rows, (n_head, -1, 2, rows.shape[1]))


def _swapped(rows: F32, split: tuple[int, ...]) -> F32:
    swapped: F32 = np.ascontiguousarray(rows.reshape(split).swapaxes(1, 2)).reshape(rows.shape)
    return swapped
