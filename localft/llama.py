"""llama-cpp-python, loaded once and made quiet: the one llama.cpp of the process, for training and chat alike."""

from __future__ import annotations

import ctypes
import functools
import logging
import os
from collections import deque
from typing import Any

from localft.visible import one_line

_ERROR = 4  # GGML_LOG_LEVEL_ERROR in ggml.h; the numbers in llama_cpp._logger are out of date

_log_lines: deque[str] = deque(maxlen=4)
_log_callback: Any = None


@functools.cache
def load() -> Any:
    """The module `llama_cpp`, initialised, with threads that sleep soon while they wait.

    Beside another busy program, OpenMP threads that spin at ggml's barriers take the time that the last of them
    needs: small models then train several times slower. The variable counts only before libgomp is loaded, and
    one that the user has set is kept.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    import llama_cpp

    logging.getLogger("llama-cpp-python").setLevel(logging.CRITICAL)
    llama_cpp.llama_backend_init()
    return llama_cpp


def silence() -> None:
    """Keep llama.cpp's own log off the terminal; its last errors go into ours (`last_error`)."""
    global _log_callback
    llama_cpp = load()

    def keep(level: int, text: bytes, _data: Any) -> None:
        if level == _ERROR:
            _log_lines.append(text.decode("utf-8", "replace").strip())

    if _log_callback is None:
        _log_callback = llama_cpp.llama_log_callback(keep)
    llama_cpp.llama_log_set(_log_callback, ctypes.c_void_p(0))
    _log_lines.clear()


def last_error() -> str:
    """What llama.cpp complained of last since `silence`, ready to be put behind a sentence; else empty."""
    lines = [line for line in _log_lines if not line.endswith("failed to load model")] or list(_log_lines)
    return f": {one_line(lines[-1], 160)}" if lines else ""
