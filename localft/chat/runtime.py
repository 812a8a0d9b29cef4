"""One llama.cpp model with one context: load, adapters on and off, decode with prefix reuse, logits out."""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from localft import llama
from localft.adapter import AdapterFit, check_adapter
from localft.engine.native import end_with_a_sentence_if_cut_short
from localft.errors import AdapterError, EngineError, ModelError
from localft.model.gguf.mapped_file import MappedFile
from localft.model.probe import require_usable_adapter

N_BATCH = 512
_ABORTABLE = 32


class LlamaRuntime:
    """A loaded base model and its KV cache. Not thread-safe.

    Args:
        model: a GGUF that has passed `usable_gguf`.
        n_ctx: tokens of context.
        n_threads: CPU threads, None = llama.cpp's default of 4.
        exact: f32 KV cache and no flash attention, to compare logits; twice the cache's memory.

    Raises:
        ModelError: llama.cpp cannot load the model.
        EngineError: there is no memory for the context.
    """

    def __init__(self, model: Path, *, n_ctx: int, n_threads: int | None = None, exact: bool = False) -> None:
        llama_cpp = llama.load()
        self._lib: Any = llama_cpp
        self._context: Any = None
        self._adapter: Any = None
        self._active: tuple[int, float] = (0, 0.0)
        self.path = model
        self.ids: list[int] = []
        with contextlib.suppress(EngineError):  # chat works without the trainer
            end_with_a_sentence_if_cut_short(model)
        self._file = MappedFile(model)
        llama.silence()
        self._model: Any = llama_cpp.llama_model_load_from_file(
            os.fsencode(model), llama_cpp.llama_model_default_params()
        )
        if not self._model:
            raise ModelError(
                f"llama.cpp cannot load `{model}`{llama.last_error()}", "convert or download the model again"
            )
        self._vocab = llama_cpp.llama_model_get_vocab(self._model)
        self.n_vocab = int(llama_cpp.llama_vocab_n_tokens(self._vocab))
        self.n_ctx_train = int(llama_cpp.llama_model_n_ctx_train(self._model))
        self._open_context(n_ctx or self.n_ctx_train, n_threads, exact)

    def _open_context(self, n_ctx: int, n_threads: int | None, exact: bool) -> None:
        lib, params = self._lib, self._lib.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch = n_ctx, N_BATCH, N_BATCH
        params.n_seq_max, params.no_perf = 1, True
        if n_threads:
            params.n_threads = params.n_threads_batch = n_threads
        if exact:
            params.type_k = params.type_v = lib.GGML_TYPE_F32
            params.flash_attn_type = lib.LLAMA_FLASH_ATTN_TYPE_DISABLED
        self._context = lib.llama_init_from_model(self._model, params)
        if not self._context:
            self.close()
            raise EngineError(f"no context of {n_ctx} tokens can be made{llama.last_error()}", "give a smaller --ctx")
        self.n_ctx = min(n_ctx, int(lib.llama_n_ctx(self._context)))
        self._memory = lib.llama_get_memory(self._context)

    def load_adapter(self, adapter: Path) -> AdapterFit:
        """Check an adapter against the model and load it; it stays off until `use_adapter`.

        Raises:
            AdapterError: it does not fit, or llama.cpp refuses it.
        """
        fit = check_adapter(adapter, self.path)
        require_usable_adapter(adapter, self.path)
        llama.silence()
        pointer = self._lib.llama_adapter_lora_init(self._model, os.fsencode(adapter))
        # A refusal comes as a NULL pointer object, which is not None.
        if not pointer:
            message = f"llama.cpp refuses the adapter `{adapter}`{llama.last_error()}"
            raise AdapterError(message, "give the base that it was trained on, or get the adapter again")
        self._adapter = pointer
        return fit

    @property
    def has_adapter(self) -> bool:
        return bool(self._adapter)

    def use_adapter(self, scale: float | None) -> None:
        """Switch the adapter on with a strength, or off with None; a change clears the KV cache."""
        wanted = (1, float(scale)) if scale is not None and self._adapter else (0, 0.0)
        if wanted == self._active:
            return
        lib = self._lib
        adapters = (lib.llama_adapter_lora_p_ctypes * 1)(self._adapter if wanted[0] else None)
        lib.llama_set_adapters_lora(self._context, adapters, wanted[0], (ctypes.c_float * 1)(wanted[1]))
        self._active = wanted
        self.clear()

    def clear(self) -> None:
        """Forget every decoded token."""
        self._lib.llama_memory_clear(self._memory, True)
        self.ids = []

    @property
    def vocab(self) -> Any:
        """llama.cpp's own vocabulary, for its samplers; freed with the model."""
        return self._vocab

    def is_end(self, token: int) -> bool:
        """Whether the vocabulary marks the token as an end of generation."""
        return bool(self._lib.llama_vocab_is_eog(self._vocab, token))

    def logits_after(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Decode what of `ids` the KV cache does not hold yet; return the last position's logits, f32 [n_vocab].

        Raises:
            EngineError: the ids do not fit the context, or the model's output is not finite.
            ModelError: the model's file changed since it was loaded.
            KeyboardInterrupt: Ctrl-C; the cache is then empty.
        """
        if not 0 < len(ids) <= self.n_ctx:
            raise EngineError(f"[chat] {len(ids)} tokens do not fit a context of {self.n_ctx}", "give a larger --ctx")
        if min(ids) < 0 or max(ids) >= self.n_vocab:
            raise EngineError(f"[chat] token ids must lie in 0 … {self.n_vocab - 1}", "tokenize with this model")
        self._file.require_same()
        self._keep_prefix(ids)
        for start in range(len(self.ids), len(ids), N_BATCH):
            self._decode(list(ids[start : start + N_BATCH]))
        pointer = self._lib.llama_get_logits_ith(self._context, -1)
        logits: NDArray[np.float32] = np.ctypeslib.as_array(pointer, (self.n_vocab,)).copy()
        if not math.isfinite(float(logits.max())):
            raise EngineError(f"`{self.path}` computes values that are not finite", "the model file is damaged")
        return logits

    def _keep_prefix(self, ids: Sequence[int]) -> None:
        """Keep the longest common prefix in the cache; the last token is always decoded, for its logits."""
        n = 0
        limit = min(len(self.ids), len(ids) - 1)
        while n < limit and self.ids[n] == ids[n]:
            n += 1
        if n == len(self.ids):
            return
        if n and self._lib.llama_memory_seq_rm(self._memory, 0, n, -1):
            del self.ids[n:]
        else:
            self.clear()

    def _decode(self, ids: list[int]) -> None:
        array = (ctypes.c_int32 * len(ids))(*ids)
        batch = self._lib.llama_batch_get_one(array, len(ids))
        with self._abortable(len(ids)) as interrupted:
            status = self._lib.llama_decode(self._context, batch)
        if status == 0 and not interrupted.is_set():
            self.ids += ids
            return
        self.clear()
        if interrupted.is_set():
            raise KeyboardInterrupt
        raise EngineError(
            f"llama.cpp cannot decode {len(ids)} tokens (status {status}){llama.last_error()}", "give a smaller --ctx"
        )

    @contextlib.contextmanager
    def _abortable(self, n: int) -> Iterator[threading.Event]:
        """Let Ctrl-C stop a long decode: the handler sets a flag, and ggml asks for it between operations."""
        flag = threading.Event()
        if n < _ABORTABLE or threading.current_thread() is not threading.main_thread():
            yield flag
            return
        callback = self._lib.ggml_abort_callback(lambda _data: flag.is_set())
        nothing = self._lib.ggml_abort_callback(0)
        previous = signal.signal(signal.SIGINT, lambda *_: flag.set())
        self._lib.llama_set_abort_callback(self._context, callback, None)
        try:
            yield flag
        finally:
            self._lib.llama_set_abort_callback(self._context, nothing, None)
            signal.signal(signal.SIGINT, previous)

    def close(self) -> None:
        """Free the context and the model (and with it the adapter)."""
        if self._context:
            self._lib.llama_free(self._context)
        if self._model:
            self._lib.llama_model_free(self._model)
        self._context = self._model = self._adapter = None
