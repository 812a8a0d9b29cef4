"""Types of a whole file, and llama.cpp's own quantizer for those that the gguf package does not write."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType, LlamaFileType

from localft.errors import ConfigError, ModelError
from localft.model.gguf_header import Header
from localft.report import Report


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


def quantize_gguf(source: Path, target: Path, outtype: OutType, progress: Report | None = None) -> None:
    """Quantise an f32, f16 or bf16 GGUF with llama.cpp, which chooses a type for each tensor.

    llama.cpp runs in a process of its own: Ctrl-C ends it at once, and an abort is an error here.

    Args:
        target: written in place; give a temporary path.
        progress: called with what is done, and tensors done and in all.

    Raises:
        ModelError: llama.cpp refused.
    """
    package = str(Path(__file__).resolve().parents[3])
    command = [
        sys.executable,
        "-m",
        "localft.model.conversion.quantizer",
        str(source),
        str(target),
        str(int(outtype.file_type)),
    ]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([package, os.environ.get("PYTHONPATH", "")])}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as child:
        assert child.stdout is not None
        try:
            reason = _follow(child.stdout, outtype, progress)
        except BaseException:
            child.kill()
            raise
    if child.returncode != 0:
        raise ModelError(
            f"llama.cpp could not quantise the model to {outtype.name}: {reason or f'exit code {child.returncode}'}",
            "try --outtype q8_0, which needs no second step",
        )


def _follow(lines: Iterable[str], outtype: OutType, progress: Report | None) -> str:
    """Pass progress on; give the last error that llama.cpp reported."""
    reason = ""
    for line in lines:
        kind, _, text = line.rstrip().partition(" ")
        if kind == "error":
            reason = text
        elif progress:
            done, total = map(int, text.split())
            progress(f"quantising to {outtype.name}", done, total)
    return reason


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
