"""A stand-in for a model that is not on this machine: a GGUF of its shape with random weights, to measure with."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from gguf import TokenType
from gguf.constants import GGMLQuantizationType
from numpy.typing import NDArray

from localft.card import Shape
from localft.conversion.check import llama_shapes
from localft.conversion.hparams import ARCHITECTURES, Hparams
from localft.conversion.quantize import OutType, quantize_gguf
from localft.conversion.specials import Vocabulary
from localft.conversion.weights import PlannedTensor, type_for
from localft.conversion.write import Progress, write_gguf

N_CTX_TRAIN = 2048
_PERIOD = 65_521  # a prime: no two rows of a matrix are alike, and few numbers have to be drawn


def write_stand_in(shape: Shape, path: Path, outtype: OutType, progress: Progress | None = None) -> None:
    """Write a llama model of `shape` to `path`, in place (give a temporary path). Its tokens mean nothing.

    Raises:
        ModelError: llama.cpp cannot quantise to `outtype`.
    """
    hparams, vocabulary, general = _hparams(shape), _vocabulary(shape.n_vocab), {"general.name": "stand-in"}
    main = outtype.main if outtype.direct else GGMLQuantizationType.BF16
    first = path if outtype.direct else path.with_suffix(".bf16.gguf")
    write_gguf(first, hparams, vocabulary, list(_tensors(hparams, main)), outtype, general, progress)
    if not outtype.direct:
        quantize_gguf(first, path, outtype, progress)
        first.unlink()


def _hparams(shape: Shape) -> Hparams:
    return Hparams(
        architecture=ARCHITECTURES["LlamaForCausalLM"],
        n_vocab=shape.n_vocab,
        n_embd=shape.n_embd,
        n_layer=shape.n_layer,
        n_head=shape.n_head,
        n_head_kv=shape.n_head_kv,
        n_ff=shape.n_ff,
        n_embd_head=shape.n_embd // shape.n_head,
        n_ctx_train=N_CTX_TRAIN,
        rms_eps=1e-5,
        rope_freq_base=10000.0,
        rope_scaling=None,
        tied=shape.tied,
        window=None,
    )


def _vocabulary(n_vocab: int) -> Vocabulary:
    special = [("<unk>", TokenType.UNKNOWN), ("<s>", TokenType.CONTROL), ("</s>", TokenType.CONTROL)]
    bytes_ = [(f"<0x{byte:02X}>", TokenType.BYTE) for byte in range(256)]
    words = [(f"word{i}", TokenType.NORMAL) for i in range(n_vocab)]
    tokens, kinds = zip(*(*special, *bytes_, *words)[:n_vocab], strict=True)
    scores = tuple(-float(i) for i in range(n_vocab))
    special_ids = {"unk": 0, "bos": 1, "eos": 2}
    return Vocabulary("llama", "default", tokens, kinds, scores, None, special_ids, add_bos=True)


def _tensors(h: Hparams, kind: GGMLQuantizationType) -> Iterator[PlannedTensor]:
    n_q, n_kv = h.n_head * h.n_embd_head, h.n_head_kv * h.n_embd_head
    shapes = llama_shapes(h.n_vocab, h.n_embd, h.n_layer, n_q, n_kv, h.n_ff)
    if not h.tied:
        shapes["output.weight"] = shapes["token_embd.weight"]
    drawn = np.random.default_rng(0).uniform(-1, 1, _PERIOD).astype(np.float32)
    for name, ne in shapes.items():
        yield _tensor(name, ne[::-1], kind, drawn)


def _tensor(name: str, shape: tuple[int, ...], kind: GGMLQuantizationType, drawn: NDArray[np.float32]) -> PlannedTensor:
    """A norm of ones, or a matrix that keeps the size of what it multiplies."""

    def load() -> NDArray[np.float32]:
        if len(shape) == 1:
            return np.ones(shape, np.float32)
        return np.resize(drawn * np.float32(math.sqrt(3 / shape[-1])), shape)

    return PlannedTensor(name, shape, type_for(shape, kind), load)
