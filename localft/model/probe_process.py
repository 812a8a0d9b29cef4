"""A GGUF's first load, in a process that may end: `localft.model.probe_process SECONDS GGUF [ADAPTER]`.

Ends with 0 where vocabulary, model and adapter load, odd text is tokenized and a few tokens are decoded; else with 1
and, where llama.cpp did not end it, a JSON list of what is wrong and a hint on stdout.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from localft import llama
from localft.errors import LocalftError, ModelError
from localft.model.probe import DISTRUST
from localft.model.tokenizer import Tokenizer

TEXTS = (
    "Hello, world!\n\nIt's 12,345.6 × 10⁻³ — naïve café?\r\n\tdef f(x):  return [x]\n",
    "日本語と中文，한국어 кириллица العربية हिन्दी ไทย e\u0301\u200d👩\u200d👧\ufeff\u2028\0\x01\x7f\uffff\U0010ffff",
    " ",
    "\n",
    "a" * 40 + " " * 40 + "9" * 40 + "." * 40,
    "<s></s><unk><0x0A><|im_start|>",
)
_N_CTX, _N_DECODE = 64, 16
_SAID_BYTES = 1 << 20
_HEAP_BYTES = 4 << 30


def main() -> None:
    seconds, gguf, *adapter = sys.argv[1:]
    _limit(int(seconds), Path(gguf))
    try:
        _try(Path(gguf), Path(adapter[0]) if adapter else None)
    except (LocalftError, MemoryError) as error:
        json.dump([getattr(error, "message", str(error)), getattr(error, "hint", None)], sys.stdout)
        sys.exit(1)


def _limit(seconds: int, gguf: Path) -> None:
    """Nothing outlives its caller, fills the disk or the memory, or leaves a core behind."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.alarm(seconds + 10)
    os.environ["GGML_NO_BACKTRACE"] = "1"  # else ggml starts a debugger on its process
    import resource

    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: _SAID_BYTES,
        # what is mapped from the file does not count
        resource.RLIMIT_DATA: _HEAP_BYTES + gguf.stat().st_size,
    }
    for kind, most in limits.items():
        with suppress(ValueError, OSError):
            resource.setrlimit(kind, (most, most))


def _try(gguf: Path, adapter: Path | None) -> None:
    llama.silence()
    tokenizer = Tokenizer(gguf)
    encoded = [tokenizer.encode(text, special=special) for text in TEXTS for special in (False, True)]
    for ids in encoded:
        tokenizer.decode(ids, special=True)
    ids = [token for ids in encoded for token in ids][:_N_DECODE] or [0]
    tokenizer.close()
    lib = llama.load()
    model = _load(lib, gguf)
    context = _context(lib, model, gguf)
    if adapter:
        _use(lib, model, context, adapter)
    array = (ctypes.c_int32 * len(ids))(*ids)
    if status := lib.llama_decode(context, lib.llama_batch_get_one(array, len(ids))):
        raise ModelError(f"`{gguf}` cannot be computed by llama.cpp (status {status}){llama.last_error()}", DISTRUST)
    lib.llama_synchronize(context)
    lib.llama_free(context)
    lib.llama_model_free(model)


def _load(lib: Any, gguf: Path) -> Any:
    params = lib.llama_model_default_params()
    params.n_gpu_layers = 0
    params.use_extra_bufts = False  # weights stay where the file is mapped, which other processes share
    model = lib.llama_model_load_from_file(os.fsencode(gguf), params)
    if not model:
        raise ModelError(f"`{gguf}` cannot be loaded by llama.cpp{llama.last_error()}", DISTRUST)
    return model


def _context(lib: Any, model: Any, gguf: Path) -> Any:
    params = lib.llama_context_default_params()
    params.n_ctx, params.n_batch, params.n_ubatch, params.n_seq_max = _N_CTX, _N_DECODE, _N_DECODE, 1
    context = lib.llama_init_from_model(model, params)
    if not context:
        raise ModelError(f"`{gguf}` can be given no context by llama.cpp{llama.last_error()}", DISTRUST)
    return context


def _use(lib: Any, model: Any, context: Any, adapter: Path) -> None:
    pointer = lib.llama_adapter_lora_init(model, os.fsencode(adapter))
    if not pointer:
        raise ModelError(f"`{adapter}` is refused by llama.cpp{llama.last_error()}", DISTRUST)
    adapters = (lib.llama_adapter_lora_p_ctypes * 1)(pointer)
    lib.llama_set_adapters_lora(context, adapters, 1, (ctypes.c_float * 1)(1.0))


if __name__ == "__main__":
    main()
