"""Adapter files for tests: sound ones to begin with, and when two of them are the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
from tiny_llama import SHAPES

from localft.adapter import Adapter

Q = "blk.0.attn_q.weight"


class raw_adapter:  # noqa: N801
    """A GGUF that starts as a sound adapter's; what is added in the block decides what is wrong with it."""

    def __init__(self, path: Path, architecture: str = "llama", **changes: Callable[[gguf.GGUFWriter], None] | None):
        self.writer = gguf.GGUFWriter(path, architecture)
        defaults = {
            "type": lambda w: w.add_type("adapter"),
            "lora": lambda w: w.add_string("adapter.type", "lora"),
            "alpha": lambda w: w.add_float32("adapter.lora.alpha", 8.0),
        }
        for add in {**defaults, **changes}.values():
            if add:
                add(self.writer)

    def __enter__(self) -> gguf.GGUFWriter:
        return self.writer

    def __exit__(self, *_: object) -> None:
        self.writer.write_header_to_file()
        self.writer.write_kv_data_to_file()
        self.writer.write_tensors_to_file()
        self.writer.close()


def factors(writer: gguf.GGUFWriter, name: str = Q, shape: tuple[int, int] = SHAPES["attn_q"], rank: int = 4) -> None:
    writer.add_tensor(f"{name}.lora_a", np.ones((rank, shape[1]), np.float32))
    writer.add_tensor(f"{name}.lora_b", np.ones((shape[0], rank), np.float32))


def same(one: Adapter, other: Adapter) -> bool:
    return list(one.tensors) == list(other.tensors) and all(
        np.array_equal(x, y)
        for name in one.tensors
        for x, y in zip(one.tensors[name], other.tensors[name], strict=True)
    )
