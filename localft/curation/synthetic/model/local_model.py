"""A model on this machine, asked through llama.cpp with a grammar."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from localft import llama
from localft.chat.prompter import Prompter, template_for
from localft.chat.runtime import LlamaRuntime
from localft.chat.sampling import Sampling
from localft.chat.session import default_threads
from localft.curation.synthetic.model.grammar import Grammar, grammar_of
from localft.curation.synthetic.model.prompt import in_one_turn, messages_of, schema
from localft.curation.synthetic.model.reply import Reply
from localft.curation.synthetic.source_documents import Passage
from localft.data.rows.row import Message
from localft.errors import EngineError
from localft.model.tokenizer import Tokenizer

# tokens of context: the model's own, but not less and not more than this
_LEAST_CTX, _MOST_CTX = 2048, 8192
_PAIR_TOKENS, _MORE_TOKENS = 300, 100
_TEMPERATURE = 0.7
# tokens of an answer that are kept for its end: quotes and brackets, and at most one more key
_END_TOKENS = 48


class LocalModel:
    """A GGUF with its own chat template.

    Attributes:
        model: its file's name.
        n_ctx: tokens of context.

    Args:
        gguf: a model that `usable_gguf` has passed.
        n_threads: None = as `localft chat`.

    Raises:
        ModelError, EngineError: it cannot be loaded.
    """

    def __init__(self, gguf: Path, n_threads: int | None = None) -> None:
        self.model = gguf.name
        llama.silence()
        self._tokenizer = Tokenizer(gguf)
        wanted = self._tokenizer.n_ctx_train or _MOST_CTX
        self.n_ctx = min(max(wanted, _LEAST_CTX), _MOST_CTX)
        self.note = (
            f"`{gguf.name}` was trained on {wanted:,} tokens of context; prompts take up to {self.n_ctx:,}"
            if wanted < self.n_ctx
            else ""
        )
        self._runtime = LlamaRuntime(gguf, n_ctx=self.n_ctx, n_threads=n_threads or default_threads(gguf))
        self._prompter = Prompter(template_for(self._tokenizer, None, None), self._tokenizer)
        pieces = [(token, self._tokenizer.piece(token, False)) for token in range(self._tokenizer.n_vocab)]
        ends = sorted(self._tokenizer.end_ids)
        self._closing = [
            *ends,
            *(token for mark in (b'"', b"}", b"]") for token, piece in pieces if piece == mark),
        ]

    def cut(self, passage: Passage, n_pairs: int) -> str:
        """The row's text, or as many of its first lines as fit the context with the reply; "" where few do."""
        text, room = passage.body, self._room(n_pairs)
        while text:
            n = len(self._ids(messages_of(passage, text, n_pairs)))
            if n <= room:
                return text
            text = text[: min(len(text) - 1, int(len(text) * room / n))]
            text = text[: text.rfind("\n") + 1].rstrip()
        return ""

    def _room(self, n_pairs: int) -> int:
        """Tokens that a prompt may have."""
        return self.n_ctx - self._n_reply(n_pairs)

    def _n_reply(self, n_pairs: int) -> int:
        return min(_PAIR_TOKENS * n_pairs + _MORE_TOKENS, self.n_ctx // 2)

    def _ids(self, messages: list[dict[str, str]]) -> list[int]:
        messages = messages if self._prompter.knows_system else in_one_turn(messages)
        return self._prompter.ids([Message(turn["role"], turn["content"]) for turn in messages])

    def ask(self, messages: list[dict[str, str]], n_pairs: int, seed: int) -> Reply:
        """One reply: JSON as `schema` has it, whatever the model is.

        Raises:
            EngineError: the prompt does not fit the context.
        """
        ids = self._ids(messages)
        n_prompt = len(ids)
        if n_prompt > self._room(n_pairs):
            raise EngineError(
                f"a prompt of {n_prompt:,} tokens does not fit a context of {self.n_ctx:,}", "make smaller rows"
            )
        # what is left in the cache of another prompt would change the last digits of the logits
        self._runtime.clear()
        rng = np.random.default_rng(seed)
        sampling = Sampling(temp=_TEMPERATURE)
        grammar = Grammar(self._runtime.vocab, grammar_of(schema(n_pairs)))
        try:
            for n_left in range(self._n_reply(n_pairs), 0, -1):
                logits = self._runtime.logits_after(ids)
                closing = grammar.first_allowed(self._closing) if n_left <= _END_TOKENS else None
                token = closing if closing is not None else grammar.choose(logits, sampling, rng)
                if self._runtime.is_end(token):
                    break
                grammar.accept(token)
                ids.append(token)
        finally:
            grammar.close()
        return Reply(self._tokenizer.decode(ids[n_prompt:]).strip(), n_prompt, len(ids) - n_prompt)

    def close(self) -> None:
        """Free the model."""
        self._runtime.close()
        self._tokenizer.close()
