"""A stand-in for a model that is not on this machine: a GGUF of its shape with random weights, to measure with.

A matrix is one block of TILE random rows, quantised once and repeated: no kernel's time depends on the values, and a
model of 7 billion weights takes neither minutes to quantise nor much memory.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import asdict
from pathlib import Path

import numpy as np
from gguf import TokenType
from gguf.constants import GGMLQuantizationType
from numpy.typing import NDArray

from localft.files import temporary_folder
from localft.model.card import Shape
from localft.model.conversion.gguf_writer import write_gguf
from localft.model.conversion.hparams import ARCHITECTURES, Hparams
from localft.model.conversion.outtype import OUTTYPES, OutType
from localft.model.conversion.quantize import quantize_gguf
from localft.model.conversion.tokenizer_config import Vocabulary
from localft.model.conversion.weights import PlannedTensor, encode, type_for
from localft.model.gguf.header import read_header
from localft.report import Report

F32 = NDArray[np.float32]
TILE = 32


def write_stand_in(shape: Shape, path: Path, outtype: OutType, progress: Report | None = None) -> None:
    """Write a llama model of `shape` to `path`, in place (give a temporary path). Its tokens mean nothing.

    Each tensor has the type that conversion would give it: llama.cpp's quantizer, where it is the one that chooses,
    sees all but the repetition.

    Raises:
        ModelError: llama.cpp cannot quantise to `outtype`.
    """
    hparams, vocabulary, general = stand_in_hparams(shape), _vocabulary(shape.n_vocab), {"general.name": "stand-in"}
    first = outtype if outtype.direct else OUTTYPES["f32"]
    with temporary_folder(path) as folder:
        tiles = folder / "tiles.gguf"
        write_gguf(tiles, hparams, vocabulary, _tiles(hparams, first.main), first, general)
        if not outtype.direct:
            quantised = folder / "quantised.gguf"
            quantize_gguf(tiles, quantised, outtype, progress)
            tiles = quantised
        write_gguf(path, hparams, vocabulary, _repeated(hparams, tiles), outtype, general, progress)


def stand_in_hparams(shape: Shape) -> Hparams:
    """The sizes of a stand-in of `shape`."""
    return Hparams(
        **asdict(shape),
        architecture=ARCHITECTURES["LlamaForCausalLM"],
        n_embd_head=shape.n_embd // shape.n_head,
        n_ctx_train=2048,
        rms_eps=1e-5,
        rope_freq_base=10000.0,
    )


def stand_in_weight(name: str, size: tuple[int, ...]) -> F32:
    """The weight `name` of a stand-in, of `size` (rows first), before it is quantised."""
    return np.resize(_draw(name, size), size)


def _draw(name: str, size: tuple[int, ...]) -> F32:
    """A norm of about 1, or the first rows of a matrix that keeps the size of what it multiplies."""
    stream = np.random.default_rng(zlib.crc32(name.encode()))
    if len(size) == 1:
        return stream.uniform(0.7, 1.3, size).astype(np.float32)
    drawn: F32 = stream.random(_tile_size(size), np.float32)
    return (2 * drawn - 1) * np.float32(math.sqrt(3 / size[1]))


def _tile_size(size: tuple[int, ...]) -> tuple[int, ...]:
    return size if len(size) == 1 else (min(TILE, size[0]), size[1])


def _vocabulary(n_vocab: int) -> Vocabulary:
    special = [("<unk>", TokenType.UNKNOWN), ("<s>", TokenType.CONTROL), ("</s>", TokenType.CONTROL)]
    bytes_ = [(f"<0x{byte:02X}>", TokenType.BYTE) for byte in range(256)]
    words = [(f"word{i}", TokenType.NORMAL) for i in range(n_vocab)]
    tokens, kinds = zip(*(*special, *bytes_, *words)[:n_vocab], strict=True)
    scores = tuple(-float(i) for i in range(n_vocab))
    special_ids = {"unk": 0, "bos": 1, "eos": 2}
    return Vocabulary("llama", "default", tokens, kinds, scores, None, special_ids, add_bos=True)


def _tiles(hparams: Hparams, kind: GGMLQuantizationType) -> list[PlannedTensor]:
    """The first rows of every weight, drawn when they are written."""

    def plan(name: str, size: tuple[int, ...]) -> PlannedTensor:
        stored_as = type_for(size, kind)
        return PlannedTensor(name, _tile_size(size), stored_as, lambda: encode(name, _draw(name, size), stored_as))

    return [plan(name, size) for name, size in hparams.weight_shapes().items()]


def _repeated(hparams: Hparams, tiles: Path) -> list[PlannedTensor]:
    """Every weight, whole, of the rows that the file `tiles` holds."""
    header, data = read_header(tiles), np.memmap(tiles, np.uint8, "r")

    def plan(name: str, size: tuple[int, ...]) -> PlannedTensor:
        info = header.tensors[name]
        start = header.data_start + info.offset
        rows, n_bytes = data[start : start + info.n_bytes], math.prod(size) * info.n_bytes // math.prod(info.ne)
        return PlannedTensor(name, size, info.type, lambda: np.resize(rows, n_bytes))

    return [plan(name, size) for name, size in hparams.weight_shapes().items()]
