"""Logits from llama.cpp itself: f32 KV cache, no flash attention, one adapter or none."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path

import llama_cpp
import numpy as np

GGML_TYPE_F32 = 0


def _silence(level: int, text: bytes, user_data: ctypes.c_void_p) -> None:
    pass


_silent = llama_cpp.llama_log_callback(_silence)


def llama_logits(
    model: Path, tokens: Sequence[int] | np.ndarray, adapter: Path | None = None, adapter_scale: float = 1.0
) -> np.ndarray:
    """Logits of every position of one row, float32 [n_tok, n_vocab]."""
    llama_cpp.llama_log_set(_silent, ctypes.c_void_p(0))
    params = llama_cpp.llama_model_default_params()
    params.n_gpu_layers = 0
    loaded = llama_cpp.llama_model_load_from_file(str(model).encode(), params)
    assert loaded
    context = llama_cpp.llama_init_from_model(loaded, _context_params(len(tokens)))
    assert context
    try:
        if adapter:
            _set_adapter(loaded, context, adapter, adapter_scale)
        return _decode(loaded, context, tokens)
    finally:
        llama_cpp.llama_free(context)
        llama_cpp.llama_model_free(loaded)


def _context_params(n_tok: int) -> llama_cpp.llama_context_params:
    params = llama_cpp.llama_context_default_params()
    params.n_ctx = params.n_batch = params.n_ubatch = max(n_tok, 32)
    params.n_threads = params.n_threads_batch = 1
    params.type_k = params.type_v = GGML_TYPE_F32
    params.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
    return params


def _set_adapter(loaded: object, context: object, adapter: Path, scale: float) -> None:
    lora = llama_cpp.llama_adapter_lora_init(loaded, str(adapter).encode())
    assert lora
    adapters, scales = (llama_cpp.llama_adapter_lora_p_ctypes * 1)(lora), (ctypes.c_float * 1)(scale)
    assert llama_cpp.llama_set_adapters_lora(context, adapters, 1, scales) == 0


def _decode(loaded: object, context: object, tokens: Sequence[int] | np.ndarray) -> np.ndarray:
    batch = llama_cpp.llama_batch_init(len(tokens), 0, 1)
    batch.n_tokens = len(tokens)
    for i, token in enumerate(tokens):
        batch.token[i], batch.pos[i], batch.logits[i] = int(token), i, 1
        batch.n_seq_id[i], batch.seq_id[i][0] = 1, 0
    assert llama_cpp.llama_decode(context, batch) == 0
    n_vocab = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(loaded))
    values = llama_cpp.llama_get_logits(context)
    logits = np.ctypeslib.as_array(values, shape=(len(tokens), n_vocab)).copy()
    llama_cpp.llama_batch_free(batch)
    return logits
