"""Which tensors carry LoRA: the names and layers that the user gave, against the tensors that the model has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from localft.errors import ConfigError
from localft.model.hf_names import HF_MODULES
from localft.spelling import nearest

ATTENTION = ("attn_q", "attn_k", "attn_v", "attn_output")
FEED_FORWARD = ("ffn_gate", "ffn_up", "ffn_down")
GROUPS = {"all": ATTENTION + FEED_FORWARD, "attn": ATTENTION, "ffn": FEED_FORWARD}
KNOWN = (*GROUPS["all"], "output")
# The same in other trainers: PEFT's and mlx-lm's names with and without what they stand in, and the first Llama's.
OTHER_NAMES = {
    **{module: name for name, module in HF_MODULES.items()},
    **{module.partition(".")[2]: name for name, module in HF_MODULES.items()},
    **dict(zip(("wq", "wk", "wv", "wo", "w1", "w3", "w2"), GROUPS["all"], strict=True)),
    **{"all-linear": "all", "attention": "attn", "self_attn": "attn", "mlp": "ffn", "feed_forward": "ffn"},
    **{"lm_head": "output", "embed_out": "output"},
}


def select_targets(available: Mapping[str, tuple[int, int]], targets: str, layers: str) -> tuple[str, ...]:
    """The tensors to adapt, in the model's order.

    Args:
        available: (n_out, n_in) of every tensor that can carry LoRA, by name.
        targets: the setting `lora_targets`.
        layers: the setting `lora_layers`; it concerns the layers' own matrices, not `output`.

    Raises:
        ConfigError: an unknown name, a layer that the model does not have, or `output` on tied embeddings.
    """
    parts = _parts(targets)
    n_layer = 1 + max((_layer(name) for name in available), default=-1)
    wanted_layers = set(_layers(layers, n_layer))
    if "output" in parts and "output.weight" not in available:
        raise ConfigError(
            "`output` cannot carry LoRA in this model: its head is tied to the token embeddings",
            "no program could load such an adapter; leave `output` out of --lora-targets",
        )
    chosen = tuple(name for name in available if _part(name) in parts and _layer(name) in wanted_layers | {-1})
    if not chosen:
        message = f"no tensor of this model matches `--lora-targets {targets}` and `--lora-layers {layers}`"
        raise ConfigError(
            message, f"`--lora-targets all` is every matrix: {', '.join(sorted(map(_part, available)))[:200]}"
        )
    return chosen


def idle_share(shapes: Mapping[str, tuple[int, int]], rank: int) -> float:
    """Share of an adapter's values that it could do without: a matrix has no rank above its smaller side."""
    n_all = sum(rank * (n_in + n_out) for n_out, n_in in shapes.values())
    n_idle = sum(max(rank - min(n_in, n_out), 0) * (n_in + n_out) for n_out, n_in in shapes.values())
    return n_idle / n_all


def rank_note(shapes: Mapping[str, tuple[int, int]], rank: int) -> str | None:
    """What a rank above the smaller side of a matrix costs; None where there is none."""
    above = [name for name, sides in shapes.items() if rank > min(sides)]
    if not above:
        return None
    n_out, n_in = shapes[above[0]]
    first = f"`{above[0]}` is {n_out} × {n_in}"
    return (
        f"rank {rank} is more than {len(above):,} of {len(shapes):,} matrices can have ({first}): "
        f"{idle_share(shapes, rank):.0%} of the adapter's parameters take memory and time, and add nothing"
    )


def _parts(targets: str) -> set[str]:
    parts: set[str] = set()
    for written in targets.split(","):
        word = OTHER_NAMES.get(written.lower(), written.lower())
        if word not in GROUPS and word not in KNOWN:
            close = nearest(word, (*GROUPS, *KNOWN))
            known = f"the names are {', '.join((*GROUPS, *KNOWN))}"
            raise ConfigError(
                f"`--lora-targets` does not know `{written}`", f"did you mean `{close}`? {known}" if close else known
            )
        parts.update(GROUPS.get(word, (word,)))
    return parts


def _layers(layers: str, n_layer: int) -> Iterable[int]:
    if layers == "all":
        return range(n_layer)
    if layers.startswith("last:"):
        first, last = n_layer - int(layers[5:]), n_layer - 1
    else:
        start, dash, end = layers.partition("-")
        first = int(start)
        last = int(end) if end else (n_layer - 1 if dash else first)
    if not 0 <= first <= last < n_layer:
        raise ConfigError(
            f"`--lora-layers {layers}` does not fit this model of {n_layer} layers",
            f"layers are counted from 0 to {n_layer - 1}",
        )
    return range(first, last + 1)


def _layer(name: str) -> int:
    return int(name.split(".")[1]) if name.startswith("blk.") else -1


def _part(name: str) -> str:
    return name.split(".")[2] if name.startswith("blk.") else name.split(".")[0]
