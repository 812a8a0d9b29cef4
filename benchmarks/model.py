"""The models that are measured: known shapes, as GGUFs of random weights and as checkpoints of the same for PEFT."""

from __future__ import annotations

import json
import math
import os
import sys
from pathlib import Path
from typing import Any

from localft.errors import LocalftError
from localft.model.card import Shape
from localft.model.conversion.hparams import Hparams
from localft.model.conversion.outtype import find_outtype
from localft.model.conversion.stand_in import F32, TILE, stand_in_hparams, stand_in_weight, write_stand_in
from localft.model.hf_names import HF_MODULES
from localft.model.qk_order import to_hf

MAX_CHECKPOINT = 2e9  # weights of a shape that PEFT is asked to load in f32

SHAPES = {
    "tiny-4m": Shape(4096, 256, 4, 8, 4, 512, tied=False),
    "llama-30m": Shape(32000, 512, 4, 8, 8, 1536, tied=True),
    "llama-110m": Shape(32000, 768, 12, 12, 12, 2048, tied=True),
    "tinymistral-248m": Shape(32000, 1024, 12, 32, 8, 4096, tied=False),
    "tinyllama-1.1b": Shape(32000, 2048, 22, 32, 4, 5632, tied=False),
    "llama-7b": Shape(32000, 4096, 32, 32, 32, 11008, tied=False),
}
_HF_NAMES = {
    **HF_MODULES,
    "token_embd": "model.embed_tokens",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "output_norm": "model.norm",
    "output": "lm_head",
}


def n_weight(shape: Shape) -> int:
    """Weights of the whole model."""
    return sum(math.prod(size) for size in stand_in_hparams(shape).weight_shapes().values())


def matrices(shape: Shape) -> dict[str, tuple[int, ...]]:
    """(n_out, n_in) of the seven matrices of every layer."""
    every = stand_in_hparams(shape).weight_shapes().items()
    return {name: size for name, size in every if name.startswith("blk.") and len(size) == 2}


def model_file(name: str, engine: str, mode: str) -> Path:
    """The base that a side reads: a GGUF in `mode` for the native engine, an f32 checkpoint for PEFT. Written once."""
    shape, folder = SHAPES[name], cache() / f"stand-ins-{TILE}" / name
    path = folder / f"{name}-{mode}.gguf" if engine == "native" else folder / "checkpoint"
    if not path.exists():
        if engine == "peft" and n_weight(shape) > MAX_CHECKPOINT:
            sys.exit(f"error: `{name}` is too large for a checkpoint in f32\n\nhint: leave PEFT's sides out")
        partial = folder / f"partial-{os.getpid()}"
        folder.mkdir(parents=True, exist_ok=True)
        try:
            write_checkpoint(shape, partial) if engine == "peft" else write_stand_in(shape, partial, find_outtype(mode))
        except LocalftError as error:
            sys.exit(f"error: {error.message}\n\nhint: {error.hint}")
        partial.replace(path)
    return path


def cache() -> Path:
    """Where models and tokenized rows are kept."""
    from platformdirs import user_cache_path

    return Path(os.environ.get("LOCALFT_HOME") or user_cache_path("localft")) / "benchmarks"


def write_checkpoint(shape: Shape, folder: Path) -> None:
    """The weights of a stand-in of `shape` as a Hugging Face checkpoint in f32, one file per layer."""
    from safetensors.numpy import save_file

    hparams = stand_in_hparams(shape)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config(hparams), indent=2) + "\n", encoding="utf-8")
    weight_map: dict[str, str] = {}
    for part in (*(f"blk.{il}." for il in range(hparams.n_layer)), "token_embd.", "output"):
        file = f"model-{part.strip('.')}.safetensors"
        named = {name: size for name, size in hparams.weight_shapes().items() if name.startswith(part)}
        tensors = {
            hf_name(name): in_hf_order(hparams, name, stand_in_weight(name, size)) for name, size in named.items()
        }
        save_file(tensors, folder / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(tensors, file)
    index = {"metadata": {"total_size": 4 * n_weight(shape)}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index) + "\n", encoding="utf-8")


def config(hparams: Hparams) -> dict[str, Any]:
    """config.json as transformers writes it."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": hparams.n_embd,
        "intermediate_size": hparams.n_ff,
        "num_hidden_layers": hparams.n_layer,
        "num_attention_heads": hparams.n_head,
        "num_key_value_heads": hparams.n_head_kv,
        "vocab_size": hparams.n_vocab,
        "max_position_embeddings": hparams.n_ctx_train,
        "rms_norm_eps": hparams.rms_eps,
        "rope_parameters": {"rope_theta": hparams.rope_freq_base, "rope_type": "default"},
        "tie_word_embeddings": hparams.tied,
        "hidden_act": "silu",
        "bos_token_id": 1,
        "eos_token_id": 2,
        "dtype": "float32",
    }


def hf_name(name: str) -> str:
    """The Hugging Face name of a weight."""
    *layer, part, _ = name.split(".")
    return f"model.layers.{layer[1]}.{_HF_NAMES[part]}.weight" if layer else f"{_HF_NAMES[part]}.weight"


def in_hf_order(hparams: Hparams, name: str, rows: F32) -> F32:
    """Rows of the weight `name` from the GGUF's order to Hugging Face's."""
    n_head = {"attn_q": hparams.n_head, "attn_k": hparams.n_head_kv}.get(name.split(".")[-2], 0)
    return to_hf(rows, n_head)
