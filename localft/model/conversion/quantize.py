"""llama.cpp's own quantizer, for the types that the gguf package does not write."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

from localft.errors import ModelError
from localft.model.conversion.outtype import OutType
from localft.python_process import module_command
from localft.report import Report


def quantize_gguf(source: Path, target: Path, outtype: OutType, progress: Report | None = None) -> None:
    """Quantise an f32, f16 or bf16 GGUF with llama.cpp, which chooses a type for each tensor.

    llama.cpp runs in a process of its own: Ctrl-C ends it at once, and an abort is an error here.

    Args:
        target: written in place; give a temporary path.
        progress: called with what is done, and tensors done and in all.

    Raises:
        ModelError: llama.cpp refused.
    """
    command = module_command(
        "localft.model.conversion.quantizer", str(source), str(target), str(int(outtype.file_type))
    )
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
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
