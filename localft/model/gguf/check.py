"""Refuse a GGUF that would crash llama.cpp or the trainer, with a sentence instead."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from gguf.constants import GGMLQuantizationType, GGUFValueType

from localft.errors import ModelError
from localft.kinds.file_kind import CHECKPOINT
from localft.model.gguf.header import Array, Header, Scalar, TensorInfo, damaged, read_header, shown
from localft.model.gguf.limits import INTEGERS, MAX_LAYERS, check_limits, whole_number
from localft.model.gguf.tensor_shapes import llama_shapes
from localft.model.gguf.vocabulary_names import (
    BYTE_PAIR,
    BYTE_PAIR_BY_NAME,
    PRE_TOKENIZERS,
    SENTENCEPIECE,
    TOKENIZER_MODELS,
)

_NOT_WEIGHTS = {
    GGMLQuantizationType.I8,
    GGMLQuantizationType.I16,
    GGMLQuantizationType.I32,
    GGMLQuantizationType.I64,
    GGMLQuantizationType.F64,
    GGMLQuantizationType.Q8_1,
    GGMLQuantizationType.Q8_K,
}
_ROPE_SCALING = ("none", "linear", "yarn", "longrope")
SPECIAL_IDS = ("bos", "eos", "eot", "eom", "unknown", "seperator", "padding", "mask")  # "seperator": as GGUF spells it


def check_gguf(path: Path) -> Header:
    """The header of a GGUF, unless it is no whole, consistent model that is safe to hand to native code.

    Reads the header only; weights are checked for NaN at conversion. Any architecture passes the checks of form;
    the llama architecture's sizes and tensors are checked one by one.

    Raises:
        ModelError: unreadable, no GGUF, truncated, wrong types, impossible sizes, missing tensors or vocabulary.
    """
    header = read_header(Path(path))
    check_header(header)
    return header


def check_header(header: Header) -> None:
    """The checks of `check_gguf` on a header that is already read."""
    _check_kind(header)
    _check_numbers(header)
    scaling = header.values.get(f"{header.architecture}.rope.scaling.type", "none")
    if scaling not in _ROPE_SCALING:
        raise damaged(header.path, f'"rope.scaling.type" is {shown(scaling)!r}, not {" or ".join(_ROPE_SCALING)}')
    n_vocab = _check_vocabulary(header)
    for info in header.tensors.values():
        if info.type in _NOT_WEIGHTS:
            raise damaged(header.path, f"tensor `{info.name}` has the type {info.type.name}, which no weight has")
    check_limits(header)
    if header.architecture == "llama":
        _check_llama(header, n_vocab)


def _check_kind(header: Header) -> None:
    if not header.architecture or header.types["general.architecture"] != GGUFValueType.STRING:
        raise damaged(header.path, "it does not name its architecture")
    kind = header.values.get("general.type", "model")
    if kind == "adapter":
        raise ModelError(
            f"`{header.path}` is a LoRA adapter, not a base model",
            "give the adapter to `--lora` and its base to `--model`",
        )
    if kind == "checkpoint":
        raise ModelError(f"`{header.path}` is {CHECKPOINT.what}", CHECKPOINT.hint)
    if kind != "model":
        raise damaged(header.path, f'it is of the type "{shown(kind)}", not "model"')
    if header.values.get("split.count", 1) not in (0, 1):
        raise ModelError(
            f"`{header.path}` is one part of a split GGUF, which is not supported",
            "join the parts with `llama-gguf-split --merge`",
        )
    if not header.tensors:
        raise damaged(header.path, "it holds no tensors")


def _check_numbers(header: Header) -> None:
    for key, value in header.values.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise damaged(header.path, f'"{shown(key)}" is {value}')
    for key, array in header.arrays.items():
        floats = array.type in (GGUFValueType.FLOAT32, GGUFValueType.FLOAT64)
        if floats and not np.isfinite(np.asarray(array.values, dtype=np.float64)).all():
            raise damaged(header.path, f'"{shown(key)}" holds a value that is not finite')


def _array(header: Header, key: str, kind: GGUFValueType) -> Array:
    array = header.arrays.get(key)
    if array is None or array.type != kind:
        raise damaged(header.path, f'"{key}" is missing or not an array of the type {kind.name}')
    return array


def _check_vocabulary(header: Header) -> int:
    model = header.values.get("tokenizer.ggml.model")
    _check_vocabulary_names(header, model)
    tokens = _array(header, "tokenizer.ggml.tokens", GGUFValueType.STRING)
    _check_tokens(header, tokens)
    _array(header, "tokenizer.ggml.token_type", GGUFValueType.INT32)
    if model == SENTENCEPIECE:
        _array(header, "tokenizer.ggml.scores", GGUFValueType.FLOAT32)
        # llama.cpp throws across its C border at the first character that no piece covers.
        known = set(tokens.values)
        missing = [byte for byte in range(256) if not known & {b"<0x%02X>" % byte, bytes([byte])}]
        if missing:
            raise damaged(header.path, f"its vocabulary has no piece for {len(missing)} of the 256 bytes")
    if model in BYTE_PAIR:
        _array(header, "tokenizer.ggml.merges", GGUFValueType.STRING)
    for key in ("tokenizer.ggml.token_type", "tokenizer.ggml.scores"):
        if key in header.arrays and len(header.arrays[key]) != len(tokens):
            raise damaged(header.path, f'"{key}" has {len(header.arrays[key])} values for {len(tokens)} tokens')
    _check_special_ids(header, len(tokens))
    return len(tokens)


def _check_vocabulary_names(header: Header, model: Scalar | None) -> None:
    if model in (None, "none", "no_vocab"):
        raise damaged(header.path, "it has no vocabulary")
    if model not in TOKENIZER_MODELS:
        known = " or ".join(sorted(TOKENIZER_MODELS))
        raise damaged(
            header.path, f'"tokenizer.ggml.model" is {shown(model)!r}, which localft cannot read: not {known}'
        )
    pre = header.values.get("tokenizer.ggml.pre", "")
    if not isinstance(pre, str):
        raise damaged(header.path, f'"tokenizer.ggml.pre" is {shown(pre)!r}, which is no text')
    if model in BYTE_PAIR and pre and pre not in PRE_TOKENIZERS:
        raise ModelError(
            f"`{header.path}` cuts text by a pre-tokenizer that localft does not know: "
            f'"tokenizer.ggml.pre" is {shown(pre)!r}',
            "give the model's checkpoint to be converted here, or a file made for an older llama.cpp",
        )


def vocabulary_warnings(header: Header) -> list[str]:
    """What llama.cpp makes of a vocabulary that says too little: a file of before May 2024 names no pre-tokenizer."""
    if header.values.get("tokenizer.ggml.model") not in BYTE_PAIR_BY_NAME or header.values.get("tokenizer.ggml.pre"):
        return []
    return [
        'the file names no pre-tokenizer ("tokenizer.ggml.pre"): llama.cpp cuts text by its `default`, in training and '
        "chat alike, which may be otherwise than the model has learned; a newer file of the model is better"
    ]


def _check_tokens(header: Header, tokens: Array) -> None:
    spelled = (as_llama_cpp_reads(token, id_) for id_, token in enumerate(tokens.values) if isinstance(token, bytes))
    if len(set(spelled)) != len(tokens) or len(tokens) == 0:
        raise damaged(header.path, "its vocabulary is empty or has two tokens that are spelled alike")
    for id_, token in enumerate(tokens.values):
        assert isinstance(token, bytes)
        try:
            token.decode("utf-8")
        except UnicodeDecodeError as error:
            raise damaged(header.path, f"token {id_} of its vocabulary is not valid UTF-8") from error


def as_llama_cpp_reads(token: bytes, id_: int) -> bytes:
    """How llama.cpp, which asserts that no two are alike, spells a token: to its first NUL, and an empty one by its id.

    Source: `llama_vocab::impl::load` in llama.cpp's src/llama-vocab.cpp.
    """
    return token.partition(b"\0")[0] or b"[EMPTY_%d]" % id_


def _check_special_ids(header: Header, n_vocab: int) -> None:
    for name in SPECIAL_IDS:
        key = f"tokenizer.ggml.{name}_token_id"
        value = header.values.get(key)
        if value is not None and (header.types[key] not in INTEGERS or not 0 <= int(value) < n_vocab):
            raise damaged(header.path, f'"{key}" is {shown(value)}, outside its vocabulary of {n_vocab}')


def _check_llama(header: Header, n_vocab: int) -> None:
    n_embd = whole_number(header, "embedding_length", 1, 1 << 20)
    n_layer = whole_number(header, "block_count", 1, MAX_LAYERS)
    n_head = whole_number(header, "attention.head_count", 1, 1 << 16)
    n_head_kv = whole_number(header, "attention.head_count_kv", 1, 1 << 16, n_head)
    n_ff = whole_number(header, "feed_forward_length", 1, 1 << 24)
    if n_head % n_head_kv:
        raise damaged(header.path, f"its {n_head} heads cannot be shared out among {n_head_kv} key-value heads")
    n_embd_head = whole_number(header, "attention.key_length", 1, 1 << 16, max(n_embd // n_head, 1))
    for key in ("attention.value_length", "rope.dimension_count"):
        # llama.cpp's graph asserts that all three are equal.
        if whole_number(header, key, 1, 1 << 16, n_embd_head) != n_embd_head or n_embd_head % 2:
            raise damaged(
                header.path, f'"llama.{key}" is {shown(header.values.get(f"llama.{key}"))}, not an even {n_embd_head}'
            )
    eps = header.values.get("llama.attention.layer_norm_rms_epsilon")
    if not isinstance(eps, float) or eps < 0:
        raise damaged(header.path, f'"llama.attention.layer_norm_rms_epsilon" is {shown(eps)}')
    experts = header.values.get("llama.expert_count", 0) != 0
    shapes = llama_shapes(n_vocab, n_embd, n_layer, n_head * n_embd_head, n_head_kv * n_embd_head, n_ff, experts)
    for name, ne in shapes.items():
        _check_tensor(header, name, ne)
    for name in ("output.weight", "rope_freqs.weight"):
        if name in header.tensors:
            _check_tensor(header, name, (n_embd, n_vocab) if name == "output.weight" else (n_embd_head // 2,))


def _check_tensor(header: Header, name: str, ne: tuple[int, ...]) -> None:
    info: TensorInfo | None = header.tensors.get(name)
    if info is None:
        raise damaged(header.path, f"tensor `{name}` is missing")
    if info.ne != ne:
        raise damaged(header.path, f"tensor `{name}` has the shape {list(info.ne)}; its metadata ask for {list(ne)}")
