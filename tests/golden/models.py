"""Tiny llama models with random weights, written from one seed as a GGUF and as a Hugging Face checkpoint.

    build("s", tmp_path)                       tmp_path/s-f32.gguf
    build("w", tmp_path, "q4_k_m")             tmp_path/w-q4_k_m.gguf
    build_checkpoint("w", tmp_path / "hf")     config.json and model.safetensors of the same weights

Only integers and exact scalings make the numbers, so they are the same on every machine and NumPy.
"""

from __future__ import annotations

import ctypes
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

from localft.engine import LoraState, MicroBatch

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
    code = llama_cpp.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(params))
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
