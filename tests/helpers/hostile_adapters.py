"""Adapter files that are wrong in one way each, with words of the sentence that refuses them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import gguf
import numpy as np
from adapters import Q, factors, raw_adapter
from tiny_llama import N_EMBD, SHAPES

Fill = Callable[[gguf.GGUFWriter], None]


class Case(NamedTuple):
    """What is written in place of a sound adapter's metadata (`changes` of `raw_adapter`) or tensors."""

    words: str
    fill: Fill = factors
    architecture: str = "llama"
    changes: Mapping[str, Fill | None] = {}


def hostile(folder: Path) -> dict[str, tuple[Path, str]]:
    """Every kind of adapter that must be refused: file, and words of the sentence that refuses it."""
    made = {"missing": (folder / "missing.gguf", "cannot be read"), "folder": (folder, "cannot be read")}
    for name, case in (*wrong_metadata().items(), *wrong_tensors().items()):
        made[name] = folder / f"{name}.gguf", case.words
        with raw_adapter(made[name][0], case.architecture, **case.changes) as writer:
            case.fill(writer)
    with raw_adapter(folder / "sound.gguf") as writer:
        factors(writer)
    for name, (words, data) in wrong_bytes((folder / "sound.gguf").read_bytes()).items():
        made[name] = folder / f"{name}.gguf", words
        made[name][0].write_bytes(data)
    return made


def wrong_metadata() -> dict[str, Case]:
    def changed(words: str, **changes: Fill | None) -> Case:
        return Case(words, changes=changes)

    return {
        "architecture": Case('architecture "gpt2"', architecture="gpt2"),
        "no-type": changed("general.type", type=None),
        "model-type": changed("general.type", type=lambda w: w.add_type("model")),
        "int-type": changed("general.type", type=lambda w: w.add_uint32("general.type", 3)),
        "no-adapter-type": changed("adapter.type", lora=None),
        "control-vector": changed("adapter.type", lora=lambda w: w.add_string("adapter.type", "control_vector")),
        "int-alpha": changed("adapter.lora.alpha", alpha=lambda w: w.add_uint32("adapter.lora.alpha", 8)),
        "array-alpha": changed("adapter.lora.alpha", alpha=lambda w: w.add_array("adapter.lora.alpha", [8.0])),
        "f64-alpha": changed("adapter.lora.alpha", alpha=lambda w: w.add_float64("adapter.lora.alpha", 8.0)),
        "nan-alpha": changed("adapter.lora.alpha", alpha=lambda w: w.add_float32("adapter.lora.alpha", float("nan"))),
        "alora": changed("activated", alora=lambda w: w.add_array("adapter.alora.invocation_tokens", [1, 2])),
        "alignment": changed("general.alignment", alignment=lambda w: w.add_uint32("general.alignment", 8)),
    }


def wrong_tensors() -> dict[str, Case]:
    n_ff = SHAPES["ffn_up"][0]

    def ones(*shape: int) -> np.ndarray:
        return np.ones(shape, np.float32)

    def tensors(**arrays: np.ndarray) -> Fill:
        def fill(writer: gguf.GGUFWriter) -> None:
            for suffix, values in arrays.items():
                writer.add_tensor(f"{Q}.{suffix}", values)

        return fill

    def pair(name: str, shape: tuple[int, int] = SHAPES["attn_q"]) -> Fill:
        return lambda writer: factors(writer, name, shape)

    return {
        "no-tensors": Case("no LoRA tensors", tensors()),
        "unknown-layer": Case("blk.7.attn_q.weight", pair("blk.7.attn_q.weight")),
        "unknown-suffix": Case("neither", tensors(lora_c=ones(4, 4))),
        "embedding": Case("token_embd.weight", pair("token_embd.weight")),
        "vector": Case("no matrix", pair("output_norm.weight", (1, N_EMBD))),
        "rank": Case("rank 4", tensors(lora_a=ones(4, N_EMBD), lora_b=ones(N_EMBD, 5))),
        "swapped": Case("inputs", tensors(lora_a=ones(N_EMBD, 4), lora_b=ones(4, N_EMBD))),
        "shape": Case("inputs", pair("blk.0.ffn_up.weight", (n_ff + 32, N_EMBD))),
        "transposed": Case("inputs", pair("blk.0.ffn_up.weight", (N_EMBD, n_ff))),
        "three-dims": Case("shape", tensors(lora_a=ones(2, 4, N_EMBD))),
        "int-factor": Case("type i32", tensors(lora_a=np.ones((4, N_EMBD), np.int32))),
        "nan": Case("not finite", tensors(lora_a=ones(4, N_EMBD) * np.float32("nan"), lora_b=ones(N_EMBD, 4))),
        "only-a": Case("partner", tensors(lora_a=ones(4, N_EMBD))),
        "only-b": Case("partner", tensors(lora_b=ones(N_EMBD, 4))),
    }


def wrong_bytes(sound: bytes) -> dict[str, tuple[str, bytes]]:
    """A sound file with a few bytes changed or left out."""

    def number(at: int, form: str, value: int) -> bytes:
        return sound[:at] + struct.pack(form, value) + sound[at + struct.calcsize(form) :]

    def dims(*ne: int) -> bytes:
        return sound.replace(struct.pack("<IQQ", 2, N_EMBD, 4), struct.pack("<IQQ", 2, *ne), 1)

    return {
        "magic": ("does not start", b"GGML" + sound[4:]),
        "version": ("version", number(4, "<I", 99)),
        "empty": ("is empty", b""),
        "cut-header": ("ends in the middle", sound[:100]),
        "cut-data": ("truncated", sound[:-40]),
        "many-tensors": ("more than it can hold", number(8, "<Q", 2**60)),
        "many-keys": ("more than it can hold", number(16, "<Q", 2**60)),
        "long-key": ("ends in the middle", number(24, "<Q", 2**63)),
        "absurd-dims": ("impossible", dims(2**40, 2**40)),
        "zero-dims": ("impossible", dims(0, 4)),
        "huge-dims": ("truncated", dims(N_EMBD, 4000)),
        "bad-utf8": ("UTF-8", sound.replace(b"adapter.type", b"\xff\xfeapter.type", 1)),
    }
