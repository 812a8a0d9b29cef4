"""What a file is, by its bytes and not by its name: the one place where that is decided, for data, models and adapters.

`file_kind` looks at a path, `head_kind` at the first bytes of a file. Each kind has the words for it ("`x` is a Git LFS
pointer …") and a way out. Folders are told apart in `folder_kind.py`, texts in `text_kind.py`.
"""

from __future__ import annotations

import os
import re
import stat
import struct
from collections.abc import Callable, Iterable
from enum import Enum, auto
from pathlib import Path
from typing import NamedTuple

from localft.files import open_file
from localft.kinds.text_kind import TextForm, text_form

HEAD = 1 << 16  # bytes that a file is judged by
SHORT_HEAD = 1 << 9  # enough of them to know what is no text


class Kind(Enum):
    """Kinds that a program has to tell apart."""

    TEXT = auto()
    EMPTY = auto()
    GZIP = auto()
    ZSTANDARD = auto()
    PARQUET = auto()
    MODEL = auto()  # a GGUF with a base model
    ADAPTER = auto()  # a GGUF with a LoRA adapter
    CHECKPOINT = auto()  # a GGUF with the state of a run
    WEIGHTS = auto()  # of a checkpoint in safetensors or of PyTorch
    MODEL_FOLDER = auto()  # a checkpoint of Hugging Face
    ADAPTER_FOLDER = auto()  # of PEFT or MLX
    RUN = auto()
    SAVED_ROWS = auto()  # what `save_to_disk` of the library `datasets` writes
    ADAPTER_WEIGHTS = auto()  # of PEFT or MLX
    POINTER = auto()
    PIPE = auto()
    UTF16 = auto()
    WEB_PAGE = auto()
    BINARY = auto()  # of a format that nothing here reads, which `what` names
    UNKNOWN = auto()


class FileKind(NamedTuple):
    """What a file is.

    Attributes:
        what: to stand behind "`x` is"; "" for what is read as it is.
        hint: what to do with it.
        form: how a text is laid out.
    """

    kind: Kind
    what: str = ""
    hint: str = ""
    form: TextForm = TextForm.PLAIN


_TO_BASE = "give it to --model, and rows or texts to --data"
_TO_LORA = "give it to --lora, and its base model to --model"
_ROWS = "save what is in it as .jsonl, .csv, .parquet or .txt"
_AGAIN = "download or copy it again"
_PICTURE = "localft learns from text alone"

POINTER = FileKind(
    Kind.POINTER,
    "a Git LFS pointer, a few lines in place of the file itself",
    "run `git lfs pull` in its repository, or download the file itself",
)
EMPTY = FileKind(Kind.EMPTY, "empty", _AGAIN)
PIPE = FileKind(Kind.PIPE, "a pipe or a device, expected a file", "save what comes out of it as a file")
UTF16 = FileKind(Kind.UTF16, "UTF-16, expected UTF-8", "save the file as UTF-8")
MODEL = FileKind(Kind.MODEL, "a model (GGUF)", _TO_BASE)
ADAPTER = FileKind(Kind.ADAPTER, "a LoRA adapter (GGUF)", _TO_LORA)
CHECKPOINT = FileKind(
    Kind.CHECKPOINT,
    "the checkpoint of a run, which only that run can go on from",
    "give the run's folder to --lora for its adapter, or to --resume to go on",
)
WEIGHTS = FileKind(
    Kind.WEIGHTS, "a file of weights", "give the folder that holds it, config.json and the tokenizer to --model"
)
PEFT_WEIGHTS = FileKind(
    Kind.ADAPTER_WEIGHTS,
    "an adapter as PEFT saves it, and no GGUF",
    "`from_peft` and `write_adapter` of `localft.adapter` make a GGUF of its folder; or merge it into its base with "
    "PEFT's `merge_and_unload()`",
)
MLX_ADAPTER = FileKind(
    Kind.ADAPTER_WEIGHTS,
    "an adapter of MLX",
    "`mlx_lm.fuse` merges it into its base model: convert that",
)
WEB_PAGE = FileKind(
    Kind.WEB_PAGE,
    "a web page (HTML)",
    "a page was saved in place of the file: download it by the address of the file itself",
)


def _foreign(what: str, hint: str = _ROWS) -> FileKind:
    return FileKind(Kind.BINARY, what, hint)


_ANNEX = POINTER._replace(what="a git-annex pointer, a line in place of the file itself", hint="run `git annex get`")
_OFFICE = _foreign("an Office document (.docx, .xlsx, …), which is not read")
_ARROW = _foreign("an Arrow file, which is not read", "save it with `to_json` or `to_parquet` of `datasets`")
_ZIP = _foreign("a zip archive, which is not read", "unpack it, and name what is in it")
# (offset, bytes there, kind), the first that fits
_MAGIC: tuple[tuple[int, bytes, FileKind], ...] = (
    (0, b"version https://git-lfs.github.com/spec/", POINTER),
    (0, b"version https://hawser.github.com/spec/", POINTER),
    (0, b"/annex/objects/", _ANNEX),
    (0, b"\x1f\x8b", FileKind(Kind.GZIP)),
    (0, b"\x28\xb5\x2f\xfd", FileKind(Kind.ZSTANDARD)),
    (0, b"PAR1", FileKind(Kind.PARQUET)),
    (0, b"ARROW1", _ARROW),
    (0, b"BZh", _foreign("a bzip2 file, which is not read", "unpack it with `bunzip2`")),
    (0, b"\xfd7zXZ\0", _foreign("an xz file, which is not read", "unpack it with `xz -d`")),
    (0, b"7z\xbc\xaf\x27\x1c", _foreign("a 7z archive, which is not read", "unpack it, and name what is in it")),
    (0, b"Rar!\x1a\x07", _foreign("a RAR archive, which is not read", "unpack it, and name what is in it")),
    (257, b"ustar", _foreign("a tar archive, which is not read", "unpack it with `tar -xf`, and name what is in it")),
    (0, b"%PDF-", _foreign("a PDF, which is not read", "`pdftotext` makes a .txt of it")),
    (0, b"{\\rtf", _foreign("a document in RTF, which is not read")),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", _OFFICE),
    (0, b"SQLite format 3\0", _foreign("an SQLite database, which is not read")),
    (0, b"\x89HDF\r\n\x1a\n", _foreign("an HDF5 file, which is not read")),
    (0, b"\x93NUMPY", _foreign("an array of NumPy, which is not read")),
    (0, b"\x89PNG", _foreign("a picture", _PICTURE)),
    (0, b"\xff\xd8\xff", _foreign("a picture", _PICTURE)),
    (0, b"GIF8", _foreign("a picture", _PICTURE)),
    (0, b"RIFF", _foreign("a sound or a picture", _PICTURE)),
    (0, b"ID3", _foreign("a sound", _PICTURE)),
    (0, b"\x7fELF", _foreign("a program", "check the path")),
    *(
        (0, magic, _foreign("a model of ggml's old format", "take the model's GGUF, or convert its checkpoint"))
        for magic in (b"tjgg", b"lmgg", b"fmgg")
    ),
    (0, b"algg", _foreign("an adapter of ggml's old format", "make it anew as a GGUF adapter")),
)


def file_kind(path: Path) -> FileKind:
    """What the file at `path` is. A pipe is not waited for.

    Raises:
        OSError: nothing is there, it is a folder, or it cannot be read.
    """
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        return PIPE
    with open_file(path) as file:
        return head_kind(file.read(HEAD), os.fstat(file.fileno()).st_size)


def unfit(path: Path, *kinds: Kind) -> FileKind | None:
    """What a file is, if it is no file, a pointer to one, or of one of `kinds`; None otherwise.

    What is not there or cannot be read is left to those who read it.
    """
    try:
        found = file_kind(path)
    except OSError:
        return None
    return found if found.kind in (Kind.POINTER, Kind.PIPE, *kinds) else None


def head_kind(head: bytes, size: int = -1) -> FileKind:
    """What a file is that begins with `head`, as much of it as there is up to `HEAD` bytes.

    Args:
        size: of the whole file; negative where it is not known.
    """
    if not head:
        return EMPTY
    for at, magic, kind in _MAGIC:
        if head.startswith(magic, at):
            return kind
    for look in (_gguf, _zipped, _pickled, _arrow_stream, _safetensors):
        if found := look(head):
            return found
    if _is_utf16(head):
        return UTF16
    return _text(head, len(head) < HEAD if size < 0 else size <= len(head))


def _text(head: bytes, whole: bool) -> FileKind:
    if b"\0" in head:
        return FileKind(Kind.UNKNOWN, "a file of no format that localft knows", _ROWS)
    text = head.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    if re.match(r"(?i)<!doctype html|<html[\s>]", text):
        return WEB_PAGE
    return FileKind(Kind.TEXT, form=text_form(text, whole))


def _is_utf16(head: bytes) -> bool:
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return True
    # without a mark: every other byte of plain Latin text is zero
    start = head[:256]
    even, odd = start[::2], start[1::2]
    return (
        len(start) >= 8 and max(even.count(0), odd.count(0)) > 0.9 * len(odd) and min(even.count(0), odd.count(0)) == 0
    )


def _gguf(head: bytes) -> FileKind | None:
    if head[:4] != b"GGUF":
        return None
    kinds = {"adapter": ADAPTER, "checkpoint": CHECKPOINT}
    said = _gguf_text(head, b"general.type")
    if said in kinds:
        return kinds[said]
    if said == "mmproj" or _gguf_text(head, b"general.architecture") == "clip":
        return _foreign("the vision part of a model (mmproj)", "give the model's own GGUF")
    if said == "imatrix":
        return _foreign("an importance matrix and no model", "give the model's own GGUF")
    return MODEL


def _gguf_text(head: bytes, key: bytes) -> str:
    """A text of a GGUF's metadata, "" where it does not stand near its beginning."""
    spelled = struct.pack("<Q", len(key)) + key + struct.pack("<I", 8)
    at = head.find(spelled) + len(spelled)
    if at < len(spelled) or at + 8 > len(head):
        return ""
    n = int.from_bytes(head[at : at + 8], "little")
    return head[at + 8 : at + 8 + n].decode("utf-8", "replace") if n < 64 else ""


def _zipped(head: bytes) -> FileKind | None:
    if head[:4] not in (b"PK\x03\x04", b"PK\x05\x06"):
        return None
    if b"/data.pkl" in head[:256]:
        return WEIGHTS
    if b"[Content_Types].xml" in head or head[30:38] == b"mimetype":
        return _OFFICE
    return _ZIP


def _pickled(head: bytes) -> FileKind | None:
    if head[:1] != b"\x80" or head[1:2] not in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return None
    # torch.save's older format begins with a number of its own
    old_torch = bytes.fromhex("6cfc9c46f9206aa850")
    return WEIGHTS if old_torch in head[:32] else _foreign("a pickle of Python, which is not read")


def _arrow_stream(head: bytes) -> FileKind | None:
    # a mark, the length of a flatbuffer, and where its root is
    length, root = (int.from_bytes(head[at : at + 4], "little") for at in (4, 8))
    if head[:4] != b"\xff\xff\xff\xff" or not 8 <= length < 1 << 24 or length % 8 or not 0 < root < length:
        return None
    return _ARROW


def _safetensors(head: bytes) -> FileKind | None:
    length = int.from_bytes(head[:8], "little")
    if len(head) < 10 or length > 100 << 20 or head[8:9] != b"{" or head[9:10] not in b'"}':
        return None
    names = re.findall(rb'"([^"]+)":\{"dtype":', head) or re.findall(rb'"([^"]+)"\s*:\s*\{\s*"', head)
    return tensors_kind(name.decode("utf-8", "replace") for name in names) or WEIGHTS


def tensors_kind(names: Iterable[str], dtypes: Iterable[str] = ()) -> FileKind | None:
    """What weights are, by the names and types of their tensors; None for those of a plain checkpoint."""
    found = set(names)
    for fits, kind in _TENSORS:
        if any(map(fits, found)):
            return kind
    if any(dtype.startswith("F8") for dtype in dtypes):
        return _quantised("FP8")
    return None


_FULL = "take the model's full-precision checkpoint; localft quantises it itself"


def _quantised(how: str) -> FileKind:
    return FileKind(Kind.WEIGHTS, f"already quantised ({how})", _FULL)


def _match(pattern: str) -> Callable[[str], object]:
    return re.compile(pattern).search


_TENSORS: tuple[tuple[Callable[[str], object], FileKind], ...] = (
    (
        _match(r"\.layers\..*\.base_layer\.|^base_model\.model\.(?!.*\.lora_).*\.layers\."),
        FileKind(
            Kind.WEIGHTS,
            "a model with a PEFT adapter still wrapped around it",
            "merge it first: `model.merge_and_unload().save_pretrained(FOLDER)` in PEFT",
        ),
    ),
    (_match(r"\.lora_(?:[AB]|embedding_[AB])\b"), PEFT_WEIGHTS),
    (_match(r"\.lora_[ab]$"), MLX_ADAPTER),
    (_match(r"\.(?:absmax|quant_map|nested_absmax|SCB)$|\.quant_state\.bitsandbytes"), _quantised("bitsandbytes")),
    (_match(r"\.(?:qweight|qzeros|g_idx)$"), _quantised("AWQ or GPTQ")),
    (_match(r"\.weight_scale(?:_inv)?$|\.(?:input|activation)_scale$"), _quantised("FP8 or INT8")),
    (_match(r"_(?:blocks|scales)$"), _quantised("MXFP4")),
    (_match(r"\.(?:scales|biases)$"), _quantised("MLX")),
)
