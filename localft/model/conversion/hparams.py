"""config.json → Hparams: a model's sizes in localft's words, and the table of architectures that can be converted."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localft.errors import ModelError
from localft.files import read_text
from localft.json_text import require_characters
from localft.kinds.file_kind import Kind, unfit
from localft.model.card import Shape
from localft.model.gguf.limits import MAX_CONTEXT, MAX_LAYERS
from localft.model.gguf.tensor_shapes import llama_shapes

MOST_TOKENS = 1 << 20  # of a vocabulary; those of the largest models have a quarter of it


@dataclass(frozen=True)
class Architecture:
    """How checkpoints of one Hugging Face architecture become GGUF.

    Attributes:
        gguf: GGUF's name of the architecture, which selects tensor names, metadata keys and llama.cpp's graph.
        permute_qk: rows of Q and K are reordered from rotate-half to llama.cpp's pairs of neighbours.
        window: the architecture's config may declare a sliding window that llama.cpp's graph does not apply.
    """

    gguf: str
    permute_qk: bool
    window: bool = False


ARCHITECTURES: Mapping[str, Architecture] = {
    "LlamaForCausalLM": Architecture("llama", permute_qk=True),
    "LLaMAForCausalLM": Architecture("llama", permute_qk=True),
    "MistralForCausalLM": Architecture("llama", permute_qk=True, window=True),
}


@dataclass(frozen=True)
class RopeScaling:
    """How positions beyond the original context are squeezed. `kind` is "linear" or "llama3" (Llama 3.1 and later)."""

    kind: str
    factor: float
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    n_ctx_orig: int = 8192


@dataclass(frozen=True)
class Hparams(Shape):
    """A model's sizes and constants, as config.json gives them.

    Attributes:
        n_embd_head: width of one head; also `n_rot`, the dimensions that RoPE turns.
        window: the sliding window that the config declares, or None.
    """

    architecture: Architecture
    n_embd_head: int
    n_ctx_train: int
    rms_eps: float
    rope_freq_base: float
    rope_scaling: RopeScaling | None = None
    window: int | None = None

    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name → shape (NumPy's order, rows first) of every weight that the GGUF must have, in model order."""
        n_q, n_kv = self.n_head * self.n_embd_head, self.n_head_kv * self.n_embd_head
        shapes = llama_shapes(self.n_vocab, self.n_embd, self.n_layer, n_q, n_kv, self.n_ff)
        if not self.tied:
            shapes["output.weight"] = shapes["token_embd.weight"]
        return {name: ne[::-1] for name, ne in shapes.items()}


def read_json(path: Path) -> dict[str, Any]:
    """Parse a JSON object.

    Raises:
        ModelError: the file is missing, is not JSON in UTF-8, or holds something other than an object.
    """
    if found := unfit(path, Kind.EMPTY, Kind.UTF16, Kind.WEB_PAGE, Kind.BINARY):
        raise ModelError(f"`{path}` is {found.what}", found.hint)
    try:
        text = read_text(path)
        value = json.loads(text)
        require_characters(text, value)
    except FileNotFoundError as error:
        raise ModelError(
            f"`{path.parent}` has no `{path.name}`", "give the folder of a Hugging Face checkpoint"
        ) from error
    except (OSError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise ModelError(f"`{path}` cannot be read as JSON: {error}", "download the model again") from error
    if not isinstance(value, dict):
        raise ModelError(f"`{path}` holds no JSON object", "download the model again")
    return value


class _Config:
    """Typed access to config.json; each failure names the file, the key and what was expected."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.values = read_json(path)

    def error(self, key: str, wanted: str) -> ModelError:
        return ModelError(
            f'"{key}" in `{self.path}` is `{self.values.get(key)!r}`; {wanted} is needed', "download the model again"
        )

    def size(self, key: str, highest: int, default: int | None = None) -> int:
        value = self.values.get(key)
        value = default if value is None else value
        if type(value) is not int or not 1 <= value <= highest:
            raise self.error(key, f"a whole number from 1 to {highest}")
        return value

    def number(self, key: str, default: float) -> float:
        value = self.values.get(key)
        value = default if value is None else value
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value <= 0:
            raise self.error(key, "a number above 0")
        return float(value)

    def flag(self, key: str) -> bool:
        value = self.values.get(key, False)
        if not isinstance(value, bool):
            raise self.error(key, "true or false")
        return value


def read_hparams(folder: Path) -> Hparams:
    """Read and check config.json.

    Raises:
        ModelError: an architecture or a feature that cannot be converted (named, with what can be), or a bad value.
    """
    config = _Config(folder / "config.json")
    architecture = _architecture(config)
    _refuse(config)
    n_embd = config.size("hidden_size", 1 << 20)
    n_head = config.size("num_attention_heads", 1 << 16)
    n_head_kv = config.size("num_key_value_heads", n_head, n_head)
    if n_head % n_head_kv:
        raise config.error("num_key_value_heads", f"a divisor of the {n_head} heads")
    if config.values.get("head_dim") is None and n_embd % n_head:
        raise config.error("hidden_size", f"a multiple of the {n_head} heads")
    n_embd_head = config.size("head_dim", 1 << 16, n_embd // n_head)
    if n_embd_head % 2:
        raise config.error("head_dim", "an even number")
    base, scaling = _rope(config)
    window = config.values.get("sliding_window") if architecture.window else None
    return Hparams(
        architecture=architecture,
        n_vocab=config.size("vocab_size", MOST_TOKENS),
        n_embd=n_embd,
        n_layer=config.size("num_hidden_layers", MAX_LAYERS),
        n_head=n_head,
        n_head_kv=n_head_kv,
        n_ff=config.size("intermediate_size", 1 << 24),
        n_embd_head=n_embd_head,
        n_ctx_train=config.size("max_position_embeddings", MAX_CONTEXT, 2048),
        rms_eps=config.number("rms_norm_eps", 1e-6),
        rope_freq_base=base,
        rope_scaling=scaling,
        tied=config.flag("tie_word_embeddings"),
        window=window if isinstance(window, int) else None,
    )


def _architecture(config: _Config) -> Architecture:
    names = config.values.get("architectures")
    name = names[0] if isinstance(names, list) and names else None
    if not isinstance(name, str):
        raise config.error("architectures", "the name of an architecture")
    if name not in ARCHITECTURES:
        raise ModelError(
            f"the architecture `{name}` in `{config.path}` cannot be converted",
            f"these can: {', '.join(sorted(set(ARCHITECTURES)))}",
        )
    return ARCHITECTURES[name]


def _refuse(config: _Config) -> None:
    """Refuse by name what the graph would silently get wrong."""
    if config.values.get("hidden_act", "silu") != "silu":
        raise config.error("hidden_act", '"silu"')
    for key in ("attention_bias", "mlp_bias"):
        if config.flag(key):
            raise config.error(key, "false (weights without biases)")
    partial = config.values.get("partial_rotary_factor")
    if partial not in (None, 1, 1.0):
        raise config.error("partial_rotary_factor", "1 (RoPE over the whole head)")
    quantization = config.values.get("quantization_config")
    if quantization:
        method = quantization.get("quant_method") if isinstance(quantization, dict) else quantization
        raise ModelError(
            f"the checkpoint of `{config.path}` is already quantised (`{method}`)",
            "take the model's full-precision checkpoint; localft quantises it itself",
        )


def _rope(config: _Config) -> tuple[float, RopeScaling | None]:
    # transformers 5 writes rope_parameters with the base inside; before, rope_theta stood beside rope_scaling.
    key = "rope_parameters" if config.values.get("rope_parameters") is not None else "rope_scaling"
    values = config.values.get(key) or {}
    if not isinstance(values, dict):
        raise config.error(key, "an object")
    inner = _Config.__new__(_Config)
    inner.path, inner.values = config.path, {"rope_theta": config.values.get("rope_theta")} | values
    base = inner.number("rope_theta", 10000.0)
    kind = values.get("rope_type", values.get("type")) or "default"
    if kind == "default":
        return base, None
    if kind == "linear":
        return base, RopeScaling("linear", inner.number("factor", 1.0))
    if kind != "llama3":
        raise ModelError(
            f"the RoPE scaling `{kind}` in `{config.path}` cannot be converted", "these can: default, linear, llama3"
        )
    scaling = RopeScaling(
        "llama3",
        inner.number("factor", 8.0),
        inner.number("low_freq_factor", 1.0),
        inner.number("high_freq_factor", 4.0),
        inner.size("original_max_position_embeddings", MAX_CONTEXT, 8192),
    )
    if scaling.low_freq_factor >= scaling.high_freq_factor:
        raise inner.error("low_freq_factor", f'a number below "high_freq_factor" ({scaling.high_freq_factor})')
    return base, scaling
