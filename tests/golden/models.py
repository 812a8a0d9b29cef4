"""Tiny llama models with random weights, written from one seed as a GGUF and as a Hugging Face checkpoint.

build("s", tmp_path)                       tmp_path/s-f32.gguf
build("w", tmp_path, "q4_k_m")             tmp_path/w-q4_k_m.gguf
build_checkpoint("w", tmp_path / "hf")     config.json and model.safetensors of the same weights
"""

from __future__ import annotations

import ctypes
import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from golden.weights import (
    F32,
    LAYER_MATRICES,
    MODELS,
    Shape,
    adapter,
    batch,
    heads_of,
    hf_name,
    in_gguf_order,
    in_hf_order,
    permute,
    uniform,
    unpermute,
    weight,
    weight_names,
)

__all__ = [
    "F32",
    "LAYER_MATRICES",
    "MODELS",
    "Shape",
    "adapter",
    "batch",
    "build",
    "build_checkpoint",
    "heads_of",
    "hf_name",
    "in_gguf_order",
    "in_hf_order",
    "permute",
    "twins",
    "uniform",
    "unpermute",
    "weight",
    "weight_names",
    "write_checkpoint",
    "write_gguf",
]

_WRITTEN = {
    "f32": gguf.GGMLQuantizationType.F32,
    "f16": gguf.GGMLQuantizationType.F16,
    "bf16": gguf.GGMLQuantizationType.BF16,
    "q8_0": gguf.GGMLQuantizationType.Q8_0,
    "q4_0": gguf.GGMLQuantizationType.Q4_0,
    "q4_1": gguf.GGMLQuantizationType.Q4_1,
    "q5_0": gguf.GGMLQuantizationType.Q5_0,
    "q5_1": gguf.GGMLQuantizationType.Q5_1,
}
_QUANTIZED = {
    "q2_k": "LLAMA_FTYPE_MOSTLY_Q2_K",
    "q3_k_m": "LLAMA_FTYPE_MOSTLY_Q3_K_M",
    "q4_k_m": "LLAMA_FTYPE_MOSTLY_Q4_K_M",
    "q5_k_m": "LLAMA_FTYPE_MOSTLY_Q5_K_M",
    "q6_k": "LLAMA_FTYPE_MOSTLY_Q6_K",
}


def build(name: str, path: Path, outtype: str = "f32", chat_template: str | None = None) -> Path:
    """Write model `name` as a GGUF that llama.cpp loads.

    Args:
        name: a key of MODELS.
        path: the file to write, or a folder, which gets `<name>-<outtype>.gguf`.
        outtype: f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1, q2_k, q3_k_m, q4_k_m, q5_k_m or q6_k. Rows that a
            block type cannot hold are f16 (model w has none).
        chat_template: a Jinja template for `tokenizer.chat_template`.
    """
    return write_gguf(MODELS[name], path, outtype, chat_template)


def write_gguf(
    shape: Shape,
    path: Path,
    outtype: str = "f32",
    chat_template: str | None = None,
    weights: dict[str, F32] | None = None,
) -> Path:
    """`build` for a shape of your own; `weights` (GGUF names and row order) in place of the random ones."""
    path = path if path.suffix == ".gguf" else path / f"{shape.name}-{outtype}.gguf"
    path.parent.mkdir(parents=True, exist_ok=True)
    if outtype in _QUANTIZED:
        return _quantize(write_gguf(shape, path.with_suffix(".f32.gguf"), "f32", chat_template), path, outtype)
    writer = gguf.GGUFWriter(path, "llama")
    _add_metadata(writer, shape)
    _add_vocabulary(writer, shape, chat_template)
    for name in weight_names(shape):
        data = weights[name] if weights else in_gguf_order(shape, name, weight(shape, name))
        _add_tensor(writer, name, data, _WRITTEN[outtype])
    if shape.llama3_scaling:
        writer.add_tensor("rope_freqs.weight", llama3_factors(shape))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def llama3_factors(shape: Shape) -> F32:
    """What each rotary frequency is divided by (the RoPE scaling of Llama 3.1), f32 [n_rot / 2]."""
    assert shape.llama3_scaling
    factor, low, high, n_ctx = shape.llama3_scaling
    exponent = np.arange(0, shape.n_embd_head, 2, dtype=np.float64) / shape.n_embd_head
    wave_length = 2 * np.pi * shape.rope_base**exponent
    smooth = np.clip((n_ctx / wave_length - low) / (high - low), 0, 1)
    return (1 / ((1 - smooth) / factor + smooth)).astype(np.float32)


def _add_tensor(writer: gguf.GGUFWriter, name: str, data: F32, kind: gguf.GGMLQuantizationType) -> None:
    if data.ndim == 1:
        kind = gguf.GGMLQuantizationType.F32
    elif data.shape[-1] % gguf.GGML_QUANT_SIZES[kind][0]:
        kind = gguf.GGMLQuantizationType.F16
    writer.add_tensor(name, gguf.quants.quantize(data, kind), raw_dtype=kind)


def _add_metadata(writer: gguf.GGUFWriter, shape: Shape) -> None:
    writer.add_name(f"tiny {shape.name}")
    writer.add_context_length(shape.n_ctx_train)
    writer.add_embedding_length(shape.n_embd)
    writer.add_block_count(shape.n_layer)
    writer.add_feed_forward_length(shape.n_ff)
    writer.add_head_count(shape.n_head)
    writer.add_head_count_kv(shape.n_head_kv)
    writer.add_layer_norm_rms_eps(shape.eps)
    writer.add_rope_dimension_count(shape.n_embd_head)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_vocab_size(shape.n_vocab)


def vocabulary(n_vocab: int) -> list[tuple[str, int]]:
    """(piece, GGUF token type) of a minimal sentencepiece vocabulary: letters first, then digits and a few words."""
    kinds = gguf.TokenType
    special = [("<unk>", kinds.UNKNOWN), ("<s>", kinds.CONTROL), ("</s>", kinds.CONTROL), ("<0x0A>", kinds.BYTE)]
    letters = [*"▁abcdefghijklmnopqrstuvwxyz.,?!", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789'-:;\""]
    words = ["th", "▁th", "▁the", "in", "▁a", "er", "an", "re", "on", "he", "▁w", "ed", "▁s", "at", "en", "▁o"]
    filler = [f"word{i}" for i in range(n_vocab)]
    return [*special, *((piece, kinds.NORMAL) for piece in (*letters, *words, *filler))][:n_vocab]


def _add_vocabulary(writer: gguf.GGUFWriter, shape: Shape, chat_template: str | None) -> None:
    pieces = vocabulary(shape.n_vocab)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([piece for piece, _ in pieces])
    writer.add_token_scores([-float(i) for i in range(len(pieces))])
    writer.add_token_types([kind for _, kind in pieces])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    if chat_template:
        writer.add_chat_template(chat_template)


def _quantize(source: Path, target: Path, outtype: str) -> Path:
    import llama_cpp

    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = getattr(llama_cpp, _QUANTIZED[outtype])
    params.nthread = 2
    # The binding's own listener decodes lines that llama.cpp cuts in the middle of a character.
    silent = llama_cpp.llama_log_callback(lambda level, text, data: None)
    llama_cpp.llama_log_set(silent, ctypes.c_void_p(0))
    try:
        code = llama_cpp.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(params))
    finally:
        llama_cpp.llama_log_set(llama_cpp._logger.llama_log_callback, ctypes.c_void_p(0))
    source.unlink()
    if code:
        raise RuntimeError(f"llama_model_quantize returned {code} for {outtype}")
    return target


def config(shape: Shape) -> dict[str, Any]:
    """config.json as transformers writes it."""
    rope: dict[str, Any] = {"rope_theta": shape.rope_base, "rope_type": "default"}
    if shape.llama3_scaling:
        names = ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings")
        rope |= {"rope_type": "llama3", **dict(zip(names, shape.llama3_scaling, strict=True))}
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": shape.n_embd,
        "intermediate_size": shape.n_ff,
        "num_hidden_layers": shape.n_layer,
        "num_attention_heads": shape.n_head,
        "num_key_value_heads": shape.n_head_kv,
        "vocab_size": shape.n_vocab,
        "max_position_embeddings": shape.n_ctx_train,
        "rms_norm_eps": shape.eps,
        "rope_parameters": rope,
        "tie_word_embeddings": shape.tied,
        "hidden_act": "silu",
        "bos_token_id": 1,
        "eos_token_id": 2,
        "dtype": "float32",
    }


def build_checkpoint(name: str, folder: Path) -> Path:
    """Write model `name` as a Hugging Face checkpoint (config.json, model.safetensors; no tokenizer)."""
    return write_checkpoint(MODELS[name], folder)


def write_checkpoint(shape: Shape, folder: Path) -> Path:
    """`build_checkpoint` for a shape of your own."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config(shape), indent=2) + "\n", encoding="utf-8")
    tensors = {hf_name(name): weight(shape, name) for name in weight_names(shape)}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def twins(shape: Shape, source: Path, folder: Path) -> tuple[Path, Path]:
    """What a quantised GGUF of `shape` really holds, in f32: as a GGUF and as a checkpoint folder.

    A faster mode is measured against these, so that the error of its arithmetic is apart from that of its storage.
    """
    from safetensors.numpy import save_file

    stored = {t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in gguf.GGUFReader(source).tensors}
    checkpoint = write_checkpoint(shape, folder / "twin")
    tensors = {hf_name(name): in_hf_order(shape, name, stored[name]) for name in weight_names(shape)}
    save_file(tensors, checkpoint / "model.safetensors", metadata={"format": "pt"})
    return write_gguf(shape, folder / "twin-f32.gguf", weights=stored), checkpoint
