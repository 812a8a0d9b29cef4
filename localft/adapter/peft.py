"""LoRA adapters to and from PEFT's folder of `adapter_config.json` and `adapter_model.safetensors`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from localft.adapter.file import Adapter, LoraTensor
from localft.errors import AdapterError
from localft.files import open_file, read_text
from localft.json_text import parse_json
from localft.kinds.file_kind import Kind, unfit
from localft.kinds.folder_kind import MLX_FOLDER, folder_kind
from localft.model import qk_order
from localft.model.gguf.check import check_gguf
from localft.model.gguf.header import Header
from localft.model.hf_names import HF_MODULES, PERMUTED, gguf_name, hf_module
from localft.outputs import output_paths

Factor = NDArray[np.float32]

_HINT = "give a LoRA adapter as `save_pretrained` of PEFT writes it"
_PREFIX = "base_model.model."
_UNSUPPORTED = {"use_dora": "DoRA", "fan_in_fan_out": "fan_in_fan_out", "modules_to_save": "modules_to_save"}
_MOST_QUANTIFIERS, _LONGEST_PATTERN = 4, 200
_DTYPES = {"F32": np.float32, "F16": np.float16, "F64": np.float64}


def to_peft(
    adapter: Adapter, folder: Path | str, base: Path | str, *, base_model_name: str | None = None, force: bool = False
) -> None:
    """Write an adapter as a PEFT folder that `PeftModel.from_pretrained` loads.

    Args:
        adapter: what `read_adapter` returned.
        folder: made where it is missing.
        base: the base GGUF, which knows the number of heads.
        base_model_name: goes into the config as `base_model_name_or_path`.
        force: replace files that are there, whosever they are.

    Raises:
        AdapterError: the architecture or a tensor has no PEFT counterpart.
        ConfigError: see `output_paths`.
    """
    from safetensors.numpy import save

    heads = _Heads(check_gguf(Path(base)), adapter.architecture)
    tensors: dict[str, Factor] = {}
    for name, (a, b) in adapter.tensors.items():
        module = _PREFIX + hf_module(name)
        tensors[f"{module}.lora_A.weight"] = np.ascontiguousarray(a)
        tensors[f"{module}.lora_B.weight"] = np.ascontiguousarray(heads.to_hf(name, b))
    config = _peft_config(adapter, base_model_name)
    wanted = Path(folder) / "adapter_model.safetensors", Path(folder) / "adapter_config.json"
    with output_paths(*wanted, force=force) as (weights, settings):
        weights.write_bytes(save(tensors, metadata={"format": "pt"}))
        settings.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _peft_config(adapter: Adapter, base_model_name: str | None) -> dict[str, Any]:
    modules = [hf_module(name) for name in adapter.tensors]
    ranks = {m: t.a.shape[0] for m, t in zip(modules, adapter.tensors.values(), strict=True)}
    scaled = adapter.alpha or float(adapter.rank)
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base_model_name,
        "r": adapter.rank,
        "lora_alpha": int(scaled) if scaled == int(scaled) else scaled,
        "rank_pattern": {m: r for m, r in ranks.items() if r != adapter.rank},
        "alpha_pattern": {} if adapter.alpha else {m: r for m, r in ranks.items() if r != adapter.rank},
        "target_modules": modules,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
        "use_rslora": False,
        "use_dora": False,
        "inference_mode": True,
    }


def from_peft(
    folder: Path | str, base: Path | str, *, metadata: Mapping[str, str | int | float | bool] | None = None
) -> Adapter:
    """Read a PEFT LoRA folder as an adapter for a base GGUF of the same model.

    Whatever differs from alpha / rank (rsLoRA, alpha_pattern) is folded into lora_b.

    Raises:
        AdapterError: files are missing or damaged, or the adapter uses what a GGUF adapter cannot hold.
    """
    folder = Path(folder)
    header = check_gguf(Path(base))
    architecture = header.architecture
    heads = _Heads(header, architecture)
    config, factors = _read_config(folder), _read_factors(folder, header)
    alpha = float(config["lora_alpha"])
    tensors = {}
    for module, (a, b) in factors.items():
        name, rank = gguf_name(module), a.shape[0]
        extra = _peft_scale(config, module, rank) * rank / alpha
        b = heads.to_gguf(name, b)
        tensors[name] = LoraTensor(a, b if abs(extra - 1) < 1e-12 else (b * np.float32(extra)))
    rank = max(t.a.shape[0] for t in tensors.values())
    ordered = {name: tensors[name] for name in sorted(tensors, key=_model_order)}
    return Adapter(architecture, rank, alpha, ordered, dict(metadata or {}))


def _model_order(name: str) -> tuple[int, int]:
    parts = name.split(".")
    return (int(parts[1]), list(HF_MODULES).index(parts[2])) if parts[0] == "blk" else (1 << 30, 0)


def _peft_scale(config: Mapping[str, Any], module: str, rank: int) -> float:
    alpha = float(config["lora_alpha"])
    for pattern, value in (config.get("alpha_pattern") or {}).items():
        if re.fullmatch(rf"(.*\.)?({pattern})", module):
            alpha = float(value)
            break
    return float(alpha / (np.sqrt(rank) if config.get("use_rslora") else rank))


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / "adapter_config.json"
    if folder_kind(folder) is MLX_FOLDER:
        raise AdapterError(f"`{folder}` is {MLX_FOLDER.what}", MLX_FOLDER.hint)
    if found := unfit(path, Kind.EMPTY, Kind.UTF16, Kind.WEB_PAGE):
        raise AdapterError(f"`{path}` is {found.what}", found.hint)
    try:
        config = parse_json(read_text(path))
    except (OSError, ValueError) as error:
        raise AdapterError(f"`{path}` cannot be read: {error}", "give the folder that PEFT saved") from error
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        raise AdapterError(f"`{path}` is no LoRA config", "only LoRA adapters can be converted")
    for key, what in _UNSUPPORTED.items():
        if config.get(key):
            raise AdapterError(f"`{folder}` uses {what}, which a GGUF adapter cannot hold", "train it as plain LoRA")
    alpha = config.get("lora_alpha")
    if not _is_number(alpha) or not alpha:
        raise AdapterError(f"`{path}` has lora_alpha = {alpha!r}", "a number other than 0 was expected")
    patterns = config.get("alpha_pattern") or {}
    if not isinstance(patterns, dict) or not all(map(_is_number, patterns.values())):
        raise AdapterError(f"`{path}` has alpha_pattern = {patterns!r}", "an object of numbers was expected")
    for pattern in patterns:
        _require_quick(path, pattern)
    return config


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _require_quick(path: Path, pattern: str) -> None:
    """Refuse a regular expression that is none, or that may take for ever on the name of a module."""
    quantifiers = re.findall(r"(\\.|[^\\])?[*+{]", pattern)
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError):
        quantifiers = [")"]
    if ")" in quantifiers or len(quantifiers) > _MOST_QUANTIFIERS or len(pattern) > _LONGEST_PATTERN:
        message = f"`{path}` has `{pattern}` in its alpha_pattern"
        raise AdapterError(message, "a name, or a regular expression that is quickly matched, was expected")


def _read_factors(folder: Path, base: Header) -> dict[str, tuple[Factor, Factor]]:
    from safetensors import SafetensorError, deserialize

    path = folder / "adapter_model.safetensors"
    if found := unfit(path, Kind.EMPTY, Kind.WEB_PAGE, Kind.BINARY):
        raise AdapterError(f"`{path}` is {found.what}", found.hint)
    try:
        with open_file(path) as file:
            stored = deserialize(file.read())  # type: ignore[no-untyped-call]
    except (OSError, SafetensorError) as error:
        hint = "PEFT saves it with safe_serialization=True, its default"
        raise AdapterError(f"`{path}` cannot be read: {error}", hint) from error
    parts: dict[str, dict[str, Factor]] = {}
    for name, tensor in stored:
        if _is_base_copy(path, name, tensor, base):
            continue
        match = re.fullmatch(r"(?:base_model\.model\.)?(.+)\.lora_([AB])(?:\.default)?\.weight", name)
        if not match:
            raise AdapterError(f"`{path}` has tensor `{name}`, which a GGUF adapter cannot hold", _HINT)
        parts.setdefault(match[1], {})[match[2]] = _as_f32(path, name, tensor)
    for module, pair in parts.items():
        if len(pair) != 2 or pair["A"].ndim != 2 or pair["A"].shape[0] != pair["B"].shape[-1]:
            raise AdapterError(f"`{path}`: the factors of `{module}` do not fit together", _HINT)
    if not parts:
        raise AdapterError(f"`{path}` holds no LoRA tensors", _HINT)
    return {module: (pair["A"], pair["B"]) for module, pair in parts.items()}


def _is_base_copy(path: Path, name: str, tensor: Mapping[str, Any], base: Header) -> bool:
    """PEFT stores the untrained embeddings and head beside LoRA on the head; they are the base model's own."""
    if not re.search(r"(embed_tokens|lm_head)(\.base_layer)?\.weight$", name):
        return False
    n_vocab = base.tensors["token_embd.weight"].ne[1]
    if list(tensor["shape"])[:1] != [n_vocab]:
        raise AdapterError(
            f"`{path}` holds `{name}` for a vocabulary of {tensor['shape'][0]}, the base model's is {n_vocab}",
            "an adapter that changed the vocabulary cannot become a GGUF adapter",
        )
    return True


def _as_f32(path: Path, name: str, tensor: Mapping[str, Any]) -> Factor:
    raw, dtype = bytes(tensor["data"]), tensor["dtype"]
    if dtype == "BF16":
        values: Factor = (np.frombuffer(raw, np.uint16).astype(np.uint32) << 16).view(np.float32)
    elif dtype in _DTYPES:
        values = np.frombuffer(raw, _DTYPES[dtype]).astype(np.float32)
    else:
        raise AdapterError(f"`{path}` stores `{name}` as {dtype}", "f32, f16, bf16 or f64 was expected")
    shaped: Factor = values.reshape(tensor["shape"])
    return shaped


class _Heads:
    """Which rows of B stand in another order, and for how many heads (see `qk_order`)."""

    def __init__(self, header: Header, architecture: str) -> None:
        if architecture not in PERMUTED:
            known = ", ".join(PERMUTED)
            raise AdapterError(
                f'adapters of architecture "{architecture}" have no PEFT form here', f"supported: {known}"
            )
        self.permuted = PERMUTED[architecture]
        n_head = int(header.values.get(f"{architecture}.attention.head_count", 0))
        n_head_kv = int(header.values.get(f"{architecture}.attention.head_count_kv", n_head))
        self.n_head = {"attn_q": n_head, "attn_k": n_head_kv}

    def _count(self, name: str, b: Factor) -> int:
        n_head = self.n_head.get(name.split(".")[-2], 0) if self.permuted else 0
        if n_head and b.shape[0] % (2 * n_head):
            raise AdapterError(
                f"`{name}` has {b.shape[0]} outputs, which {n_head} heads cannot share", "name its own base"
            )
        return n_head

    def to_gguf(self, name: str, b: Factor) -> Factor:
        """(n_out, rank) in Hugging Face's row order → the GGUF's."""
        return qk_order.to_gguf(b, self._count(name, b))

    def to_hf(self, name: str, b: Factor) -> Factor:
        """The inverse of `to_gguf`."""
        return qk_order.to_hf(b, self._count(name, b))
