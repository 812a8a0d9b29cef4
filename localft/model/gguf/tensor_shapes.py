"""Which tensors a model of an architecture has, and their shapes."""

from __future__ import annotations


def llama_shapes(
    n_vocab: int, n_embd: int, n_layer: int, n_q: int, n_kv: int, n_ff: int, experts: bool = False
) -> dict[str, tuple[int, ...]]:
    """Name → ne (ggml's order) of every tensor that a model of the llama architecture must have, in model order.

    Args:
        n_q: width of the queries, n_head × n_embd_head. n_kv: width of keys and of values.
        experts: leave out the feed-forward tensors, which a mixture of experts names otherwise.
    """
    shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (n_embd, n_vocab)}
    for il in range(n_layer):
        block: dict[str, tuple[int, ...]] = {
            "attn_norm": (n_embd,),
            "attn_q": (n_embd, n_q),
            "attn_k": (n_embd, n_kv),
            "attn_v": (n_embd, n_kv),
            "attn_output": (n_q, n_embd),
            "ffn_norm": (n_embd,),
        }
        if not experts:
            block |= {"ffn_gate": (n_embd, n_ff), "ffn_up": (n_embd, n_ff), "ffn_down": (n_ff, n_embd)}
        shapes |= {f"blk.{il}.{name}.weight": ne for name, ne in block.items()}
    shapes["output_norm.weight"] = (n_embd,)
    return shapes
