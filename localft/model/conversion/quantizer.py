"""llama.cpp's quantizer as a process: `python -m localft.model.conversion.quantizer SOURCE TARGET FILE_TYPE`.

Prints `progress DONE TOTAL` per tensor and `error TEXT` for what llama.cpp complains of.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import sys

import llama_cpp

_MAX_BUFFER = 64 << 20  # bytes of a tensor's rows that are quantised at once
_LOG_ERROR = 4  # GGML_LOG_LEVEL_ERROR in ggml.h (the numbers in llama_cpp._logger are out of date)
_TENSOR = re.compile(r"\[\s*(\d+)/\s*(\d+)\]")


def listen(level: int, text: bytes, _user: ctypes.c_void_p) -> None:
    line = text.decode("utf-8", "replace").strip()
    tensor = _TENSOR.match(line)
    if level == _LOG_ERROR and line:
        print("error", line.replace("\n", " "), flush=True)
    elif tensor:
        print("progress", tensor[1], tensor[2], flush=True)


def main() -> int:
    source, target, file_type = sys.argv[1:]
    # While llama.cpp works, Python would hear of Ctrl-C only at its end.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    callback = llama_cpp.llama_log_callback(listen)
    llama_cpp.llama_log_set(callback, ctypes.c_void_p())
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = int(file_type)
    params.max_buf_size = _MAX_BUFFER
    return int(llama_cpp.llama_model_quantize(os.fsencode(source), os.fsencode(target), ctypes.byref(params)))


if __name__ == "__main__":
    sys.exit(main())
