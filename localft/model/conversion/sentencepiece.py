"""Read sentencepiece's tokenizer.model: a protobuf message, of which a vocabulary needs few fields.

Field numbers are those of sentencepiece_model.proto in google/sentencepiece (ModelProto, TrainerSpec, NormalizerSpec).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from localft.errors import ModelError
from localft.files import read_bytes
from localft.kinds.file_kind import Kind, unfit

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
_MODEL_TYPES = {1: "unigram", 2: "bpe", 3: "word", 4: "char"}


@dataclass(frozen=True)
class Piece:
    """One entry of the vocabulary; `kind` is sentencepiece's, which GGUF's token types follow."""

    text: str
    score: float
    kind: int


@dataclass(frozen=True)
class SentencePieceModel:
    """What tokenizer.model says. `normalizer` is "identity" where text is taken as it stands."""

    pieces: tuple[Piece, ...]
    model_type: str
    bos_id: int
    eos_id: int
    normalizer: str
    add_dummy_prefix: bool
    remove_extra_whitespaces: bool


class _MalformedError(ValueError):
    pass


Value = int | bytes


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise _MalformedError("a number runs over its end")
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
        shift += 7


def _fields(data: bytes) -> Iterator[tuple[int, Value]]:
    """Yield (field number, value) of one message; fixed-width values come as their bytes."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        wire = tag & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield tag >> 3, value
            continue
        if wire == 2:
            size, at = _varint(data, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise _MalformedError(f"wire type {wire}")
        if size > len(data) - at:
            raise _MalformedError("a field runs over the end of its message")
        yield tag >> 3, data[at : at + size]
        at += size


def _signed(value: Value) -> int:
    if not isinstance(value, int):
        raise _MalformedError("a number is not a varint")
    return value - (1 << 64) if value >> 63 else value


def _bytes(value: Value) -> bytes:
    if not isinstance(value, bytes):
        raise _MalformedError("a string is a varint")
    return value


def _piece(data: bytes) -> Piece:
    text, score, kind = "", 0.0, NORMAL
    for number, value in _fields(data):
        if number == 1:
            text = _bytes(value).decode("utf-8")
        elif number == 2:
            score = struct.unpack("<f", _bytes(value))[0]
        elif number == 3:
            kind = _signed(value)
    return Piece(text, score, kind)


def parse(data: bytes) -> SentencePieceModel:
    """Parse the bytes of a tokenizer.model.

    Raises:
        ValueError: not a ModelProto.
    """
    pieces: list[Piece] = []
    spec = {"model_type": 1, "bos_id": 1, "eos_id": 2}
    normalizer = ""
    flags = {3: True, 4: True}
    for number, value in _fields(data):
        if number == 1:
            pieces.append(_piece(_bytes(value)))
        elif number == 2:
            names = {3: "model_type", 41: "bos_id", 42: "eos_id"}
            spec |= {names[n]: _signed(v) for n, v in _fields(_bytes(value)) if n in names}
        elif number == 3:
            for n, v in _fields(_bytes(value)):
                if n == 1:
                    normalizer = _bytes(v).decode("utf-8")
                elif n in flags:
                    flags[n] = bool(_signed(v))
    if not pieces:
        raise _MalformedError("it holds no pieces")
    return SentencePieceModel(
        pieces=tuple(pieces),
        model_type=_MODEL_TYPES.get(spec["model_type"], str(spec["model_type"])),
        bos_id=spec["bos_id"],
        eos_id=spec["eos_id"],
        normalizer=normalizer,
        add_dummy_prefix=flags[3],
        remove_extra_whitespaces=flags[4],
    )


def read_sentencepiece(path: Path) -> SentencePieceModel:
    """Read a tokenizer.model file.

    Raises:
        ModelError: unreadable, damaged, or no sentencepiece model.
    """
    if found := unfit(path, Kind.EMPTY, Kind.WEB_PAGE):
        raise ModelError(f"`{path}` is {found.what}", found.hint)
    try:
        return parse(read_bytes(path))
    except OSError as error:
        raise ModelError(f"`{path}` cannot be read: {error.strerror or error}", "check the file") from error
    except (ValueError, struct.error) as error:
        raise ModelError(f"`{path}` is no sentencepiece model: {error}", "download the model again") from error
