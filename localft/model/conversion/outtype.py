"""Types of a whole file: the values of `--outtype`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType, LlamaFileType

from localft.errors import ConfigError
from localft.model.gguf.header import Header


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


def find_outtype(name: str) -> OutType:
    """The type called `name`, in any case.

    Raises:
        ConfigError: there is none; names the nearest.
    """
    from localft.spelling import nearest

    if name.lower() in OUTTYPES:
        return OUTTYPES[name.lower()]
    close = nearest(name, OUTTYPES)
    hint = f"did you mean `{close}`? " if close else ""
    raise ConfigError(f"`{name}` is not a type that localft converts to", f"{hint}these are: {', '.join(OUTTYPES)}")


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
    have, are = ("has", "is") if len(odd) == 1 else ("have", "are")
    types = ", ".join(f"{n} as {kind}" for kind, n in kinds.most_common())
    widths = ", ".join(str(width) for width in sorted({info.ne[0] for info in odd}))
    return (
        f"{len(odd)} of {len(matrices)} matrices {have} rows of {widths}, no multiple of {block}, and {are} not "
        f"{outtype.main.name.lower()} but stored otherwise: {types}"
    )
