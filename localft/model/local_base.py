"""The model that data is meant for, if it is on this machine: looking at data downloads nothing."""

from __future__ import annotations

from pathlib import Path

from localft.errors import ModelError
from localft.model.convert import convert, converted
from localft.model.probe import usable_gguf
from localft.model.source import resolve_model
from localft.report import Report

OUTTYPE = "q8_0"


def local_base(model: str, progress: Report | None = None) -> Path:
    """The GGUF of `model`, converted where its checkpoint is on this machine.

    Args:
        model: a card's name, a Hugging Face repo id, a folder, or a .gguf file.
        progress: as for `convert`.

    Raises:
        ConfigError: there is no such model.
        ModelError: it would have to be downloaded, or cannot be used.
    """
    source = resolve_model(model)
    if source.checkpoint is None and source.gguf is None:
        found = converted(model, OUTTYPE)
        if found is None:
            raise ModelError(f"`{model}` is not on this machine", f"`localft convert {model}` downloads it, once")
    else:
        found = convert(model, OUTTYPE, progress=progress).path
    usable_gguf(found, progress)
    return found
