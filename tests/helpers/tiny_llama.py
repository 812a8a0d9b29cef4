"""Tiny random llama models and adapters, made with the gguf package: llama.cpp without a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import gguf
import numpy as np

from localft.adapter import Adapter, LoraTensor

N_EMBD, N_FF, N_LAYER, N_HEAD, N_HEAD_KV, N_CTX_TRAIN = 64, 96, 2, 4, 2, 256
N_KV = N_EMBD // N_HEAD * N_HEAD_KV
WORDS = ["▁the", "▁a", "▁cat", "▁dog", "▁sat", "▁ran", "▁and", "ing", "ed", "th", "he", "an", "in", "er"]
LETTERS = [*map(chr, range(33, 127)), "▁"]
SPECIAL = ["<unk>", "<s>", "</s>"]

SHAPES = {
    "attn_q": (N_EMBD, N_EMBD),
    "attn_k": (N_KV, N_EMBD),
    "attn_v": (N_KV, N_EMBD),
    "attn_output": (N_EMBD, N_EMBD),
    "ffn_gate": (N_FF, N_EMBD),
    "ffn_up": (N_FF, N_EMBD),
    "ffn_down": (N_EMBD, N_FF),
}
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}[SYS]{{ m.content }}[/SYS]\n"
    "{% elif m.role == 'user' %}[INST]{{ m.content }}[/INST]"
    "{% else %}{{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"
)


def write_model(
    path: Path,
    *,
    seed: int = 0,
    architecture: str = "llama",
    tied: bool = False,
    chat: bool = False,
    dtype: type = np.float32,
    name: str = "tiny",
    nan: bool = False,
    template: str = CHAT_TEMPLATE,
    says: Sequence[str] = (),
) -> Path:
    """Write a random two-layer llama with a byte-complete sentencepiece vocabulary.

    Args:
        says: tokens with which the model answers whatever ends in the letter t, one after the other.
    """
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_type("model")
    writer.add_name(name)
    writer.add_block_count(N_LAYER)
    writer.add_context_length(N_CTX_TRAIN)
    writer.add_embedding_length(N_EMBD)
    writer.add_feed_forward_length(N_FF)
    writer.add_head_count(N_HEAD)
    writer.add_head_count_kv(N_HEAD_KV)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(N_EMBD // N_HEAD)
    writer.add_file_type(0 if dtype is np.float32 else 1)
    n_vocab = _add_vocabulary(writer, says)
    if chat:
        writer.add_chat_template(template)
    tensors = _tensors(np.random.default_rng(seed), n_vocab, tied)
    if says:
        _say(tensors, n_vocab, len(says))
    for tensor, values in tensors.items():
        if nan and tensor == "blk.0.attn_q.weight":
            values[0, 0] = np.nan
        writer.add_tensor(tensor, values.astype(dtype if values.ndim == 2 else np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _say(tensors: dict[str, np.ndarray], n_vocab: int, n_said: int) -> None:
    """No layer adds anything, and each token's embedding calls for the next one; the last calls for the end."""
    for name, values in tensors.items():
        if name.endswith(("attn_output.weight", "ffn_down.weight")):
            values[:] = 0
    chain = [
        len(SPECIAL) + 256 + len(WORDS) + LETTERS.index("t"),
        *range(n_vocab - n_said, n_vocab),
        SPECIAL.index("</s>"),
    ]
    tensors["output.weight"][:] = 0
    for before, after in pairwise(chain):
        tensors["output.weight"][after] = tensors["token_embd.weight"][before]


def _add_vocabulary(writer: gguf.GGUFWriter, says: Sequence[str]) -> int:
    tokens = SPECIAL + [f"<0x{b:02X}>" for b in range(256)] + WORDS + LETTERS + list(says)
    kind = gguf.TokenType
    types = [kind.UNKNOWN, kind.CONTROL, kind.CONTROL] + [kind.BYTE] * 256 + [kind.NORMAL] * (len(tokens) - 259)
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * 259 + [-float(i) for i in range(len(tokens) - 259)])
    writer.add_token_types(types)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(True)
    return len(tokens)


def _tensors(rng: np.random.Generator, n_vocab: int, tied: bool) -> dict[str, np.ndarray]:
    tensors = {"token_embd.weight": rng.normal(0, 1, (n_vocab, N_EMBD)), "output_norm.weight": np.ones(N_EMBD)}
    if not tied:
        tensors["output.weight"] = rng.normal(0, 0.3, (n_vocab, N_EMBD))
    for il in range(N_LAYER):
        tensors[f"blk.{il}.attn_norm.weight"] = rng.uniform(0.8, 1.2, N_EMBD)
        tensors[f"blk.{il}.ffn_norm.weight"] = rng.uniform(0.8, 1.2, N_EMBD)
        for name, (n_out, n_in) in SHAPES.items():
            tensors[f"blk.{il}.{name}.weight"] = rng.normal(0, 1 / np.sqrt(n_in), (n_out, n_in))
    return tensors


def random_adapter(*, seed: int = 1, rank: int = 4, alpha: float = 8.0, **metadata: str | int | float) -> Adapter:
    """Random nonzero A and B on every linear layer of `write_model`'s model, strong enough to change its answers."""
    rng = np.random.default_rng(seed)
    tensors = {
        f"blk.{il}.{name}.weight": LoraTensor(
            rng.normal(0, 0.3, (rank, n_in)).astype(np.float32), rng.normal(0, 0.1, (n_out, rank)).astype(np.float32)
        )
        for il in range(N_LAYER)
        for name, (n_out, n_in) in SHAPES.items()
    }
    return Adapter("llama", rank, alpha, tensors, dict(metadata))
