"""A checkpoint's tokenizer files → the vocabulary as GGUF holds it."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from gguf import TokenType

from localft.errors import ModelError
from localft.model.conversion import sentencepiece as spm
from localft.model.conversion.hparams import Hparams
from localft.model.conversion.sentencepiece import read_sentencepiece
from localft.model.conversion.tokenizer_config import Vocabulary, read_specials
from localft.model.conversion.tokenizer_files import TokenizerFiles, read_tokenizer_files
from localft.model.conversion.tokenizer_json import BpeTokenizer, read_tokenizer_json, scores_from_merges
from localft.model.gguf.check import as_llama_cpp_reads
from localft.units import count_and_verb

_BYTE = re.compile(r"<0x[0-9A-F]{2}>")


def read_vocabulary(folder: Path, hparams: Hparams) -> Vocabulary:
    """Read tokenizer.model where there is one, else tokenizer.json, and what stands beside them.

    Raises:
        ModelError: no tokenizer, a damaged one, or one that llama.cpp cannot imitate.
    """
    files = read_tokenizer_files(folder)
    if (folder / "tokenizer.model").is_file():
        vocabulary = _from_sentencepiece(files, hparams.n_vocab)
    elif (folder / "tokenizer.json").is_file():
        tokenizer = read_tokenizer_json(folder / "tokenizer.json")
        read = _from_fallback_bpe if tokenizer.pre is None else _from_byte_bpe
        vocabulary = read(files, tokenizer, hparams.n_vocab)
    else:
        raise ModelError(
            f"`{folder}` has no tokenizer: neither `tokenizer.model` nor `tokenizer.json`",
            "download the model again, with its tokenizer",
        )
    _check_unique(folder, vocabulary)
    return read_specials(files, vocabulary)


class _Slots:
    """n_vocab places, each unused until a token is put there."""

    def __init__(self, n_vocab: int) -> None:
        self.tokens = [f"[PAD{id_}]" for id_ in range(n_vocab)]
        self.types = [TokenType.UNUSED] * n_vocab
        self.scores = [-10000.0] * n_vocab
        self.left_out: list[str] = []

    def put(self, id_: int, text: str, kind: TokenType, score: float = 0.0) -> None:
        if id_ >= len(self.tokens):
            self.left_out.append(text)
            return
        self.tokens[id_], self.types[id_], self.scores[id_] = text, kind, score

    def is_control(self, id_: int, text: str) -> bool:
        """Whether the token is there, and none that a user's text gives."""
        there = id_ < len(self.tokens) and self.tokens[id_] == text
        return there and self.types[id_] in (TokenType.CONTROL, TokenType.UNKNOWN)

    def warnings(self) -> tuple[str, ...]:
        if not self.left_out:
            return ()
        shown = ", ".join(f"`{text}`" for text in self.left_out[:5])
        lacking = count_and_verb(len(self.left_out), "token", "has", "have")
        are = "is" if len(self.left_out) == 1 else "are"
        return (
            f"{lacking} no row in the model's embedding and {are} left out: {shown}"
            + (", …" if len(self.left_out) > 5 else ""),
        )


def _from_sentencepiece(files: TokenizerFiles, n_vocab: int) -> Vocabulary:
    path = files.folder / "tokenizer.model"
    model = read_sentencepiece(path)
    if model.model_type != "bpe":
        raise ModelError(
            f"`{path}` is a sentencepiece model of the kind `{model.model_type}`",
            "these can be converted: bpe",
        )
    slots = _Slots(n_vocab)
    for id_, piece in enumerate(model.pieces):
        kind = piece.kind if spm.NORMAL <= piece.kind <= spm.BYTE else spm.NORMAL
        slots.put(id_, piece.text, TokenType(kind), piece.score)
    added = {id_: token for id_, token in _plain_tokens(files).items() if not slots.is_control(id_, token[0])}
    for id_, (text, special) in (added | _decoder_tokens(files)).items():
        slots.put(id_, text, TokenType.CONTROL if special else TokenType.USER_DEFINED, -1000.0)
    warnings = list(slots.warnings())
    if model.normalizer not in ("identity", ""):
        warnings.append(f"the tokenizer normalises text (`{model.normalizer}`); llama.cpp takes it as it stands")
    if model.remove_extra_whitespaces:
        warnings.append("the tokenizer joins repeated spaces into one; llama.cpp keeps them")
    return Vocabulary(
        "llama",
        "default",
        tuple(slots.tokens),
        tuple(slots.types),
        tuple(slots.scores),
        None,
        special_ids={name: id_ for name, id_ in (("bos", model.bos_id), ("eos", model.eos_id)) if id_ >= 0},
        add_bos=True,
        add_space_prefix=model.add_dummy_prefix,
        warnings=tuple(warnings),
    )


def _from_fallback_bpe(files: TokenizerFiles, tokenizer: BpeTokenizer, n_vocab: int) -> Vocabulary:
    slots = _Slots(n_vocab)
    scores = scores_from_merges(tokenizer)
    added = _added(files, tokenizer)
    for id_, text in tokenizer.tokens.items():
        slots.put(id_, text, TokenType.BYTE if _BYTE.fullmatch(text) else TokenType.NORMAL, scores[id_])
    for id_, (text, special) in added.items():
        slots.put(id_, text, TokenType.CONTROL if special else TokenType.USER_DEFINED, -1000.0)
    return Vocabulary(
        "llama",
        "default",
        tuple(slots.tokens),
        tuple(slots.types),
        tuple(slots.scores),
        None,
        add_bos=True,
        add_space_prefix=tokenizer.add_space_prefix,
        warnings=slots.warnings(),
    )


def _from_byte_bpe(files: TokenizerFiles, tokenizer: BpeTokenizer, n_vocab: int) -> Vocabulary:
    slots = _Slots(n_vocab)
    added = _added(files, tokenizer)
    for id_, text in tokenizer.tokens.items():
        slots.put(id_, text, TokenType.NORMAL)
    for id_, (text, special) in added.items():
        slots.put(id_, text, TokenType.CONTROL if special else TokenType.USER_DEFINED)
    # A byte-level vocabulary spells the space as "Ġ"; a literal one would split the merge's two halves wrongly.
    merges = tuple(f"{left.replace(' ', 'Ġ')} {right.replace(' ', 'Ġ')}" for left, right in tokenizer.merges)
    assert tokenizer.pre is not None
    return Vocabulary(
        "gpt2",
        tokenizer.pre,
        tuple(slots.tokens),
        tuple(slots.types),
        None,
        merges,
        warnings=slots.warnings(),
    )


def _looks_special(text: str) -> bool:
    # Some tokenizers forget to mark their control tokens; llama.cpp's converter uses the same spelling.
    return text in ("<pad>", "<mask>") or (text.startswith("<|") and text.endswith("|>"))


def _added(files: TokenizerFiles, tokenizer: BpeTokenizer) -> dict[int, tuple[str, bool]]:
    """id → (text, special) of added_tokens.json, under tokenizer.json, under tokenizer_config.json."""
    own = {id_: (token.text, token.special) for id_, token in tokenizer.added.items()}
    return _plain_tokens(files) | own | _decoder_tokens(files)


def _plain_tokens(files: TokenizerFiles) -> dict[int, tuple[str, bool]]:
    """id → (text, special) of added_tokens.json, which does not say what is special."""
    named = {*files.named.values(), *files.special}
    return {id_: _spelled(text, text in named) for text, id_ in files.plain.items()}


def _decoder_tokens(files: TokenizerFiles) -> dict[int, tuple[str, bool]]:
    return {id_: _spelled(text, special) for id_, (text, special) in files.decoder.items()}


def _spelled(text: str, special: bool) -> tuple[str, bool]:
    special = special or _looks_special(text)
    return text if special else text.replace("▁", " "), special


def _check_unique(folder: Path, vocabulary: Vocabulary) -> None:
    spelled = Counter(as_llama_cpp_reads(token.encode(), id_) for id_, token in enumerate(vocabulary.tokens))
    text, n = spelled.most_common(1)[0]
    if n > 1:
        raise ModelError(
            f"the tokenizer of `{folder}` has {n} tokens spelled `{text.decode('utf-8', 'replace')[:80]}`, "
            "and llama.cpp allows one",
            "remove the others from its files",
        )
