"""Tiny whole GGUFs of several architectures and vocabularies, and seeded mutations of what they say.

`whole_files` gives files that load; `mutated` changes one to three things in one: a key's value or type, a key that
llama.cpp reads for other models, the vocabulary's arrays, a tensor's shape, type or name.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
from gguf_file import ARRAY, I32, STRING, U64, File, Tensor, Value, f32, text, u32, u32_array
from vocabs import write_bpe, write_spm

F32_TYPE, BOOL = 0, 7
N_EMBD, N_FF, N_LAYER, N_HEAD, N_HEAD_KV, N_EXPERT = 32, 48, 2, 4, 2, 2
N_KV = N_EMBD // N_HEAD * N_HEAD_KV

_NORMS = {"attn_norm.weight": (N_EMBD,), "ffn_norm.weight": (N_EMBD,)}
_POST_NORMS = {"post_attention_norm.weight": (N_EMBD,), "post_ffw_norm.weight": (N_EMBD,)}
_ATTENTION = {
    "attn_q.weight": (N_EMBD, N_EMBD),
    "attn_k.weight": (N_EMBD, N_KV),
    "attn_v.weight": (N_EMBD, N_KV),
    "attn_output.weight": (N_EMBD, N_EMBD),
}
_GATED = {"ffn_gate.weight": (N_EMBD, N_FF), "ffn_up.weight": (N_EMBD, N_FF), "ffn_down.weight": (N_FF, N_EMBD)}
_BIASES = {"attn_q.bias": (N_EMBD,), "attn_k.bias": (N_KV,), "attn_v.bias": (N_KV,)}
_EXPERTS = {
    "ffn_gate_inp.weight": (N_EMBD, N_EXPERT),
    "ffn_gate_exps.weight": (N_EMBD, N_FF, N_EXPERT),
    "ffn_up_exps.weight": (N_EMBD, N_FF, N_EXPERT),
    "ffn_down_exps.weight": (N_FF, N_EMBD, N_EXPERT),
}
_GPT2 = {
    **_NORMS,
    "attn_norm.bias": (N_EMBD,),
    "ffn_norm.bias": (N_EMBD,),
    "attn_qkv.weight": (N_EMBD, N_EMBD + 2 * N_KV),
    "attn_qkv.bias": (N_EMBD + 2 * N_KV,),
    "attn_output.weight": (N_EMBD, N_EMBD),
    "attn_output.bias": (N_EMBD,),
    "ffn_up.weight": (N_EMBD, N_FF),
    "ffn_up.bias": (N_FF,),
    "ffn_down.weight": (N_FF, N_EMBD),
    "ffn_down.bias": (N_EMBD,),
}
_QK_NORMS = {"attn_q_norm.weight": (N_EMBD,), "attn_k_norm.weight": (N_KV,)}
# name: architecture, vocabulary, tensors of a layer, tensors beside the embedding
_MODELS: dict[str, tuple[str, Callable[[Path], Path], dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]] = {
    "llama spm": ("llama", write_spm, {**_NORMS, **_ATTENTION, **_GATED}, {"output_norm.weight": (N_EMBD,)}),
    "llama bpe": ("llama", write_bpe, {**_NORMS, **_ATTENTION, **_GATED}, {"output_norm.weight": (N_EMBD,)}),
    "llama moe": ("llama", write_spm, {**_NORMS, **_ATTENTION, **_EXPERTS}, {"output_norm.weight": (N_EMBD,)}),
    "qwen2": ("qwen2", write_bpe, {**_NORMS, **_ATTENTION, **_BIASES, **_GATED}, {"output_norm.weight": (N_EMBD,)}),
    "gpt2": (
        *("gpt2", write_bpe, _GPT2),
        {"output_norm.weight": (N_EMBD,), "output_norm.bias": (N_EMBD,), "position_embd.weight": (N_EMBD, 256)},
    ),
    "gemma2": (
        "gemma2",
        write_spm,
        {**_NORMS, **_POST_NORMS, **_ATTENTION, **_GATED},
        {"output_norm.weight": (N_EMBD,)},
    ),
    "olmo2": (
        *("olmo2", write_bpe, {**_ATTENTION, **_QK_NORMS, **_POST_NORMS, **_GATED}),
        {"output_norm.weight": (N_EMBD,), "output.weight": (N_EMBD, 0)},
    ),
}

# Keys behind the architecture's name that llama.cpp reads for one model or another.
ODD_KEYS = (
    *("expert_count", "expert_used_count", "expert_group_count", "expert_group_used_count", "expert_weights_scale"),
    *("expert_weights_norm", "expert_gating_func", "expert_shared_count", "expert_feed_forward_length"),
    *("attention.key_length", "attention.value_length", "attention.key_length_swa", "attention.value_length_swa"),
    *("attention.sliding_window", "attention.sliding_window_pattern", "attention.scale", "attention.causal"),
    *("attention.layer_norm_epsilon", "attention.layer_norm_rms_epsilon", "attention.max_alibi_bias"),
    *("attention.clamp_kqv", "attention.head_count", "attention.head_count_kv", "attention.temperature_length"),
    *("attn_logit_softcapping", "final_logit_softcapping", "logit_scale", "residual_scale", "embedding_scale"),
    *("rope.dimension_count", "rope.dimension_sections", "rope.freq_base", "rope.freq_base_swa", "rope.scale_linear"),
    *("rope.scaling.type", "rope.scaling.factor", "rope.scaling.original_context_length", "rope.scaling.finetuned"),
    *("rope.scaling.attn_factor", "rope.scaling.yarn_log_multiplier", "vocab_size", "context_length", "block_count"),
    *("embedding_length", "embedding_length_out", "feed_forward_length", "use_parallel_residual", "pooling_type"),
    *(
        "tensor_data_layout",
        "leading_dense_block_count",
        "n_deepstack_layers",
        "nextn_predict_layers",
        "dense_2_feat_in",
    ),
    *("decoder_start_token_id", "decoder_block_count", "ssm.conv_kernel", "ssm.inner_size", "ssm.state_size"),
    *("classifier.output_labels", "features_length", "token_shift_count", "interleave_moe_layer_step", "swin_norm"),
)
TOKENIZER_KEYS = (
    *("model", "pre", "token_type_count", "bos_token_id", "eos_token_id", "eot_token_id", "unknown_token_id"),
    *(
        "padding_token_id",
        "seperator_token_id",
        "mask_token_id",
        "fim_pre_token_id",
        "prefix_token_id",
        "add_bos_token",
    ),
    *("add_eos_token", "add_sep_token", "add_space_prefix", "remove_extra_whitespaces", "precompiled_charsmap"),
    *("suppress_tokens", "normalizer.lowercase", "merges", "scores", "token_type", "tokens"),
)
GENERAL_KEYS = (
    *("general.alignment", "general.file_type", "general.name", "general.quantization_version", "general.type"),
    *(
        "split.count",
        "split.no",
        "split.tensors.count",
        "tokenizer.chat_template",
        "adapter.type",
        "adapter.lora.alpha",
    ),
)
NUMBERS = (0, 1, 2, 3, 5, 7, 8, 16, 31, 33, 64, 100, 255, 4096, 1 << 16, 1 << 24, (1 << 31) - 1, 1 << 31, (1 << 32) - 1)
REALS = (0.0, -0.0, -1.0, 1e-45, 1e-8, 0.5, 1.0, 2.0, 1e38, -1e38)
WORDS = ("", "llama", "bert", "whitespace", "gpt2", "default", "yarn", "longrope", "linear", "none", "qwen2", "x" * 300)
TENSOR_TYPES = (*range(0, 4), *range(6, 15), *range(16, 31), 34, 35, 39, 40)


def whole_files(folder: Path) -> dict[str, File]:
    """A file for each of `_MODELS` that llama.cpp loads, by its name."""
    return {name: _whole(folder / f"{name}.gguf", *parts) for name, parts in _MODELS.items()}


def _whole(
    path: Path,
    architecture: str,
    vocabulary: Callable[[Path], Path],
    layer: dict[str, tuple[int, ...]],
    rest: dict[str, tuple[int, ...]],
) -> File:
    metadata = {
        key: (int(field.types[0]), b"".join(bytes(part) for part in field.parts[3:]))
        for key, field in gguf.GGUFReader(vocabulary(path)).fields.items()
        if not key.startswith(("GGUF.", "general.", "llama."))
    }
    n_vocab = len(strings(metadata["tokenizer.ggml.tokens"]))
    own = {
        "context_length": u32(256),
        "embedding_length": u32(N_EMBD),
        "block_count": u32(N_LAYER),
        "feed_forward_length": u32(N_FF),
        "attention.head_count": u32(N_HEAD),
        "attention.head_count_kv": u32(N_HEAD_KV),
        "attention.layer_norm_rms_epsilon": f32(1e-5),
        "attention.layer_norm_epsilon": f32(1e-5),
        "rope.freq_base": f32(1e4),
    }
    if "ffn_gate_inp.weight" in layer:
        own |= {"expert_count": u32(N_EXPERT), "expert_used_count": u32(1)}
    general = {"general.architecture": text(architecture), "general.type": text("model")}
    shapes = {"token_embd.weight": (N_EMBD, n_vocab), **rest}
    shapes |= {f"blk.{il}.{name}": ne for il in range(N_LAYER) for name, ne in layer.items()}
    rng = np.random.default_rng(0)
    tensors = {name: _tensor(rng, tuple(n or n_vocab for n in ne)) for name, ne in shapes.items()}
    return File({**general, **{f"{architecture}.{key}": value for key, value in own.items()}, **metadata}, tensors)


def _tensor(rng: np.random.Generator, ne: tuple[int, ...]) -> Tensor:
    return Tensor(ne, F32_TYPE, rng.normal(0, 0.1, ne[::-1]).astype(np.float32).tobytes())


def strings(value: Value) -> list[bytes]:
    """The strings of an array of strings."""
    found, at = [], 12
    for _ in range(struct.unpack_from("<Q", value[1], 4)[0]):
        n = struct.unpack_from("<Q", value[1], at)[0]
        found.append(value[1][at + 8 : at + 8 + n])
        at += 8 + n
    return found


def string_array(values: list[bytes]) -> Value:
    """An array of strings, as a file holds it."""
    return ARRAY, struct.pack("<IQ", STRING, len(values)) + b"".join(struct.pack("<Q", len(v)) + v for v in values)


def mutated(file: File, rng: random.Random) -> tuple[str, File]:
    """One to three changes, and what they are."""
    words = []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        change = rng.choice((_odd_key, _odd_key, _odd_value, _odd_tokenizer, _odd_array, _odd_words, _odd_tensor))
        word, file = change(file, rng)
        words.append(word)
    return "; ".join(words), file


def _value(rng: random.Random) -> Value:
    number = rng.choice(NUMBERS)
    return rng.choice(
        [
            *(u32(number), u32(rng.randrange(1, 9)), f32(rng.choice(REALS)), text(rng.choice(WORDS))),
            *((BOOL, bytes([number & 1])), (I32, struct.pack("<I", number)), (U64, struct.pack("<Q", number << 8))),
            *(
                u32_array(),
                u32_array(*[number] * N_LAYER),
                u32_array(*range(8)),
                (ARRAY, struct.pack("<IQ", STRING, 0)),
            ),
            (ARRAY, struct.pack(f"<IQ{N_LAYER}f", 6, N_LAYER, *[rng.choice(REALS)] * N_LAYER)),
        ]
    )


def _architecture(file: File) -> str:
    return file.metadata.get("general.architecture", text("llama"))[1][8:].decode("utf-8", "replace")


def _put(file: File, key: str, value: Value) -> File:
    return replace(file, metadata={**file.metadata, key: value})


def _odd_key(file: File, rng: random.Random) -> tuple[str, File]:
    key = f"{_architecture(file)}.{rng.choice(ODD_KEYS)}"
    value = _value(rng)
    return f"{key} = {_said(value)}", _put(file, key, value)


def _odd_value(file: File, rng: random.Random) -> tuple[str, File]:
    key = rng.choice(sorted(file.metadata))
    if rng.random() < 0.2:
        return f"no {key}", file.drop(key)
    value = _value(rng)
    return f"{key} = {_said(value)}", _put(file, key, value)


def _odd_tokenizer(file: File, rng: random.Random) -> tuple[str, File]:
    keys = [*(f"tokenizer.ggml.{key}" for key in TOKENIZER_KEYS), *GENERAL_KEYS]
    key, value = rng.choice(keys), _value(rng)
    return f"{key} = {_said(value)}", _put(file, key, value)


def _odd_array(file: File, rng: random.Random) -> tuple[str, File]:
    """Numbers of the vocabulary's arrays: types and scores."""
    keys = [key for key in ("tokenizer.ggml.token_type", "tokenizer.ggml.scores") if key in file.metadata]
    if not keys:
        return "nothing", file
    key = rng.choice(keys)
    kind, raw = file.metadata[key]
    data, n = bytearray(raw), (len(raw) - 12) // 4
    for _ in range(rng.choice((1, 3, n))):
        at = 12 + 4 * rng.randrange(max(n, 1))
        odd = struct.pack("<i", rng.randrange(-1, 9)) if key.endswith("type") else struct.pack("<f", rng.choice(REALS))
        if at + 4 <= len(data):
            data[at : at + 4] = odd
    return f"{key} shuffled", _put(file, key, (kind, bytes(data)))


def _odd_words(file: File, rng: random.Random) -> tuple[str, File]:
    """Tokens and merges: empty, long, with a NUL or a space in them, doubled, gone, more."""
    head = struct.pack("<I", STRING)
    keys = [f"tokenizer.ggml.{key}" for key in ("tokens", "merges")]
    keys = [key for key in keys if key in file.metadata and file.metadata[key][0] == ARRAY]
    keys = [key for key in keys if file.metadata[key][1].startswith(head)]
    if not keys:
        return "nothing", file
    key = rng.choice(keys)
    found = strings(file.metadata[key])
    odd = (
        b"",
        b" ",
        b"\n",
        b"a\0b",
        b"<0x",
        b"<0xZZ>",
        b"<0x0A>",
        "▁".encode(),
        b"<|im_end|>",
        b"x" * 5000,
        b"a b c",
        b"Q",
    )
    for _ in range(rng.choice((1, 2, 20))):
        at = rng.randrange(max(len(found), 1))
        kind = rng.randrange(3)
        if kind == 0:
            found[at : at + 1] = [rng.choice(odd)]
        elif kind == 1:
            found[at:at] = [rng.choice(odd)]
        else:
            del found[at : at + 1]
    return f"{key} with other words", _put(file, key, string_array(found))


def _odd_tensor(file: File, rng: random.Random) -> tuple[str, File]:
    if not file.tensors:
        return "nothing", file
    name = rng.choice(sorted(file.tensors))
    tensor, kind = file.tensors[name], rng.randrange(5)
    if kind == 0:
        return f"no {name}", file.drop(name)
    if kind == 1:
        ne = rng.choice([tensor.ne[::-1], (*tensor.ne, 1), (1, *tensor.ne), tensor.ne[:1], (1,), (2 * tensor.ne[0],)])
        return f"{name} of {ne}", file.tensor(name, _sized(ne, tensor.type))
    if kind == 2:
        code = rng.choice(TENSOR_TYPES)
        return f"{name} of the type {code}", file.tensor(name, _sized(tensor.ne, code))
    if kind == 3:
        other = rng.choice(
            ("blk.0.attn_q.bias", "rope_freqs.weight", "output.bias", "blk.0.attn_norm.bias", "x.lora_a")
        )
        return f"{other} like {name}", file.tensor(other, tensor)
    odd = np.float32(rng.choice((*REALS, float("nan"), float("inf"))))
    return f"{name} of {odd}", file.tensor(
        name, replace(tensor, data=(odd.tobytes() * (len(tensor.data) // 4 + 1))[: len(tensor.data)])
    )


def _sized(ne: tuple[int, ...], code: int) -> Tensor:
    """A tensor with as many bytes as its type and shape ask for."""
    try:
        block, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType(code)]
    except (ValueError, KeyError):
        block, size = 1, 4
    return Tensor(ne, code, bytes(int(np.prod(ne)) // block * size))


def _said(value: Value) -> str:
    kind, raw = value
    if kind == STRING:
        return repr(raw[8:28])
    return f"{raw.hex()[:16]} ({kind})"
