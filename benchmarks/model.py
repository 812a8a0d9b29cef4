"""The models that are measured: known shapes, with random weights that are written in seconds.

A matrix is one block of TILE random rows, encoded once and repeated: no kernel's time depends on the values, and a
model of 7 billion weights neither takes minutes to quantise nor has to be in memory.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "tests"))

from golden import models  # noqa: E402
from golden.models import F32, Shape  # noqa: E402

TILE = 128
MAX_CHECKPOINT = 2e9  # weights of a shape that PEFT is asked to load in f32

SHAPES = {
    shape.name: shape
    for shape in (
        Shape("tiny-4m", 256, 512, 4, 8, 4, 4096, tied=False, n_ctx_train=2048),
        Shape("llama-30m", 512, 1536, 4, 8, 8, 32000, tied=True, n_ctx_train=2048),
        Shape("llama-110m", 768, 2048, 12, 12, 12, 32000, tied=True, n_ctx_train=2048),
        Shape("tinymistral-248m", 1024, 4096, 12, 32, 8, 32000, tied=False, n_ctx_train=2048),
        Shape("tinyllama-1.1b", 2048, 5632, 22, 32, 4, 32000, tied=False, n_ctx_train=2048),
        Shape("llama-7b", 4096, 11008, 32, 32, 32, 32000, tied=False, n_ctx_train=4096),
    )
}


def n_weight(shape: Shape) -> int:
    """Weights of the whole model."""
    return sum(int(np.prod(_size(shape, name))) for name in models.weight_names(shape))


def model_file(name: str, engine: str, mode: str) -> Path:
    """The base that a side reads: a GGUF in `mode` for the native engine, an f32 checkpoint for PEFT. Written once."""
    shape, folder = SHAPES[name], cache() / f"tiles-{TILE}" / name
    path = folder / f"{name}-{mode}.gguf" if engine == "native" else folder / "checkpoint"
    if not path.exists():
        if engine == "peft" and n_weight(shape) > MAX_CHECKPOINT:
            sys.exit(f"error: `{name}` is too large for a checkpoint in f32\n\nhint: leave PEFT's sides out")
        partial = folder / f"partial-{os.getpid()}"
        folder.mkdir(parents=True, exist_ok=True)
        (write_gguf(shape, partial, mode) if engine == "native" else write_checkpoint(shape, partial)).replace(path)
    return path


def cache() -> Path:
    """Where models and tokenized rows are kept."""
    from platformdirs import user_cache_path

    return Path(os.environ.get("LOCALFT_HOME") or user_cache_path("localft")) / "benchmarks"


def write_gguf(shape: Shape, path: Path, mode: str) -> Path:
    """The model in `mode` (f32, f16, bf16, q8_0, q4_k_m …), one tensor in memory at a time."""
    kinds = {name: tensor_type(shape, name, mode) for name in models.weight_names(shape)}
    writer = models.start_gguf(shape, path)
    for name, kind in kinds.items():
        size = _size(shape, name)
        n_bytes = int(np.prod(size[:-1])) * _row_bytes(size[-1], kind)
        writer.add_tensor_info(name, size, np.dtype(np.float32), n_bytes, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for name, kind in kinds.items():
        rows = encode(_tile(shape, name), kind)
        writer.write_tensor_data(np.resize(rows, (*_size(shape, name)[:-1], rows.shape[-1])))
    writer.close()
    return path


def write_checkpoint(shape: Shape, folder: Path) -> Path:
    """The same weights as a Hugging Face checkpoint in f32, one file per layer."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(models.config(shape), indent=2) + "\n", encoding="utf-8")
    weight_map = {}
    for number, names in enumerate(_files(shape)):
        file = f"model-{number:05}.safetensors"
        tensors = {models.hf_name(name): models.in_hf_order(shape, name, _weight(shape, name)) for name in names}
        save_file(tensors, folder / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(tensors, file)
    index = {"metadata": {"total_size": 4 * n_weight(shape)}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index) + "\n", encoding="utf-8")
    return folder


def tensor_type(shape: Shape, name: str, mode: str) -> gguf.GGMLQuantizationType:
    """The type of one tensor; q4_k_m and q5_k_m mix types as llama.cpp does for a llama model."""
    kinds = gguf.GGMLQuantizationType
    if name.endswith("norm.weight"):
        return kinds.F32
    if mode.removesuffix("_m").upper() not in kinds.__members__:
        sys.exit(f"error: there is no type `{mode}`\n\nhint: f32, f16, bf16, q8_0, q6_k, q5_k_m, q4_k_m, q4_0 …")
    if not mode.endswith("_k_m"):
        return kinds[mode.upper()]
    if name == "output.weight" or (name == "token_embd.weight" and shape.tied):
        return kinds.Q6_K
    if ("attn_v" in name or "ffn_down" in name) and _more_bits(int(name.split(".")[1]), shape.n_layer):
        return kinds.Q6_K
    return kinds[mode.removesuffix("_m").upper()]


def _more_bits(il: int, n_layer: int) -> bool:
    """llama.cpp's use_more_bits: the first and the last eighth of the layers, and every third between them."""
    return il < n_layer // 8 or il >= 7 * n_layer // 8 or (il - n_layer // 8) % 3 == 2


def encode(rows: F32, kind: gguf.GGMLQuantizationType) -> NDArray[np.uint8]:
    """Rows in a ggml type, by ggml's own quantizer: uint8 [n_row, bytes of a row]; one row for a vector."""
    from llama_cpp._ggml import libggml

    rows = np.ascontiguousarray(np.atleast_2d(rows))
    out = np.empty((rows.shape[0], _row_bytes(rows.shape[1], kind)), np.uint8)
    quantize = libggml.ggml_quantize_chunk
    quantize.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_int64] * 3, ctypes.c_void_p]
    quantize.restype = ctypes.c_size_t
    written = quantize(int(kind), rows.ctypes.data, out.ctypes.data, 0, *rows.shape, None)
    assert written == out.nbytes
    return out


def _row_bytes(n: int, kind: gguf.GGMLQuantizationType) -> int:
    block, size = gguf.GGML_QUANT_SIZES[kind]
    if n % block:
        sys.exit(f"error: rows of {n} values cannot be {kind.name.lower()}, whose blocks hold {block}")
    return n // block * size


def _files(shape: Shape) -> Iterator[list[str]]:
    names = list(models.weight_names(shape))
    for il in range(shape.n_layer):
        yield [name for name in names if name.startswith(f"blk.{il}.")]
    yield [name for name in names if not name.startswith("blk.")]


def _size(shape: Shape, name: str) -> tuple[int, ...]:
    if name.endswith("norm.weight"):
        return (shape.n_embd,)
    return (shape.n_vocab, shape.n_embd) if name == "token_embd.weight" else shape.matrices()[name]


def _tile(shape: Shape, name: str) -> F32:
    """The first rows of a weight in the GGUF's order, drawn as the models of the tests draw theirs; a whole vector."""
    size, key = _size(shape, name), f"{shape.name}/{name}"
    if len(size) == 1:
        return (1 + models.uniform(key, size, 0.2)).astype(np.float32)
    std = 1.5 if name == "token_embd.weight" else 1.0
    return models.uniform(key, (min(TILE, size[0]), size[1]), std * size[1] ** -0.5)


def _weight(shape: Shape, name: str) -> F32:
    return np.resize(_tile(shape, name), _size(shape, name))
