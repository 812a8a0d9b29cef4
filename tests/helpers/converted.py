"""What tests ask of a checkpoint and of the file that it became."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

from localft.model.gguf.header import read_header

WIDE = {"hidden_size": 256, "intermediate_size": 512, "num_attention_heads": 4, "num_key_value_heads": 2}


def tensors_of(path: Path) -> dict[str, NDArray[np.float32]]:
    return {t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in gguf.GGUFReader(path).tensors}


def types_of(path: Path) -> dict[str, str]:
    return {info.name: info.type.name for info in read_header(path).tensors.values()}


def config_of(folder: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return values
