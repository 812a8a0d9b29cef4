"""Text to token ids and back, through the vocabulary of the GGUF that is trained on and chatted with.

llama.cpp tokenizes every stretch of text. What stands between the stretches (special tokens, sentencepiece's space
prefix) is decided here by llama.cpp's own rules, because its API can neither leave the prefix out nor tell a template's
`</s>` from one that a user typed.
"""

from __future__ import annotations

import ctypes
import os
import threading
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from localft import llama
from localft.errors import ModelError, TextError
from localft.model.special_tokens import Special, SpecialTokens
from localft.model.word_limits import PieceLimits, WordLimits

_SPM, _BPE = 1, 2
_NAMED = {"unk": "unknown", "sep": "seperator", "pad": "padding", "mask": "mask"}  # as GGUF spells them
_RECURSION_BYTES = 1 << 13
_DEEP_STACK_BYTES = 1 << 30
_SHORT, _MAX_KNOWN = 200, 4096  # characters of a fragment that is remembered, and how many are


class Span(NamedTuple):
    """A stretch of text; `literal` text is the template's own, in which special tokens are special."""

    text: str
    literal: bool


class Tokenizer:
    """The vocabulary of one GGUF file.

    Attributes:
        bos_id, eos_id, eot_id: token ids, None where the vocabulary has none.
        add_bos: the model wants one BOS at the start of every sequence.
        n_vocab: number of tokens.
        chat_template: `tokenizer.chat_template` (Jinja), or None.
        n_ctx_train: context that the model was trained on, tokens; 0 where the file does not say.
        end_ids: tokens that end an answer (EOS, EOT and the like).

    Args:
        gguf: a model file that `localft.model.probe.usable_gguf` has passed; only its vocabulary is loaded.

    Raises:
        ModelError: llama.cpp cannot load it, or its vocabulary is neither sentencepiece nor BPE.
    """

    def __init__(self, gguf: Path) -> None:
        self.path = Path(gguf)
        self._model: Any = _load(self.path)
        lib = llama.load()
        self._vocab = lib.llama_model_get_vocab(self._model)
        kind = lib.llama_vocab_type(self._vocab)
        if kind not in (_SPM, _BPE):
            raise ModelError(
                f"`{self.path.name}` has a vocabulary that is neither sentencepiece nor BPE",
                "only models with one of these two kinds of vocabulary can be trained on",
            )
        self.n_vocab: int = lib.llama_vocab_n_tokens(self._vocab)
        self.bos_id = self._id(lib.llama_vocab_bos(self._vocab))
        self.eos_id = self._id(lib.llama_vocab_eos(self._vocab))
        self.eot_id = self._id(lib.llama_vocab_eot(self._vocab))
        self.add_bos = bool(lib.llama_vocab_get_add_bos(self._vocab)) and self.bos_id is not None
        self.chat_template = self.metadata("tokenizer.chat_template")
        architecture = self.metadata("general.architecture")
        self.n_ctx_train = int(self.metadata(f"{architecture}.context_length") or 0)
        self._space_prefix = kind == _SPM and self.metadata("tokenizer.ggml.add_space_prefix") != "false"
        self._known: dict[str, list[int]] = {}
        self._pieces: dict[tuple[int, bool], bytes] = {}
        self._limits: WordLimits | PieceLimits
        self._read_vocabulary(kind)

    @staticmethod
    def _id(token: int) -> int | None:
        return token if token >= 0 else None

    def _read_vocabulary(self, kind: int) -> None:
        lib = llama.load()
        control = lib.LLAMA_TOKEN_ATTR_CONTROL | lib.LLAMA_TOKEN_ATTR_UNKNOWN
        matched = control | lib.LLAMA_TOKEN_ATTR_USER_DEFINED
        attr_of, text_of, vocab = lib.llama_vocab_get_attr, lib.llama_vocab_get_text, self._vocab
        attrs = [attr_of(vocab, token) for token in range(self.n_vocab)]
        special = []
        for token, attr in enumerate(attrs):
            text = text_of(vocab, token).decode("utf-8", "replace") if attr & matched else ""
            if text:
                strips = bool(attr & lib.LLAMA_TOKEN_ATTR_LSTRIP), bool(attr & lib.LLAMA_TOKEN_ATTR_RSTRIP)
                special.append(Special(token, text, not attr & control, *strips))
        self._special = SpecialTokens(special)
        ends = {token for token in (*self._special.control_ids, self.eos_id, self.eot_id) if token is not None}
        self.end_ids = frozenset(token for token in ends if lib.llama_vocab_is_eog(vocab, token))
        if kind == _SPM:
            self._limits = PieceLimits(
                text_of(vocab, token).decode("utf-8", "replace") for token in range(self.n_vocab)
            )
        else:
            self._limits = WordLimits(self.metadata("tokenizer.ggml.pre"))

    def metadata(self, key: str) -> str | None:
        """The value of one GGUF metadata key as text, or None."""
        lib, size = llama.load(), 1 << 12
        while True:
            buffer = ctypes.create_string_buffer(size)
            length = lib.llama_model_meta_val_str(self._model, key.encode(), buffer, size)
            if length < size:
                return None if length < 0 else buffer.raw[:length].decode("utf-8", "replace")
            size = length + 1

    def token_text(self, token: int | None) -> str:
        """A special token as a template prints it ("</s>"), "" for None."""
        if token is None:
            return ""
        text: bytes = llama.load().llama_vocab_get_text(self._vocab, token)
        return text.decode("utf-8", "replace")

    def template_tokens(self) -> dict[str, str]:
        """What `bos_token` and the like print in a chat template; tokens without a name are missing."""
        named = {name: self.metadata(f"tokenizer.ggml.{key}_token_id") for name, key in _NAMED.items()}
        found = {f"{name}_token": self.token_text(int(id_)) for name, id_ in named.items() if id_ is not None}
        return {"bos_token": self.token_text(self.bos_id), "eos_token": self.token_text(self.eos_id), **found}

    def encode(self, text: str, *, special: bool = False, prefix: bool = True) -> list[int]:
        """Token ids of `text`, never with a BOS added.

        Args:
            text: any text; "" gives [].
            special: special tokens written out in `text` become those tokens; else they are plain characters.
            prefix: the text starts a sequence or follows a special token, where a sentencepiece vocabulary puts a
                space.

        Raises:
            TextError: llama.cpp cannot take it, see `localft.model.word_limits`.
        """
        return self.encode_spans([Span(text, special)], prefix=prefix)

    def encode_spans(self, spans: Sequence[Span], *, prefix: bool = True) -> list[int]:
        """Token ids of the joined spans: one string to llama.cpp's rules, special tokens only in literal spans.

        Raises:
            TextError: see `encode`.
        """
        return self.encode_array(spans, prefix=prefix).tolist()

    def encode_array(self, spans: Sequence[Span], *, prefix: bool = True) -> array[int]:
        """The same in a tenth of the memory, for long texts."""
        text = spans[0].text if len(spans) == 1 else "".join(span.text for span in spans)
        ids = array("i")
        after_special = prefix
        for fragment in self._special.split(text, _protected(spans)):
            if isinstance(fragment, int):
                ids.append(fragment)
                after_special = True
            else:
                for part in self._fragment(fragment, after_special and self._space_prefix):
                    ids.fromlist(part)
                after_special = False
        return ids

    def split_special(self, text: str) -> list[str | int]:
        """Literal text cut at its special tokens: plain stretches as str, special tokens as ids."""
        return self._special.split(text)

    @property
    def control_texts(self) -> frozenset[str]:
        """The special tokens that no user's text may give, as they are written."""
        return self._special.control_texts

    def is_special(self, token: int) -> bool:
        """Whether the token is matched as a whole; a sentencepiece vocabulary puts a space behind it."""
        return token in self._special.ids

    def _fragment(self, text: str, space: bool) -> Iterator[list[int]]:
        """Token ids of text without special tokens, some at a time; what a template repeats in every row is looked up.

        Args:
            space: one stands before it.
        """
        if len(text) > _SHORT:
            for number, stretch in enumerate(self._limits.stretches(text)):
                yield self._plain(_utf8(f" {stretch}" if space and not number else stretch))
            return
        known = f" {text}" if space else text
        if known not in self._known:
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            self._known[known] = self._plain(_utf8(known))
        yield self._known[known]

    def _plain(self, data: bytes) -> list[int]:
        ids = self._call(data)
        if self._special.control_ids.isdisjoint(ids):
            return ids
        # llama.cpp's merges can end at a special token's text
        return [token for part in self._special.broken(data.decode("utf-8")) for token in self._call(part.encode())]

    def _call(self, data: bytes) -> list[int]:
        if len(data) <= _RECURSION_BYTES or not self._limits.recurses:
            return self._tokenize(data)
        return _on_deep_stack(lambda: self._tokenize(data))

    def _tokenize(self, data: bytes) -> list[int]:
        lib = llama.load()
        buffer = np.empty(len(data) + 1, np.int32)
        pointer = buffer.ctypes.data_as(ctypes.POINTER(lib.llama_token))
        n = lib.llama_tokenize(self._vocab, data, len(data), pointer, buffer.size, False, False)
        if n < 0:
            message = f"`{self.path.name}`: llama.cpp could not tokenize {len(data):,} bytes of text"
            raise ModelError(message, "split the text into shorter rows")
        ids: list[int] = buffer[:n].tolist()
        return ids

    def piece(self, token: int, special: bool = True) -> bytes:
        """The bytes that one token stands for (perhaps part of a UTF-8 character); b"" for hidden special tokens."""
        key = (token, special)
        if key not in self._pieces:
            self._pieces[key] = self._read_piece(token, special)
        return self._pieces[key]

    def _read_piece(self, token: int, special: bool) -> bytes:
        lib, size = llama.load(), 64
        while True:
            buffer = ctypes.create_string_buffer(size)
            n = lib.llama_token_to_piece(self._vocab, token, buffer, size, 0, special)
            if n >= 0:
                return buffer.raw[:n]
            size = -n

    def decode(self, ids: Sequence[int], special: bool = False) -> str:
        """The tokens' pieces joined as they stand (a space prefix stays); special tokens only where asked for."""
        return b"".join(self.piece(int(token), special) for token in ids).decode("utf-8", "replace")

    def close(self) -> None:
        """Free the vocabulary. The tokenizer cannot be used afterwards."""
        if self._model is not None:
            llama.load().llama_model_free(self._model)
            self._model = self._vocab = None


def _load(path: Path) -> Any:
    lib = llama.load()
    override = (lib.llama_model_kv_override * 2)()
    override[0].key = b"tokenizer.ggml.add_space_prefix"
    override[0].tag = lib.LLAMA_KV_OVERRIDE_TYPE_BOOL
    override[0].value.val_bool = False
    params = lib.llama_model_default_params()
    params.vocab_only, params.n_gpu_layers, params.kv_overrides = True, 0, override
    model = lib.llama_model_load_from_file(os.fsencode(path), params) if path.is_file() else None
    if not model:
        raise ModelError(
            f"llama.cpp cannot load the vocabulary of `{path}`", "convert the model again, or check the path"
        )
    return model


def _on_deep_stack(work: Callable[[], list[int]]) -> list[int]:
    """Run `work` in a thread whose stack is deep (address space, not memory, until it is used)."""
    result: list[list[int]] = []
    before = threading.stack_size(_DEEP_STACK_BYTES)
    try:
        thread = threading.Thread(target=lambda: result.append(work()))
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join()
    return result[0]


def _protected(spans: Sequence[Span]) -> list[tuple[int, int]]:
    ranges, start = [], 0
    for span in spans:
        if span.text and not span.literal:
            ranges.append((start, start + len(span.text)))
        start += len(span.text)
    return ranges


def _utf8(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        half = ord(text[error.start])
        what = f"a byte that is not UTF-8, \\x{half - 0xDC00:02x}" if 0xDC80 <= half <= 0xDCFF else "half a character"
        raise TextError(what, "save or type the text as UTF-8") from None
