"""A checkpoint: one GGUF file with the adapter, the optimizer's moments, where the run stood, and how it was set up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFWriter
from gguf.constants import GGMLQuantizationType
from numpy.typing import NDArray

from localft.arrays import whole
from localft.engine import EngineState, LoraState
from localft.errors import LocalftError, ModelError
from localft.files import atomic_path
from localft.json_text import to_json
from localft.model.gguf.header import Header, read_header
from localft.run.record import RunRecord
from localft.run.stored import read_stored

VERSION = 1
KIND = "checkpoint"
_SUFFIXES = {"a": "lora_a", "b": "lora_b", "a_m": "lora_a.m", "a_v": "lora_a.v", "b_m": "lora_b.m", "b_v": "lora_b.v"}


@dataclass
class Cursor:
    """Where a run stands.

    Attributes:
        step: updates done.
        micro_step: micro-batches that went into them.
        validated: the last step that was validated, −1 = none.
        val_loss_before: validation loss before the first update.
        best_val_loss, best_step: the lowest validation loss after an update, and its step.
        n_tok: tokens trained on so far.
        seconds: wall time spent in steps and validations so far.
    """

    step: int = 0
    micro_step: int = 0
    validated: int = -1
    val_loss_before: float | None = None
    best_val_loss: float | None = None
    best_step: int = 0
    n_tok: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class _Counters:
    """How many updates and micro-batches the engine has seen."""

    step: int
    micro_step: int


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint as read from its file."""

    record: RunRecord
    cursor: Cursor
    state: EngineState


def write_checkpoint(path: Path, record: RunRecord, cursor: Cursor, state: EngineState) -> None:
    """Write a checkpoint, whole or not at all.

    Raises:
        OSError: the file cannot be written; an older one is then unchanged.
    """
    with atomic_path(path) as temporary, closing(GGUFWriter(temporary, record.base.architecture)) as writer:
        writer.add_type(KIND)
        writer.add_uint32("localft.checkpoint.version", VERSION)
        writer.add_string("localft.cursor", json.dumps(asdict(cursor)))
        writer.add_string("localft.counters", json.dumps({"step": state.step, "micro_step": state.micro_step}))
        writer.add_string("localft.run", to_json(record.to_dict()))
        for name, tensor in state.tensors.items():
            for key, suffix in _SUFFIXES.items():
                values: NDArray[np.float32] = getattr(tensor, key)
                if values.size:
                    writer.add_tensor(f"{name}.{suffix}", whole(np.ascontiguousarray(values, np.float32)))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        LocalftError: the file is missing, damaged, no checkpoint, or not one of this program.
    """
    header = _header(path)
    with _damage_named(path):
        counters = read_stored(_Counters, _json(header, "localft.counters"))
        state = EngineState(_tensors(path, header), counters.step, counters.micro_step)
        return Checkpoint(*_record_and_cursor(header), state)


def read_progress(path: Path) -> tuple[RunRecord, Cursor]:
    """Which run a checkpoint is of, and where that stood.

    Raises:
        LocalftError: see `read_checkpoint`.
    """
    header = _header(path)
    with _damage_named(path):
        return _record_and_cursor(header)


def _header(path: Path) -> Header:
    try:
        header = read_header(path)
    except ModelError as error:
        raise _damaged(error.message.replace("not a usable GGUF", "not a usable checkpoint")) from error
    _require_ours(path, header)
    return header


def _record_and_cursor(header: Header) -> tuple[RunRecord, Cursor]:
    record = RunRecord.from_dict(_json(header, "localft.run"))
    known = {spec.name for spec in fields(Cursor)}
    stored = {key: value for key, value in _json(header, "localft.cursor").items() if key in known}
    return record, read_stored(Cursor, stored)


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    try:
        yield
    except KeyError as error:
        raise _damaged(f"checkpoint `{path}` is damaged: it lacks {str(error)[:80]}") from error
    except (TypeError, ValueError, RecursionError) as error:
        raise _damaged(f"checkpoint `{path}` is damaged: {str(error)[:200]}") from error


def _require_ours(path: Path, header: Header) -> None:
    if header.values.get("general.type") == KIND and "localft.checkpoint.version" in header.values:
        version = header.values["localft.checkpoint.version"]
        if version != VERSION:
            raise LocalftError(
                f"checkpoint `{path}` is of version {version}; this localft reads version {VERSION}",
                "go on with the localft that wrote it",
            )
        return
    if any(key.startswith(("training.", "optimizer.")) for key in header.values):
        raise LocalftError(
            f"checkpoint `{path}` was written by the old llama.cpp program",
            "its optimizer state cannot be carried over; move the file away to start afresh",
        )
    raise LocalftError(f"`{path}` is no checkpoint", "give a run's folder, or the checkpoint.gguf in one")


def _tensors(path: Path, header: Header) -> dict[str, LoraState]:
    parts: dict[str, dict[str, NDArray[np.float32]]] = {}
    keys = {suffix: key for key, suffix in _SUFFIXES.items()}
    for name, info in header.tensors.items():
        base, _, suffix = name.partition(".lora_")
        if info.type is not GGMLQuantizationType.F32 or f"lora_{suffix}" not in keys:
            raise ValueError(f"tensor {name!r} does not belong in a checkpoint")
        values = np.fromfile(path, np.float32, info.n_bytes // 4, offset=header.data_start + info.offset).reshape(
            info.ne[::-1]
        )
        parts.setdefault(base, {})[keys[f"lora_{suffix}"]] = values
    return {name: LoraState(**factors) for name, factors in parts.items()}


def _json(header: Header, key: str) -> dict[str, Any]:
    value = json.loads(str(header.values.get(key) or "null"))
    if not isinstance(value, dict):
        raise ValueError(f"{key} is missing")
    return value


def _damaged(message: str) -> LocalftError:
    return LocalftError(message, "start again without it, or give another run to --resume")
