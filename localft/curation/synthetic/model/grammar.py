"""A JSON schema as llama.cpp's grammar: which tokens may come next, so that what is generated always parses."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from localft import llama
from localft.chat.sampling import Sampling, choose
from localft.errors import EngineError

# JSON has no control characters in strings; the converter's rule lets them through
_HINT = "take another --model"
_ANY, _NO_CONTROL = '[^"\\\\]', '[^"\\\\\\x00-\\x1F\\x7F]'
_TOKEN = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


def grammar_of(schema: dict[str, Any]) -> str:
    """llama.cpp's grammar (GBNF) of a JSON schema."""
    from llama_cpp.llama_grammar import json_schema_to_gbnf

    text: str = json_schema_to_gbnf(json.dumps(schema))
    return text.replace(_ANY, _NO_CONTROL)


class Grammar:
    """The state of one generation.

    Args:
        vocab: `LlamaRuntime.vocab`.
        text: GBNF with a rule "root".

    Raises:
        EngineError: llama.cpp refuses the grammar.
    """

    def __init__(self, vocab: Any, text: str) -> None:
        self._lib: Any = llama.load()
        llama.silence()
        self._sampler: Any = self._lib.llama_sampler_init_grammar(vocab, text.encode(), b"root")
        if not self._sampler:
            raise EngineError(f"llama.cpp refuses the grammar{llama.last_error()}", _HINT)

    def choose(self, logits: NDArray[np.float32], sampling: Sampling, rng: np.random.Generator) -> int:
        """Pick a token that the grammar allows. Most often the one that would be picked without it, so that is tried
        first: the whole vocabulary takes the grammar far longer than one token.

        Args:
            logits: f32 [n_vocab].
        """
        token = choose(logits, sampling, rng)
        if self.first_allowed([token]) is not None:
            return token
        masked = self._mask(np.arange(len(logits), dtype=np.int32), logits)
        if not np.isfinite(masked.max()):
            raise EngineError("the grammar allows no token of the vocabulary", _HINT)
        return choose(masked, sampling, rng)

    def first_allowed(self, tokens: Sequence[int]) -> int | None:
        """The first of the tokens that may come next, None where none may."""
        ids = np.asarray(tokens, dtype=np.int32)
        allowed = np.isfinite(self._mask(ids, np.zeros(len(ids), np.float32)))
        return int(ids[allowed.argmax()]) if allowed.any() else None

    def _mask(self, ids: NDArray[np.int32], logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """The logits, minus infinity where a token may not come next."""
        data = np.zeros(len(ids), _TOKEN)
        data["id"], data["logit"] = ids, logits
        pointer = data.ctypes.data_as(ctypes.POINTER(self._lib.llama_token_data))
        array = self._lib.llama_token_data_array(data=pointer, size=len(ids), selected=-1, sorted=False)
        self._lib.llama_sampler_apply(self._sampler, ctypes.byref(array))
        return np.array(data["logit"])

    def accept(self, token: int) -> None:
        """Go on behind a token that is allowed."""
        self._lib.llama_sampler_accept(self._sampler, token)

    def close(self) -> None:
        if self._sampler:
            self._lib.llama_sampler_free(self._sampler)
            self._sampler = None
