"""Types of a whole file, and llama.cpp's own quantizer for those that the gguf package does not write."""

from __future__ import annotations

import ctypes
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType, LlamaFileType

from localft.conversion.header import Header
from localft.errors import ConfigError, ModelError


@dataclass(frozen=True)
class OutType:
    """A value of `--outtype`.

    Attributes:
        file_type: what llama.cpp calls the mixture (general.file_type).
        main: the type that most matrices are meant to have.
        direct: the gguf package writes it, every matrix alike; otherwise llama.cpp's quantizer chooses per tensor.
    """

    name: str
    file_type: LlamaFileType
    main: GGMLQuantizationType
    direct: bool = False


_T, _F = GGMLQuantizationType, LlamaFileType
OUTTYPES: Mapping[str, OutType] = {
    out.name: out
    for out in (
        OutType("f32", _F.ALL_F32, _T.F32, direct=True),
        OutType("f16", _F.MOSTLY_F16, _T.F16, direct=True),
        OutType("bf16", _F.MOSTLY_BF16, _T.BF16, direct=True),
        OutType("q8_0", _F.MOSTLY_Q8_0, _T.Q8_0, direct=True),
        OutType("q4_0", _F.MOSTLY_Q4_0, _T.Q4_0),
        OutType("q4_1", _F.MOSTLY_Q4_1, _T.Q4_1),
        OutType("q5_0", _F.MOSTLY_Q5_0, _T.Q5_0),
        OutType("q5_1", _F.MOSTLY_Q5_1, _T.Q5_1),
        OutType("q2_k", _F.MOSTLY_Q2_K, _T.Q2_K),
        OutType("q3_k_s", _F.MOSTLY_Q3_K_S, _T.Q3_K),
        OutType("q3_k_m", _F.MOSTLY_Q3_K_M, _T.Q3_K),
        OutType("q3_k_l", _F.MOSTLY_Q3_K_L, _T.Q3_K),
        OutType("q4_k_s", _F.MOSTLY_Q4_K_S, _T.Q4_K),
        OutType("q4_k_m", _F.MOSTLY_Q4_K_M, _T.Q4_K),
        OutType("q5_k_s", _F.MOSTLY_Q5_K_S, _T.Q5_K),
        OutType("q5_k_m", _F.MOSTLY_Q5_K_M, _T.Q5_K),
        OutType("q6_k", _F.MOSTLY_Q6_K, _T.Q6_K),
        OutType("iq4_nl", _F.MOSTLY_IQ4_NL, _T.IQ4_NL),
        OutType("iq4_xs", _F.MOSTLY_IQ4_XS, _T.IQ4_XS),
    )
}
_MAX_BUFFER = 64 << 20  # bytes of a tensor's rows that llama.cpp quantises at once
_LOG_ERROR = 3  # GGML_LOG_LEVEL_ERROR


def find_outtype(name: str) -> OutType:
    """The type called `name`, in any case.

    Raises:
        ConfigError: there is none; names the nearest.
    """
    from localft.card import nearest

    if name.lower() in OUTTYPES:
        return OUTTYPES[name.lower()]
    close = nearest(name, OUTTYPES)
    hint = f"did you mean `{close}`? " if close else ""
    raise ConfigError(f"`{name}` is not a type that localft converts to", f"{hint}these are: {', '.join(OUTTYPES)}")


def quantize_gguf(source: Path, target: Path, outtype: OutType, n_threads: int = 0) -> None:
    """Quantise an f32, f16 or bf16 GGUF with llama.cpp, which chooses a type for each tensor.

    Args:
        target: written in place; give a temporary path.
        n_threads: 0 = one per core.

    Raises:
        ModelError: llama.cpp refused.
    """
    import llama_cpp

    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = int(outtype.file_type)
    params.nthread = n_threads
    params.max_buf_size = _MAX_BUFFER
    with _listening() as messages:
        code = llama_cpp.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(params))
    if code != 0:
        reason = messages[-1] if messages else f"code {code}"
        raise ModelError(f"llama.cpp could not quantise `{source.name}` to {outtype.name}: {reason}")


@contextmanager
def _listening() -> Iterator[list[str]]:
    """Collect llama.cpp's error messages, keep the rest quiet, and put the former listener back."""
    import llama_cpp

    messages: list[str] = []

    @llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
    def listen(level: int, text: bytes, _user: ctypes.c_void_p) -> None:
        if level == _LOG_ERROR:
            messages.append(text.decode("utf-8", "replace").strip())

    before, user = llama_cpp.llama_log_callback(), ctypes.c_void_p()
    llama_cpp.llama_log_get(ctypes.byref(before), ctypes.byref(user))
    llama_cpp.llama_log_set(listen, ctypes.c_void_p())
    try:
        yield messages
    finally:
        llama_cpp.llama_log_set(before, user)


def fallback_warning(header: Header) -> str | None:
    """Say which matrices do not have the type that the file is named for: their width is no multiple of its block."""
    outtype = next(
        (out for out in OUTTYPES.values() if header.values.get("general.file_type") == int(out.file_type)), None
    )
    matrices = [info for info in header.tensors.values() if len(info.ne) > 1]
    block = GGML_QUANT_SIZES[outtype.main][0] if outtype else 1
    odd = [info for info in matrices if info.ne[0] % block]
    if outtype is None or not odd:
        return None
    kinds = Counter(info.type.name.lower() for info in odd)
    types = ", ".join(f"{n} as {kind}" for kind, n in kinds.most_common())
    widths = ", ".join(str(width) for width in sorted({info.ne[0] for info in odd}))
    return (
        f"{len(odd)} of {len(matrices)} matrices have rows of {widths}, no multiple of {block}, "
        f"and are not {outtype.main.name.lower()} but stored otherwise: {types}"
    )
