"""Hugging Face checkpoints → GGUF: one file of weights, sizes, vocabulary and chat template."""

from __future__ import annotations

from localft.conversion.check import check_gguf
from localft.conversion.convert_model import ConvertResult, convert

__all__ = ["ConvertResult", "check_gguf", "convert"]
