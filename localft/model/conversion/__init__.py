"""Hugging Face checkpoints → GGUF: one file of weights, sizes, vocabulary and chat template."""

from __future__ import annotations

from localft.model.conversion.converter import ConvertResult, convert
from localft.model.gguf_check import check_gguf

__all__ = ["ConvertResult", "check_gguf", "convert"]
