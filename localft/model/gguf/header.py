"""Read a GGUF file's header without trusting one byte of it.

llama.cpp aborts the process on some damaged files, so every file passes here, and `check.check_header`, first.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFValueType, LlamaFileType
from numpy.typing import NDArray

from localft.errors import ModelError
from localft.files import open_file
from localft.kinds.file_kind import Kind, file_kind
from localft.visible import one_line

Scalar = int | float | bool | str

_SCALARS: dict[GGUFValueType, str] = {
    GGUFValueType.UINT8: "B",
    GGUFValueType.INT8: "b",
    GGUFValueType.UINT16: "H",
    GGUFValueType.INT16: "h",
    GGUFValueType.UINT32: "I",
    GGUFValueType.INT32: "i",
    GGUFValueType.FLOAT32: "f",
    GGUFValueType.BOOL: "?",
    GGUFValueType.UINT64: "Q",
    GGUFValueType.INT64: "q",
    GGUFValueType.FLOAT64: "d",
}
MAX_NAME = 63  # ggml keeps 64 bytes with the closing zero
MAX_DIMS = 4
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Array:
    """An array in the metadata: numbers as NumPy, strings as a tuple of bytes."""

    type: GGUFValueType
    values: NDArray[np.generic] | tuple[bytes, ...]

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class TensorInfo:
    """One tensor's place in the file. `ne` is in ggml's order: ne[0] is the length of a row."""

    name: str
    ne: tuple[int, ...]
    type: GGMLQuantizationType
    offset: int
    n_bytes: int


@dataclass(frozen=True)
class Header:
    """Everything before the weights. `types` has the GGUF type of each scalar in `values`."""

    path: Path
    n_bytes: int
    data_start: int
    values: Mapping[str, Scalar]
    types: Mapping[str, GGUFValueType]
    arrays: Mapping[str, Array]
    tensors: Mapping[str, TensorInfo]

    @property
    def architecture(self) -> str:
        return str(self.values.get("general.architecture", ""))


def damaged(path: Path, what: str) -> ModelError:
    """The error for a file that llama.cpp must not see."""
    return ModelError(f"`{path}` is not a usable GGUF: {what}", "convert or download the model again")


def shown(value: object) -> str:
    """A value of the file as a message shows it: at most 80 characters, on one line."""
    return one_line(str(value), 80)


def _no_gguf(path: Path) -> ModelError:
    kind = file_kind(path)
    if kind.what and kind.kind is not Kind.UNKNOWN:
        return ModelError(f"`{path}` is {kind.what}", kind.hint)
    return damaged(path, "it does not start as a GGUF file does")


class _Reader:
    """Sequential reads that never ask for more than the file holds."""

    def __init__(self, path: Path, file: BinaryIO, size: int) -> None:
        self.path, self.file, self.size, self.at = path, file, size, 0

    def take(self, n: int) -> bytes:
        if n > self.size - self.at:
            raise damaged(self.path, "it ends in the middle of its header")
        self.at += n
        return self.file.read(n)

    def scalar(self, kind: GGUFValueType) -> int | float | bool:
        code = "<" + _SCALARS[kind]
        value: int | float | bool = struct.unpack(code, self.take(struct.calcsize(code)))[0]
        return value

    def u32(self) -> int:
        return int(self.scalar(GGUFValueType.UINT32))

    def u64(self) -> int:
        return int(self.scalar(GGUFValueType.UINT64))

    def raw_string(self) -> bytes:
        return self.take(self.u64())

    def strings(self, n: int) -> list[bytes]:
        """`n` strings in a row; vocabularies hold hundreds of thousands, so this is the fast path of `raw_string`."""
        found: list[bytes] = []
        unpack, append = struct.Struct("<Q").unpack_from, found.append
        block, at, end = b"", 0, 0
        while len(found) < n:
            stop = at + 8 + unpack(block, at)[0] if at + 8 <= end else at + 8
            if stop <= end:
                append(block[at + 8 : stop])
                at = stop
                continue
            self.at += at
            more = self.file.read(max(_BLOCK, stop - end)) if stop - at <= self.size - self.at else b""
            if not more:
                raise damaged(self.path, "it ends in the middle of its header")
            block, at = block[at:] + more, 0
            end = len(block)
        self.at += at
        self.file.seek(self.at)
        return found

    def string(self, what: str) -> str:
        try:
            return self.raw_string().decode("utf-8")
        except UnicodeDecodeError as error:
            raise damaged(self.path, f"{what} is not valid UTF-8") from error

    def kind(self, what: str) -> GGUFValueType:
        code = self.u32()
        try:
            return GGUFValueType(code)
        except ValueError as error:
            raise damaged(self.path, f"{what} has the unknown type {code}") from error

    def array(self, key: str) -> Array:
        kind, n = self.kind(f'the array "{shown(key)}"'), self.u64()
        if kind == GGUFValueType.STRING:
            if n > (self.size - self.at) // 8:
                raise damaged(self.path, f'the array "{shown(key)}" claims {n} strings, more than the file can hold')
            return Array(kind, tuple(self.strings(n)))
        if kind not in _SCALARS:
            raise damaged(self.path, f'the array "{shown(key)}" holds arrays')
        dtype = np.dtype("<" + _SCALARS[kind]) if kind != GGUFValueType.BOOL else np.dtype(np.bool_)
        if n > (self.size - self.at) // dtype.itemsize:
            raise damaged(self.path, f'the array "{shown(key)}" claims {n} values, more than the file can hold')
        return Array(kind, np.frombuffer(self.take(n * dtype.itemsize), dtype=dtype))


def read_header(path: Path) -> Header:
    """Read metadata and tensor places, checking each against the size of the file.

    Raises:
        ModelError: the file cannot be read, is no GGUF, is truncated, or says something impossible.
    """
    try:
        size = path.stat().st_size
        with open_file(path) as file:
            return _read(_Reader(path, file, size))
    except OSError as error:
        hint = "check the path, and that it is a file that you may read"
        raise ModelError(f"`{path}` cannot be read: {error.strerror or error}", hint) from error


def _read(reader: _Reader) -> Header:
    if reader.size < 24 or reader.take(4) != b"GGUF":
        raise _no_gguf(reader.path)
    version = reader.u32()
    if version not in (2, 3):
        raise damaged(reader.path, f"its version is {version}; 2 and 3 can be read")
    n_tensors, n_values = reader.u64(), reader.u64()
    # A value takes at least 13 bytes and a tensor 32, so these bounds reject no honest file.
    if n_values > reader.size // 13 or n_tensors > reader.size // 32:
        raise damaged(
            reader.path, f"it claims {n_tensors} tensors and {n_values} metadata values, more than it can hold"
        )
    values, types, arrays = _read_values(reader, n_values)
    alignment = _alignment(reader.path, values, types)
    places = [_read_tensor(reader) for _ in range(n_tensors)]
    data_start = -(-reader.at // alignment) * alignment
    tensors = _place(reader, places, data_start, alignment)
    return Header(reader.path, reader.size, data_start, values, types, arrays, tensors)


def _read_values(reader: _Reader, n: int) -> tuple[dict[str, Scalar], dict[str, GGUFValueType], dict[str, Array]]:
    values: dict[str, Scalar] = {}
    types: dict[str, GGUFValueType] = {}
    arrays: dict[str, Array] = {}
    for _ in range(n):
        key = reader.string("a metadata key")
        if not key or key in values or key in arrays:
            raise damaged(reader.path, f'the metadata key "{shown(key)}" is empty or there twice')
        kind = reader.kind(f'"{shown(key)}"')
        if kind == GGUFValueType.ARRAY:
            arrays[key] = reader.array(key)
            continue
        types[key] = kind
        values[key] = reader.string(f'"{shown(key)}"') if kind == GGUFValueType.STRING else reader.scalar(kind)
    return values, types, arrays


def _alignment(path: Path, values: Mapping[str, Scalar], types: Mapping[str, GGUFValueType]) -> int:
    key = "general.alignment"
    if key not in values:
        return 32
    value = values[key]
    # ggml's CPU backend aborts below 32 (its buffers' own alignment), and GGUF asks for a power of two.
    if (
        types[key] != GGUFValueType.UINT32
        or not isinstance(value, int)
        or value < 32
        or value & (value - 1)
        or value > 1 << 20
    ):
        raise damaged(path, f"its {key} is {shown(value)}; a power of two from 32 up is needed")
    return value


def _read_tensor(reader: _Reader) -> TensorInfo:
    name = reader.string("a tensor's name")
    if not name or len(name.encode()) > MAX_NAME:
        raise damaged(reader.path, f"a tensor's name has {len(name.encode())} bytes; 1 to {MAX_NAME} are allowed")
    n_dims = reader.u32()
    if not 1 <= n_dims <= MAX_DIMS:
        raise damaged(reader.path, f"tensor `{name}` has {n_dims} dimensions")
    ne = tuple(reader.u64() for _ in range(n_dims))
    code = reader.u32()
    try:
        kind = GGMLQuantizationType(code)
        block, block_bytes = GGML_QUANT_SIZES[kind]
    except (ValueError, KeyError) as error:
        raise damaged(reader.path, f"tensor `{name}` has the unknown type {code}") from error
    if min(ne) < 1 or math.prod(ne) >= 1 << 62:
        raise damaged(reader.path, f"tensor `{name}` has the impossible shape {list(ne)}")
    if ne[0] % block:
        raise damaged(
            reader.path, f"tensor `{name}` has rows of {ne[0]}, no multiple of {kind.name}'s block of {block}"
        )
    return TensorInfo(name, ne, kind, reader.u64(), math.prod(ne) // block * block_bytes)


def _place(reader: _Reader, places: list[TensorInfo], data_start: int, alignment: int) -> dict[str, TensorInfo]:
    tensors: dict[str, TensorInfo] = {}
    expected = 0
    for info in places:
        if info.name in tensors:
            raise damaged(reader.path, f"tensor `{info.name}` is there twice")
        if info.offset != expected:
            raise damaged(reader.path, f"tensor `{info.name}` starts at {info.offset} where {expected} is due")
        if data_start + info.offset + info.n_bytes > reader.size:
            missing = data_start + info.offset + info.n_bytes - reader.size
            raise damaged(reader.path, f"it is truncated: {missing} bytes of tensor `{info.name}` are missing")
        expected += -(-info.n_bytes // alignment) * alignment
        tensors[info.name] = info
    return tensors


def file_type(header: Header) -> str | None:
    """The GGUF's type in the flags' spelling ("q8_0", "q4_k_m", "f32"), or None where it does not say."""
    try:
        name = str(LlamaFileType(header.values.get("general.file_type")).name)
    except ValueError:
        return None
    return name.removeprefix("MOSTLY_").removeprefix("ALL_").lower()
