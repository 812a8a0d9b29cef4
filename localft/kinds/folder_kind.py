"""What a folder is, by the files in it: a run, a checkpoint, an adapter, a saved data set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from localft.files import read_text
from localft.kinds.file_kind import MLX_ADAPTER, PEFT_WEIGHTS, FileKind, Kind

CONFIG = "config.json"
_MODEL_WEIGHTS = ("model*.safetensors*", "pytorch_model*.bin*")

SAVED_ROWS = FileKind(
    Kind.SAVED_ROWS,
    "a data set that `save_to_disk` of the library `datasets` wrote, which is not read",
    'write it with `load_from_disk(FOLDER)["train"].to_json("train.jsonl")`, or `to_parquet`',
)
MODEL_FOLDER = FileKind(Kind.MODEL_FOLDER, "the folder of a model", "give it to --model")
MLX_FOLDER = MLX_ADAPTER._replace(kind=Kind.ADAPTER_FOLDER)


def folder_kind(folder: Path) -> FileKind | None:
    """What a folder is; None where its files do not say."""
    config = _read(folder / CONFIG)
    if "fingerprint" in config:
        return _run(config)
    if (folder / "adapter_config.json").is_file() and not any(any(folder.glob(name)) for name in _MODEL_WEIGHTS):
        return _adapter(_read(folder / "adapter_config.json"))
    if (folder / "dataset_dict.json").is_file() or ((folder / "state.json").is_file() and any(folder.glob("*.arrow"))):
        return SAVED_ROWS
    return MODEL_FOLDER if "architectures" in config or "model_type" in config else None


def _run(config: dict[str, Any]) -> FileKind:
    base = config.get("base")
    path = base.get("path") if isinstance(base, dict) else None
    of = f", which trained on `{path}`: give --model that" if isinstance(path, str) and path else ""
    return FileKind(Kind.RUN, "the folder of a run", f"`localft chat --lora` talks to it{of}")


def _adapter(config: dict[str, Any]) -> FileKind:
    if "peft_type" not in config and ("fine_tune_type" in config or "lora_parameters" in config):
        return MLX_FOLDER
    base = config.get("base_model_name_or_path")
    hint = f"its base model is `{base}`; {PEFT_WEIGHTS.hint}" if isinstance(base, str) and base else PEFT_WEIGHTS.hint
    return FileKind(Kind.ADAPTER_FOLDER, "the folder of a PEFT adapter", hint)


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(read_text(path))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
