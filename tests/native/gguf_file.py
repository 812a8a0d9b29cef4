"""A GGUF taken apart into metadata and tensors, and written again byte by byte, whatever it then says."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from pathlib import Path

import gguf
from golden import models

SHAPE = models.MODELS["tiny"]
U32, I32, F32, STRING, ARRAY, U64 = 4, 5, 6, 8, 9, 10
# Metadata of a type, and its bytes.
Value = tuple[int, bytes]


@dataclass(frozen=True)
class Tensor:
    """What a file says of one tensor, and its bytes."""

    ne: tuple[int, ...]
    type: int
    data: bytes
    offset: int | None = None


@dataclass(frozen=True)
class File:
    """A GGUF, open to abuse."""

    metadata: dict[str, Value]
    tensors: dict[str, Tensor]
    magic: bytes = b"GGUF"
    version: int = 3
    n_tensors: int | None = None
    n_metadata: int | None = None
    alignment: int = 32
    tail: bytes = field(default=b"")

    def set(self, **values: Value) -> File:
        """Metadata changed; "llama.block_count" is written llama__block_count."""
        return replace(self, metadata={**self.metadata, **{k.replace("__", "."): v for k, v in values.items()}})

    def drop(self, name: str) -> File:
        """Without that metadata or tensor."""
        metadata = {key: value for key, value in self.metadata.items() if key != name}
        return replace(self, metadata=metadata, tensors={k: t for k, t in self.tensors.items() if k != name})

    def tensor(self, name: str, tensor: Tensor) -> File:
        return replace(self, tensors={**self.tensors, name: tensor})

    def change(self, name: str, **values: object) -> File:
        return self.tensor(name, replace(self.tensors[name], **values))  # type: ignore[arg-type]

    def write(self) -> bytes:
        n_tensors = len(self.tensors) if self.n_tensors is None else self.n_tensors
        n_metadata = len(self.metadata) if self.n_metadata is None else self.n_metadata
        head = self.magic + struct.pack("<IQQ", self.version, n_tensors, n_metadata)
        for key, (kind, value) in self.metadata.items():
            head += packed(key) + struct.pack("<I", kind) + value
        body = b""
        for name, t in self.tensors.items():
            offset = len(body) if t.offset is None else t.offset
            head += packed(name) + struct.pack(f"<I{len(t.ne)}QIQ", len(t.ne), *t.ne, t.type, offset)
            body += t.data + bytes(-len(t.data) % self.alignment)
        return head + bytes(-len(head) % self.alignment) + body + self.tail


def packed(text: str) -> bytes:
    raw = text.encode(errors="surrogateescape")
    return struct.pack("<Q", len(raw)) + raw


def u32(value: int) -> Value:
    return U32, struct.pack("<I", value)


def f32(value: float) -> Value:
    return F32, struct.pack("<f", value)


def text(value: str) -> Value:
    return STRING, packed(value)


def u32_array(*values: int) -> Value:
    return ARRAY, struct.pack(f"<IQ{len(values)}I", U32, len(values), *values)


def honest(path: Path, outtype: str = "f32") -> File:
    """The tiny model's file, taken apart. Its vocabulary is left out: native code reads none."""
    reader = gguf.GGUFReader(models.write_gguf(SHAPE, path, outtype))
    metadata = {}
    for key, value in reader.fields.items():
        if key.startswith(("GGUF.", "tokenizer.")):
            continue
        raw = b"".join(bytes(part) for part in value.parts[3:])
        metadata[key] = (int(value.types[0]), raw)
    tensors = {
        t.name: Tensor(tuple(int(n) for n in t.shape), int(t.tensor_type), t.data.tobytes()) for t in reader.tensors
    }
    return File(metadata, tensors)
