"""A Hugging Face checkpoint with LoRA on it, seen under GGUF tensor names. torch is imported when called."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from localft.engine.protocol import LoraSpec
from localft.errors import ConfigError, EngineError, ModelError
from localft.model.hf_names import HF_MODULES

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class Factors:
    """One adapted tensor's parameters; `n_head` > 0 where the GGUF holds the rows of B permuted."""

    a: Any
    b: Any
    n_head: int


def import_torch(name: str = "torch") -> Any:
    """Import torch, transformers or peft.

    Raises:
        EngineError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise EngineError(
            f'the PEFT engine needs torch, transformers and peft, and "{name}" is not installed',
            "run `pip install 'localft[peft]'`",
        ) from error


def find_device(torch: Any, device: str | None) -> Any:
    """The torch.device called `device`; None takes CUDA where there is one.

    Raises:
        EngineError: the device is not there.
    """
    chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(chosen)
        torch.empty(1, device=found)
    except (RuntimeError, AssertionError) as error:
        raise EngineError(f'torch has no device "{chosen}" here', "leave --device out, or use cpu") from error
    return found


def load_base(checkpoint: Path, dtype: Any) -> Any:
    """The causal language model in `checkpoint`, on the CPU, in `dtype`.

    Raises:
        ModelError: it cannot be loaded or is of another architecture.
    """
    transformers = import_torch("transformers")
    transformers.utils.logging.disable_progress_bar()
    try:
        config = transformers.AutoConfig.from_pretrained(checkpoint, local_files_only=True)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"`{checkpoint}` is not a Hugging Face checkpoint", "give a folder with config.json"
        ) from error
    if config.model_type not in ("llama", "mistral"):
        raise ModelError(f'architecture "{config.model_type}" is not supported', "use a llama or mistral model")
    # llama.cpp's llama graph knows no sliding window: train what it will run.
    config.sliding_window = None
    try:
        return transformers.AutoModelForCausalLM.from_pretrained(
            checkpoint, config=config, dtype=dtype, local_files_only=True, attn_implementation="sdpa"
        )
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"the weights in `{checkpoint}` cannot be loaded: {reason}", "download it again") from error


def add_lora(torch: Any, base: Any, lora: LoraSpec) -> Any:
    """A PeftModel of `base`; torch's own random stream goes on as if nothing had been drawn.

    Raises:
        ConfigError: a target that the model has not.
    """
    peft = import_torch("peft")
    config = peft.LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=[_module_name(base, name) for name in lora.target_tensors],
    )
    with seeded(torch, lora.seed), warnings.catch_warnings():
        # peft reads an attribute that transformers has renamed; nothing that a user could act on.
        warnings.simplefilter("ignore", FutureWarning)
        return peft.get_peft_model(base, config)


def _module_name(base: Any, name: str) -> str:
    """The Hugging Face module of a GGUF tensor name."""
    if name == "output.weight":
        if base.config.tie_word_embeddings:
            raise ConfigError(
                f'"{name}" cannot carry LoRA: this model ties it to the embeddings', "leave it out of --lora-targets"
            )
        return "lm_head"
    parts = name.split(".")
    known = len(parts) == 4 and parts[0] == "blk" and parts[2] in HF_MODULES and parts[3] == "weight"
    if not known or not parts[1].isdigit() or int(parts[1]) >= base.config.num_hidden_layers:
        raise ConfigError(f'the model has no tensor "{name}" that can carry LoRA', "see --lora-targets")
    return f"model.layers.{parts[1]}.{HF_MODULES[parts[2]]}"


def find_factors(model: Any, lora: LoraSpec) -> dict[str, Factors]:
    """The trainable parameters by base tensor name, in lora's order."""
    base = model.get_base_model()
    n_heads = {"attn_q": base.config.num_attention_heads, "attn_k": base.config.num_key_value_heads}
    found = {}
    for name in lora.target_tensors:
        module = base.get_submodule(_module_name(base, name))
        n_head = n_heads.get(name.split(".")[-2], 0)
        found[name] = Factors(module.lora_A["default"].weight, module.lora_B["default"].weight, n_head)
    return found


@contextmanager
def seeded(torch: Any, seed: int) -> Iterator[None]:
    """Draw torch's random numbers from `seed` inside the block, and go on as before after it."""
    with torch.random.fork_rng():
        torch.manual_seed(seed % 2**63)
        yield


def to_array(tensor: Any) -> F32:
    """A copy as NumPy, f32."""
    return np.array(tensor.detach().float().cpu().numpy())
