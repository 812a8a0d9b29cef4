"""Rows of a user's file as tokens, so that lengths are those of real work; kept in a file that every side reads."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from localft.data.tokens.tokenize import TokenizedRow

DEMO = Path(__file__).resolve().parent.parent / "localft" / "demo" / "model"


def write_rows(data: Path, tokenizer: Path, n_vocab: int, n_ctx: int, folder: Path) -> tuple[Path, dict[str, Any]]:
    """Tokenize `data` as `localft finetune` would; rows longer than `n_ctx` are left out.

    Args:
        data: a file of rows.
        tokenizer: a GGUF, or a folder with tokenizer.model or tokenizer.json.
        n_vocab: of the model that is measured; larger ids wrap around, for its weights are random anyway.
        folder: where the result is written.

    Returns:
        The file for `load_rows`, and what the result JSON says about it.
    """
    from localft.data.dataset import prepare
    from localft.model.tokenizer import Tokenizer
    from localft.settings.data_settings import DataSettings

    vocabulary = tokenizer if tokenizer.suffix == ".gguf" else _vocabulary(tokenizer, folder)
    rows = prepare(data, Tokenizer(vocabulary), DataSettings(ctx=n_ctx, no_val=True)).train
    digest = hashlib.sha256(data.read_bytes()).hexdigest()
    lengths = [row.length for row in rows]
    about = {
        "file": f"{data.resolve().parent.name}/{data.name}",
        "sha256": digest,
        "tokenizer": tokenizer.resolve().name if tokenizer != DEMO else "the bundled demo model's",
        "ids": f"modulo {n_vocab}, the model's weights being random",
        "n_row": len(rows),
        "n_tok": sum(lengths),
        "n_supervised": sum(row.n_supervised for row in rows),
        "tok_per_row": {"mean": round(sum(lengths) / len(rows), 1), "max": max(lengths)},
    }
    path = folder / f"rows-{digest[:8]}-{tokenizer.resolve().parent.name}-{tokenizer.stem}-{n_vocab}-{n_ctx}.npz"
    np.savez(
        path,
        tokens=np.concatenate([row.tokens for row in rows]) % n_vocab,
        mask=np.concatenate([row.loss_mask for row in rows]),
        ends=np.cumsum([row.tokens.size for row in rows]),
    )
    return path, about


@functools.cache
def load_rows(path: Path) -> list[TokenizedRow]:
    """The rows that `write_rows` wrote."""
    with np.load(path) as saved:
        ends = saved["ends"][:-1]
        pairs = zip(np.split(saved["tokens"], ends), np.split(saved["mask"], ends), strict=True)
        return [TokenizedRow(tokens, mask, path.name, line) for line, (tokens, mask) in enumerate(pairs, 1)]


def _vocabulary(tokenizer: Path, folder: Path) -> Path:
    """A GGUF that holds nothing but the vocabulary in `tokenizer`."""
    from localft.model.card import Shape
    from localft.model.conversion.gguf_writer import write_gguf
    from localft.model.conversion.outtype import OUTTYPES
    from localft.model.conversion.stand_in import stand_in_hparams
    from localft.model.conversion.vocabulary import read_vocabulary

    # Only n_vocab is read here; llama.cpp wants the other sizes to be there.
    hparams = stand_in_hparams(
        Shape(_n_vocab(tokenizer), n_embd=32, n_layer=1, n_head=1, n_head_kv=1, n_ff=32, tied=True)
    )
    path = folder / f"vocabulary-{tokenizer.resolve().parent.name}-{tokenizer.name}.gguf"
    vocabulary = read_vocabulary(tokenizer, hparams)
    write_gguf(path, hparams, vocabulary, [], OUTTYPES["f32"], {"general.name": tokenizer.name})
    return path


def _n_vocab(tokenizer: Path) -> int:
    from localft.model.conversion.sentencepiece import read_sentencepiece
    from localft.model.conversion.tokenizer_json import read_tokenizer_json

    if (tokenizer / "tokenizer.model").is_file():
        return len(read_sentencepiece(tokenizer / "tokenizer.model").pieces)
    return max(read_tokenizer_json(tokenizer / "tokenizer.json").tokens) + 1
