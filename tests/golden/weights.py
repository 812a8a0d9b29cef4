"""Shapes, weights, adapters and batches of the tiny models, drawn so that they are the same everywhere.

Only integers and exact scalings make the numbers: neither the machine nor NumPy's version changes them.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from localft.data.batching.micro_batch import MicroBatch
from localft.engine import LoraState

F32 = NDArray[np.float32]
LAYER_MATRICES = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
_HF_NAMES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}


@dataclass(frozen=True)
class Shape:
    """One model's dimensions. `llama3_scaling` is (factor, low_freq_factor, high_freq_factor, original n_ctx_train)."""

    name: str
    n_embd: int
    n_ff: int
    n_layer: int
    n_head: int
    n_head_kv: int
    n_vocab: int
    tied: bool
    n_ctx_train: int = 256
    rope_base: float = 10000.0
    eps: float = 1e-5
    llama3_scaling: tuple[float, float, float, int] | None = None

    @property
    def n_embd_head(self) -> int:
        return self.n_embd // self.n_head

    def matrices(self) -> dict[str, tuple[int, int]]:
        """(n_out, n_in) of every matrix that can carry LoRA, in the model's order."""
        n_kv = self.n_head_kv * self.n_embd_head
        sides = {
            "attn_q": (self.n_embd, self.n_embd),
            "attn_k": (n_kv, self.n_embd),
            "attn_v": (n_kv, self.n_embd),
            "attn_output": (self.n_embd, self.n_embd),
            "ffn_gate": (self.n_ff, self.n_embd),
            "ffn_up": (self.n_ff, self.n_embd),
            "ffn_down": (self.n_embd, self.n_ff),
        }
        out = {f"blk.{il}.{name}.weight": sides[name] for il in range(self.n_layer) for name in LAYER_MATRICES}
        return out if self.tied else {**out, "output.weight": (self.n_vocab, self.n_embd)}


MODELS = {
    shape.name: shape
    for shape in (
        # s: odd widths, tied; one head is 16 wide. w: every quantised type is real, untied, RoPE of Llama 3.
        Shape("s", 64, 172, 3, 4, 2, 96, tied=True),
        Shape("w", 256, 512, 2, 4, 2, 128, tied=False, rope_base=500000.0, llama3_scaling=(8.0, 1.0, 4.0, 64)),
        Shape("tiny", 32, 48, 2, 2, 1, 40, tied=True, n_ctx_train=64),
    )
}


def uniform(key: str, shape: tuple[int, ...], std: float) -> F32:
    """Uniform numbers of mean 0 and standard deviation `std`, drawn from a stream of `key`'s own."""
    stream = np.random.RandomState(zlib.crc32(key.encode()))
    return ((stream.random_sample(shape) - 0.5) * (12**0.5 * std)).astype(np.float32)


def weight(shape: Shape, name: str) -> F32:
    """The weight called `name` (GGUF names) in Hugging Face's row order, f32."""
    key = f"{shape.name}/{name}"
    if name.endswith("norm.weight"):
        return (1 + uniform(key, (shape.n_embd,), 0.2)).astype(np.float32)
    if name == "token_embd.weight":
        return uniform(key, (shape.n_vocab, shape.n_embd), 1.5 * shape.n_embd**-0.5)
    n_out, n_in = shape.matrices()[name]
    return uniform(key, (n_out, n_in), n_in**-0.5)


def weight_names(shape: Shape) -> Iterator[str]:
    """Every weight's GGUF name, in the model's order."""
    yield "token_embd.weight"
    for il in range(shape.n_layer):
        yield from (f"blk.{il}.{name}.weight" for name in ("attn_norm", *LAYER_MATRICES[:4]))
        yield from (f"blk.{il}.{name}.weight" for name in ("ffn_norm", *LAYER_MATRICES[4:]))
    yield "output_norm.weight"
    if not shape.tied:
        yield "output.weight"


def hf_name(name: str) -> str:
    """The Hugging Face name of a GGUF weight."""
    fixed = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
    stem = name.removesuffix(".weight")
    if stem in fixed:
        return f"{fixed[stem]}.weight"
    _, il, part = stem.split(".")
    return f"model.layers.{il}.{_HF_NAMES[part]}.weight"


def permute(rows: F32, n_head: int) -> F32:
    """Hugging Face's row order of Q or K (halves) to the GGUF's (pairs)."""
    split = rows.reshape(n_head, 2, rows.shape[0] // n_head // 2, *rows.shape[1:])
    return np.ascontiguousarray(split.swapaxes(1, 2)).reshape(rows.shape)


def unpermute(rows: F32, n_head: int) -> F32:
    """The GGUF's row order of Q or K (pairs) to Hugging Face's (halves)."""
    split = rows.reshape(n_head, rows.shape[0] // n_head // 2, 2, *rows.shape[1:])
    return np.ascontiguousarray(split.swapaxes(1, 2)).reshape(rows.shape)


def heads_of(shape: Shape, name: str) -> int:
    """How many heads the rows of `name` are permuted in; 0 where they are not."""
    return shape.n_head if "attn_q." in name else shape.n_head_kv if "attn_k." in name else 0


def in_gguf_order(shape: Shape, name: str, rows: F32) -> F32:
    """Rows of a weight or of B, from Hugging Face's order to the GGUF's."""
    n_head = heads_of(shape, name)
    return permute(rows, n_head) if n_head else rows


def in_hf_order(shape: Shape, name: str, rows: F32) -> F32:
    """Rows of a weight or of B, from the GGUF's order to Hugging Face's."""
    n_head = heads_of(shape, name)
    return unpermute(rows, n_head) if n_head else rows


def adapter(shape: Shape, rank: int, key: str = "adapter") -> dict[str, LoraState]:
    """A random nonzero adapter on every matrix, B as strong as a trained one, in the GGUF's row order."""
    return {
        name: LoraState(
            a=uniform(f"{key}/{name}/a", (rank, n_in), n_in**-0.5),
            b=uniform(f"{key}/{name}/b", (n_out, rank), 0.05),
        )
        for name, (n_out, n_in) in shape.matrices().items()
    }


def batch(shape: Shape, lengths: tuple[int, ...], key: str = "batch") -> MicroBatch:
    """Rows of random tokens, about two thirds of the targets supervised; a row's first target never is."""
    n_tok = sum(lengths)
    stream = np.random.RandomState(zlib.crc32(f"{shape.name}/{key}/{lengths}".encode()))
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    tokens = stream.randint(3, shape.n_vocab, n_tok).astype(np.int32)
    targets = np.roll(tokens, -1)
    targets[starts[1:] - 1] = 2
    loss_mask = (stream.random_sample(n_tok) < 2 / 3).astype(np.uint8)
    loss_mask[starts[:-1]] = 0
    loss_mask[n_tok - 1] = 1
    return MicroBatch(tokens, targets, loss_mask, starts)
