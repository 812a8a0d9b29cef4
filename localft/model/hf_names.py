"""What Hugging Face calls a matrix that the GGUF calls `blk.3.attn_q.weight`."""

from __future__ import annotations

import re

from localft.errors import AdapterError

HF_MODULES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_GGUF_NAMES = {module: name for name, module in HF_MODULES.items()}
# Architectures whose Q and K rows the GGUF holds in another order than Hugging Face does.
PERMUTED = {"llama": True}


def hf_module(name: str) -> str:
    """The Hugging Face module of a base tensor: "blk.3.attn_q.weight" → "model.layers.3.self_attn.q_proj".

    Raises:
        AdapterError: there is no such module.
    """
    if name == "output.weight":
        return "lm_head"
    match = re.fullmatch(r"blk\.(\d+)\.(\w+)\.weight", name)
    if not match or match[2] not in HF_MODULES:
        raise AdapterError(f"`{name}` has no counterpart in Hugging Face's naming", "adapt attention and ffn alone")
    return f"model.layers.{match[1]}.{HF_MODULES[match[2]]}"


def gguf_name(module: str) -> str:
    """The base tensor of a Hugging Face module; the inverse of `hf_module`.

    Raises:
        AdapterError: LoRA on that module has no GGUF name.
    """
    if module == "lm_head":
        return "output.weight"
    match = re.fullmatch(r"model\.layers\.(\d+)\.(\w+\.\w+)", module)
    if not match or match[2] not in _GGUF_NAMES:
        known = ", ".join(m.rpartition(".")[2] for m in HF_MODULES.values())
        raise AdapterError(f"the PEFT adapter adapts `{module}`", f"supported modules are {known} and lm_head")
    return f"blk.{match[1]}.{_GGUF_NAMES[match[2]]}.weight"
