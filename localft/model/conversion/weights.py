"""Which tensor of the checkpoint becomes which tensor of the GGUF, and how."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from gguf import MODEL_ARCH_NAMES, get_tensor_name_map, quants
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
from numpy.typing import NDArray

from localft.errors import ModelError
from localft.model import qk_order
from localft.model.conversion.hf_checkpoint import HfCheckpoint
from localft.model.conversion.hparams import Hparams
from localft.model.conversion.rope import rope_factors

# Buffers that old checkpoints carry and that follow from the config.
_IGNORED = re.compile(r".*\.(rotary_emb\.inv_freq|attention\.(masked_)?bias)")


_EMBEDDING, _HEAD = "token_embd.weight", "output.weight"


@dataclass(frozen=True)
class PlannedTensor:
    """A tensor of the output: `shape` in NumPy's order, rows first; `load` gives its values as the file holds them."""

    name: str
    shape: tuple[int, ...]
    type: GGMLQuantizationType
    load: Callable[[], NDArray[Any]]

    @property
    def n_bytes(self) -> int:
        block, block_bytes = GGML_QUANT_SIZES[self.type]
        return int(math.prod(self.shape) // block * block_bytes)


def plan_tensors(checkpoint: HfCheckpoint, hparams: Hparams, kind: GGMLQuantizationType) -> tuple[PlannedTensor, ...]:
    """Match the checkpoint with the tensors that the architecture must have; gives them in model order.

    Args:
        kind: type of the matrices; vectors are always F32, and rows that `kind` cannot hold become F16.

    Raises:
        ModelError: a tensor is missing, unknown, or has another shape than config.json says.
    """
    found = _rename(checkpoint, hparams)
    if hparams.tied and _EMBEDDING not in found and _HEAD in found:
        found[_EMBEDDING] = found.pop(_HEAD)
    shapes = hparams.weight_shapes()
    unknown = found.keys() - shapes.keys() - {_HEAD}
    if unknown:
        raise _unplaced(checkpoint, found[min(unknown)])
    tensors = [_plan(checkpoint, hparams, found, name, shape, kind) for name, shape in shapes.items()]
    if hparams.rope_scaling and hparams.rope_scaling.kind == "llama3":
        factors = rope_factors(hparams.rope_scaling, hparams.n_embd_head, hparams.rope_freq_base)
        tensors.insert(0, PlannedTensor("rope_freqs.weight", factors.shape, GGMLQuantizationType.F32, lambda: factors))
    return tuple(tensors)


def with_own_head(checkpoint: HfCheckpoint, hparams: Hparams) -> Hparams:
    """`hparams`, not tied where the checkpoint holds a head other than its embedding: transformers then takes that."""
    if not hparams.tied:
        return hparams
    found = _rename(checkpoint, hparams)
    if _HEAD not in found or _EMBEDDING not in found:
        return hparams
    head, embedding = (checkpoint.tensors[found[name]] for name in (_HEAD, _EMBEDDING))
    if head.equals(embedding):
        return hparams
    warning = (
        f'config.json says "tie_word_embeddings", but `{found[_HEAD]}` differs from `{found[_EMBEDDING]}`: '
        "it is kept, as in transformers"
    )
    return replace(hparams, tied=False, warnings=(*hparams.warnings, warning))


def _rename(checkpoint: HfCheckpoint, hparams: Hparams) -> dict[str, str]:
    """GGUF name → Hugging Face name."""
    architecture = next(key for key, name in MODEL_ARCH_NAMES.items() if name == hparams.architecture.gguf)
    names = get_tensor_name_map(architecture, hparams.n_layer)
    found: dict[str, str] = {}
    for source in checkpoint.tensors:
        if _IGNORED.fullmatch(source):
            continue
        name = names.get_name(source, try_suffixes=(".weight", ".bias"))
        if name is None or name in found:
            raise _unplaced(checkpoint, source)
        found[name] = source
    return found


def _unplaced(checkpoint: HfCheckpoint, source: str) -> ModelError:
    return ModelError(
        f"tensor `{source}` of `{checkpoint.folder}` is none that its architecture has",
        "the model would lose a part of itself, so it is not converted",
    )


def _plan(
    checkpoint: HfCheckpoint,
    hparams: Hparams,
    found: dict[str, str],
    name: str,
    shape: tuple[int, ...],
    kind: GGMLQuantizationType,
) -> PlannedTensor:
    if name not in found:
        hint = 'set "tie_word_embeddings" in config.json if its head is its embedding' if name == _HEAD else None
        raise ModelError(f"`{checkpoint.folder}` has no tensor for `{name}`", hint or "download the model again")
    source = found[name]
    stored = checkpoint.tensors[source]
    if name in ("token_embd.weight", "output.weight") and stored.shape[1:] == shape[1:] and stored.shape != shape:
        raise ModelError(
            f"tensor `{source}` of `{checkpoint.folder}` has {stored.shape[0]} rows, one a token, and "
            f'"vocab_size" in its config.json is {shape[0]}: the vocabulary was resized',
            f'set "vocab_size" to {stored.shape[0]} in config.json, if the tokenizer has no more tokens than that',
        )
    if stored.shape != shape:
        raise ModelError(
            f"tensor `{source}` of `{checkpoint.folder}` has the shape {list(stored.shape)}; "
            f"its config.json asks for {list(shape)}",
            "config.json and the weights belong to different models",
        )
    n_head = {"attn_q": hparams.n_head, "attn_k": hparams.n_head_kv}.get(name.split(".")[-2])
    stored_as = type_for(shape, kind)

    def load() -> NDArray[Any]:
        data = stored.load()
        # Minimum and maximum carry NaN and infinity along and need no second copy of the tensor.
        if not (np.isfinite(data.min()) and np.isfinite(data.max())):
            raise ModelError(
                f"tensor `{source}` of `{checkpoint.folder}` holds NaN or infinity", "the checkpoint is damaged"
            )
        if n_head and hparams.architecture.permute_qk:
            data = qk_order.to_gguf(data, n_head)
        return encode(name, data, stored_as)

    return PlannedTensor(name, shape, stored_as, load)


def type_for(shape: tuple[int, ...], kind: GGMLQuantizationType) -> GGMLQuantizationType:
    """The type of a tensor of `shape` in a file of `kind`: vectors are F32, rows that `kind` cannot hold F16."""
    if len(shape) == 1:
        return GGMLQuantizationType.F32
    return kind if shape[-1] % GGML_QUANT_SIZES[kind][0] == 0 else GGMLQuantizationType.F16


def encode(name: str, data: NDArray[np.float32], kind: GGMLQuantizationType) -> NDArray[Any]:
    """Quantise one tensor with the gguf package.

    Raises:
        ModelError: a weight is too large for f16.
    """
    if kind == GGMLQuantizationType.F16 and max(data.max(), -data.min()) > np.finfo(np.float16).max:
        raise ModelError(f"tensor `{name}` has weights over 65504, which f16 cannot hold", "use --outtype bf16 or f32")
    encoded: NDArray[Any] = quants.quantize(data, kind)
    return encoded
