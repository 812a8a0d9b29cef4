"""Hugging Face checkpoint → GGUF file."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from localft.errors import ConfigError, LocalftError, ModelError
from localft.files import atomic_path, read_bytes, real_path, temporary_folder
from localft.home import HINT, localft_home
from localft.model.card import CARD
from localft.model.conversion.gguf_writer import write_gguf
from localft.model.conversion.hf_checkpoint import SMALL_FILES, HfCheckpoint, open_checkpoint, weight_files
from localft.model.conversion.hparams import Hparams, read_hparams
from localft.model.conversion.outtype import OUTTYPES, OutType, fallback_warning, find_outtype
from localft.model.conversion.quantize import quantize_gguf
from localft.model.conversion.vocabulary import read_vocabulary
from localft.model.conversion.weights import plan_tensors, with_own_head
from localft.model.gguf.check import check_gguf, check_header, vocabulary_warnings
from localft.model.gguf.header import Header, read_header
from localft.model.probe import remember_usable
from localft.model.source import ModelSource, fetch_checkpoint, resolve_model
from localft.outputs import output_path, require_replaceable, require_writable
from localft.report import Report

# Raised with every change of what is written, so that files of an older localft are made anew.
FORMAT = 2
_ORIGIN = "localft.convert.origin"
_DIGEST = "localft.convert.digest"
_FORMAT = "localft.convert.format"
_WARNINGS = "localft.convert.warnings"


@dataclass(frozen=True)
class ConvertResult:
    """A finished conversion.

    Attributes:
        path: the GGUF file.
        skipped: it was there already, newer than the checkpoint and complete.
        warnings: sentences about what llama.cpp will do otherwise than the original model.
        n_tensors, n_bytes: tensors in the file, and its size.
    """

    path: Path
    skipped: bool
    warnings: tuple[str, ...]
    n_tensors: int
    n_bytes: int


def convert(
    model: str,
    outtype: str = "q8_0",
    out: Path | None = None,
    *,
    force: bool = False,
    progress: Report | None = None,
) -> ConvertResult:
    """Convert a model to a GGUF that localft trains on and llama.cpp chats with.

    Downloads the checkpoint where it is not on this machine. A result that is there already, newer than the
    checkpoint and complete, is kept. A `.gguf` is checked and returned as it is.

    Args:
        model: a card's name, a Hugging Face repo id, a checkpoint's folder, or a .gguf file.
        outtype: type of the weights, such as "f32", "q8_0" or "q4_k_m".
        out: the file to write; by default `models/<name>-<outtype>.gguf` in localft's home.
        force: convert even where the result is there, and replace whatever else is in the place of `out`.
        progress: called with what is being done, how much is done, and how much there is: bytes while files are
            fetched and tensors written, tensors while llama.cpp quantises.

    Raises:
        ConfigError: no such model, or no such type; or `out` is there already and not as localft wrote it, or cannot be
            written.
        ModelError: it cannot be downloaded, read or converted. Nothing half-written is left.
    """
    kind = find_outtype(outtype)
    source = resolve_model(str(model))
    if source.gguf is not None:
        header = read_header(source.gguf)
        check_header(header)
        _refuse_out_of_gguf(source.gguf, out)
        return _result(source.gguf, header, skipped=True)
    target = Path(out) if out is not None else _default_out(source, kind)
    existing = None if force else _usable(target, source, kind)
    if existing is not None and source.checkpoint is None:
        return _result(target, existing, skipped=True)
    _require_place(target, out, force)
    folder = fetch_checkpoint(source, progress)
    digest = _digest(folder)
    if existing is not None and existing.values.get(_DIGEST) == digest and _newer(target, folder):
        return _result(target, existing, skipped=True)
    with (
        _disk_errors(target, out is None),
        output_path(target, force) if out else atomic_path(target) as temporary,
    ):
        _convert(source, folder, target, temporary, kind, digest, progress)
    if source.card and source.card.bundled:
        remember_usable(target)
    return _result(target, read_header(target), skipped=False)


def converted(model: str, outtype: str) -> Path | None:
    """The file that `convert` keeps for a model of the hub: whole, and made from that repo; None where there is none.

    Raises:
        ConfigError: no such model, or no such type.
    """
    kind, source = find_outtype(outtype), resolve_model(model)
    target = _default_out(source, kind)
    return target if _usable(target, source, kind) else None


def _result(path: Path, header: Header, *, skipped: bool) -> ConvertResult:
    warnings = str(header.values.get(_WARNINGS, "")).splitlines()
    fallback = fallback_warning(header)
    warnings += [*([fallback] if fallback else []), *vocabulary_warnings(header)]
    return ConvertResult(path, skipped, tuple(warnings), len(header.tensors), header.n_bytes)


def _origin(source: ModelSource) -> str:
    """What a file was made from, without saying where on this machine that lies."""
    if source.repo_id is not None:
        return f"{source.repo_id}@{source.revision}"
    assert source.checkpoint is not None
    return "folder:" + hashlib.sha256(os.fsencode(real_path(source.checkpoint))).hexdigest()[:16]


def _default_out(source: ModelSource, kind: OutType) -> Path:
    folder = localft_home() / "models"
    path = folder / f"{source.name}-{kind.name}.gguf"
    if path.exists():
        try:
            origin = read_header(path).values.get(_ORIGIN)
        except LocalftError:
            return path
        # Another folder of the same name: its file stays, since runs may refer to it.
        if origin not in (None, _origin(source)):
            return folder / f"{source.name}-{hashlib.sha256(_origin(source).encode()).hexdigest()[:8]}-{kind.name}.gguf"
    return path


def _usable(target: Path, source: ModelSource, kind: OutType) -> Header | None:
    """The header of `target` if it is a whole file of the right origin and type."""
    if not target.is_file():
        return None
    try:
        header = read_header(target)
        check_header(header)
    except LocalftError:
        return None
    same = header.values.get(_ORIGIN) == _origin(source) and header.values.get(_FORMAT) == str(FORMAT)
    return header if same and header.values.get("general.file_type") == int(kind.file_type) else None


def _digest(folder: Path) -> str:
    """A fingerprint of the checkpoint: small files by content, weights by name and size."""
    digest = hashlib.sha256()
    for name in SMALL_FILES:
        path = folder / name
        if path.is_file():
            digest.update(f"{name}\0{path.stat().st_size}\0".encode() + read_bytes(path))
    for path in weight_files(folder):
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
    return digest.hexdigest()


def _newer(target: Path, folder: Path) -> bool:
    sources = [folder / name for name in SMALL_FILES if (folder / name).is_file()] + list(weight_files(folder))
    return target.stat().st_mtime >= max(path.stat().st_mtime for path in sources)


def _convert(
    source: ModelSource,
    folder: Path,
    target: Path,
    temporary: Path,
    kind: OutType,
    digest: str,
    progress: Report | None,
) -> None:
    checkpoint = open_checkpoint(folder)
    hparams = with_own_head(checkpoint, read_hparams(folder))
    first = kind if kind.direct else _lossless(checkpoint)
    # before the vocabulary: the weights tell whether there are as many tokens as config.json says
    tensors = plan_tensors(checkpoint, hparams, first.main)
    vocabulary = read_vocabulary(folder, hparams)
    said = [*checkpoint.notes, *hparams.warnings, *_window_warning(hparams), *vocabulary.warnings]
    general = _general(source, digest, said)
    if first is kind:
        write_gguf(temporary, hparams, vocabulary, tensors, kind, general, progress)
    else:
        with temporary_folder(target) as scratch:
            between = scratch / f"{source.name}-{first.name}.gguf"
            write_gguf(between, hparams, vocabulary, tensors, first, general, progress)
            quantize_gguf(between, temporary, kind, progress)
    check_gguf(temporary)


def _lossless(checkpoint: HfCheckpoint) -> OutType:
    """The type that holds the checkpoint's weights exactly, for the file between checkpoint and K-quants."""
    kinds = {tensor.dtype for tensor in checkpoint.tensors.values() if len(tensor.shape) > 1}
    return OUTTYPES["bf16" if kinds == {"BF16"} else "f16" if kinds == {"F16"} else "f32"]


def _general(source: ModelSource, digest: str, warnings: list[str]) -> dict[str, str]:
    general = {
        "general.name": source.name.encode(errors="replace").decode(),
        _ORIGIN: _origin(source),
        _DIGEST: digest,
        _FORMAT: str(FORMAT),
    }
    if warnings:
        general[_WARNINGS] = "\n".join(warnings)
    if source.repo_id is not None:
        general["general.source.huggingface.repository"] = source.repo_id
    if source.card is not None:
        general[CARD] = source.card.name
        general["general.license"] = source.card.licence
    return general


def _window_warning(hparams: Hparams) -> list[str]:
    if hparams.window is None or hparams.window >= hparams.n_ctx_train:
        return []
    return [
        f"the model declares a sliding window of {hparams.window} tokens, which llama.cpp does not apply: "
        "training and chat attend to the whole context"
    ]


def _refuse_out_of_gguf(gguf: Path, out: Path | None) -> None:
    if out is not None:
        raise ConfigError(f"`{gguf}` is converted already: `--out` has no meaning for it", "leave it out")


def _require_place(target: Path, out: Path | None, force: bool) -> None:
    """Refuse a place that cannot be written, or holds something else, before a checkpoint is fetched."""
    if out is None:
        require_writable(target.parent, HINT)
    else:
        require_replaceable(out, force=force)
        require_writable(out.parent, "give another file to --out")


@contextmanager
def _disk_errors(target: Path, in_home: bool) -> Iterator[None]:
    other = "set LOCALFT_HOME to" if in_home else "choose"
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise ModelError(
                f"the disk became full while `{target}` was written: nothing of it is kept",
                f"free some space, or {other} a place on another disk",
            ) from error
        raise ModelError(
            f"`{target}` cannot be written: {error.strerror or error}", f"{other} a place that you may write"
        ) from error
