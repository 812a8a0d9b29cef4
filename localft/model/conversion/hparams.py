"""config.json → Hparams: a model's sizes in localft's words, and the table of architectures that can be converted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localft.errors import ModelError
from localft.files import read_text
from localft.json_text import require_characters
from localft.kinds.file_kind import Kind, unfit
from localft.model.card import Shape
from localft.model.conversion.json_object import JsonObject, unknown_keys
from localft.model.conversion.rope import RopeScaling, read_rope, rope_warnings
from localft.model.gguf.limits import MAX_CONTEXT, MAX_LAYERS
from localft.model.gguf.tensor_shapes import llama_shapes
from localft.visible import one_line

MOST_TOKENS = 1 << 20  # of a vocabulary; those of the largest models have a quarter of it


@dataclass(frozen=True)
class Architecture:
    """How checkpoints of one Hugging Face architecture become GGUF.

    Attributes:
        gguf: GGUF's name of the architecture, which selects tensor names, metadata keys and llama.cpp's graph.
        permute_qk: rows of Q and K are reordered from rotate-half to llama.cpp's pairs of neighbours.
        model_type: transformers' name of its class.
        n_ctx_train, n_head_kv, window: what its config class takes where config.json leaves them out; `n_head_kv` None
            = as many as there are heads. `window` is a sliding window, which llama.cpp's graph does not apply; None =
            the class has none.
    """

    gguf: str
    permute_qk: bool
    model_type: str
    n_ctx_train: int
    n_head_kv: int | None = None
    window: int | None = None


_LLAMA = Architecture("llama", permute_qk=True, model_type="llama", n_ctx_train=2048)
_MISTRAL = Architecture("llama", permute_qk=True, model_type="mistral", n_ctx_train=131072, n_head_kv=8, window=4096)
ARCHITECTURES: Mapping[str, Architecture] = {
    "LlamaForCausalLM": _LLAMA,
    "LLaMAForCausalLM": _LLAMA,
    "MistralForCausalLM": _MISTRAL,
}


@dataclass(frozen=True)
class Hparams(Shape):
    """A model's sizes and constants, as config.json gives them.

    Attributes:
        n_embd_head: width of one head; also `n_rot`, the dimensions that RoPE turns.
        window: the sliding window that the config declares, or None.
        warnings: what config.json says that is taken otherwise, or left out.
    """

    architecture: Architecture
    n_embd_head: int
    n_ctx_train: int
    rms_eps: float
    rope_freq_base: float
    rope_scaling: RopeScaling | None = None
    window: int | None = None
    warnings: tuple[str, ...] = ()

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


def read_hparams(folder: Path) -> Hparams:
    """Read and check config.json.

    Raises:
        ModelError: an architecture or a feature that cannot be converted (named, with what can be), or a bad value.
    """
    path = folder / "config.json"
    values = read_json(path)
    named = _architecture(path, values)
    _refuse_quantised(path, values)
    config = JsonObject(path, values)
    architecture = _of_class(config, named)
    n_embd = config.size("hidden_size", 1 << 20)
    n_head = config.size("num_attention_heads", 1 << 16)
    n_head_kv = config.size("num_key_value_heads", n_head, _default_heads(config, architecture, n_head))
    if n_head % n_head_kv:
        raise config.error("num_key_value_heads", f"a divisor of the {n_head} heads")
    if config.get("head_dim") is None and n_embd % n_head:
        raise config.error("hidden_size", f"a multiple of the {n_head} heads")
    n_embd_head = config.size("head_dim", 1 << 16, n_embd // n_head)
    if n_embd_head % 2:
        raise config.error("head_dim", "an even number")
    n_ctx_train = config.size("max_position_embeddings", MAX_CONTEXT, architecture.n_ctx_train)
    base, scaling = read_rope(config, n_ctx_train)
    return Hparams(
        architecture=architecture,
        n_vocab=config.size("vocab_size", MOST_TOKENS),
        n_embd=n_embd,
        n_layer=config.size("num_hidden_layers", MAX_LAYERS),
        n_head=n_head,
        n_head_kv=n_head_kv,
        n_ff=config.size("intermediate_size", 1 << 24),
        n_embd_head=n_embd_head,
        n_ctx_train=n_ctx_train,
        rms_eps=config.number("rms_norm_eps", 1e-6),
        rope_freq_base=base,
        rope_scaling=scaling,
        tied=config.flag("tie_word_embeddings"),
        window=_window(config, architecture),
        warnings=(*rope_warnings(config), *unknown_keys([config])),
    )


def _default_heads(config: JsonObject, architecture: Architecture, n_head: int) -> int:
    """Where "num_key_value_heads" is null as many as there are heads; where it is left out, the class's default."""
    left_out = "num_key_value_heads" not in config.values
    return architecture.n_head_kv if left_out and architecture.n_head_kv else n_head


def _window(config: JsonObject, architecture: Architecture) -> int | None:
    if architecture.window is None:
        return None
    window = config.get("sliding_window") if "sliding_window" in config.values else architecture.window
    if window is not None and type(window) is not int:
        raise config.error("sliding_window", "a number of tokens")
    return window


def _architecture(path: Path, values: Mapping[str, Any]) -> Architecture:
    names = values.get("architectures")
    name = names[0] if isinstance(names, list) and names else None
    if not isinstance(name, str):
        shown = one_line(repr(names), 80)
        raise ModelError(
            f'"architectures" in `{path}` is `{shown}`; the name of an architecture is needed',
            "download the model again",
        )
    if name not in ARCHITECTURES:
        raise ModelError(
            f"the architecture `{name[:80]}` in `{path}` cannot be converted",
            f"these can: {', '.join(sorted(set(ARCHITECTURES)))}",
        )
    return ARCHITECTURES[name]


def _of_class(config: JsonObject, architecture: Architecture) -> Architecture:
    """transformers chooses its class, and with it the defaults, by "model_type" and not by "architectures"."""
    model_type = config.get("model_type")
    if model_type is None:
        return architecture
    known = {each.model_type: each for each in ARCHITECTURES.values()}
    if model_type not in known:
        wanted = " or ".join(f'"{name}"' for name in known)
        raise config.error("model_type", wanted, f"`{config.get('architectures')[0]}` is of another class")
    return known[model_type]


def _refuse_quantised(path: Path, values: Mapping[str, Any]) -> None:
    quantization = values.get("quantization_config")
    if quantization:
        method = quantization.get("quant_method") if isinstance(quantization, dict) else quantization
        raise ModelError(
            f"the checkpoint of `{path}` is already quantised (`{method}`)",
            "take the model's full-precision checkpoint; localft quantises it itself",
        )
