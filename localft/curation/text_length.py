"""How long a text is: with a model's own tokenizer, or estimated where no model is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from localft.errors import ConfigError, TextError
from localft.report import Report

# Of Llama's 32,000-token vocabularies on source code and documentation: 2.6 to 3.1 bytes per token. Larger
# vocabularies have longer tokens, so an estimate at 2.5 is rather too high than too low.
BYTES_PER_TOKEN = 2.5
DEFAULT_CHUNK = 2048
LARGEST_DEFAULT = 8192
SMALLEST = 32
# What `data synth` puts around a row: the question, the answer's first line, the fence, and the chat template's marks.
QUESTION = 192


@dataclass(frozen=True)
class Measure:
    """Lengths in the positions that a text row takes in training.

    Attributes:
        count: tokens of a text.
        around: what BOS and EOS add; a row's first token is no position.
        limit, reason: the most that a row may have, and why.
        exact: a tokenizer counts; otherwise `BYTES_PER_TOKEN` does.
        close: frees the tokenizer.
    """

    count: Callable[[str], int]
    around: int
    limit: int
    reason: str
    exact: bool
    close: Callable[[], None] = lambda: None

    def row(self, text: str) -> int:
        """Positions of a row."""
        return self.count(text) + self.around

    def fits(self, text: str) -> bool:
        """Whether a row is within the limit; no text has more tokens than bytes."""
        return len(text.encode("utf-8")) + 2 <= self.limit or self.row(text) <= self.limit


def measure(model: str | None, chunk_tokens: int | None, progress: Report) -> Measure:
    """The measure for a model's rows, or an estimate without one.

    Args:
        model: as `localft finetune --model` takes it; converted first where it is not yet.
        chunk_tokens: what the user asked for, or None.
        progress: told how far a download or conversion is.

    Raises:
        ConfigError: `chunk_tokens` is too small, or there is no such model.
        ModelError: the model cannot be read.
    """
    if chunk_tokens is not None and chunk_tokens < SMALLEST:
        raise ConfigError(f"--chunk-tokens `{chunk_tokens}` is too small to hold anything", f"give {SMALLEST} or more")
    if model is None:
        limit = chunk_tokens or DEFAULT_CHUNK
        reason = "--chunk-tokens" if chunk_tokens else "the default without --model"
        return Measure(estimate, 1, limit, f"{reason}; estimated at {BYTES_PER_TOKEN} bytes a token", False)
    from localft.model.convert import convert
    from localft.model.probe import usable_gguf
    from localft.model.tokenizer import Tokenizer

    gguf = convert(model, progress=progress).path
    usable_gguf(gguf, progress)
    tokenizer = Tokenizer(gguf)
    trained = tokenizer.n_ctx_train
    limit, reason = (chunk_tokens, "--chunk-tokens") if chunk_tokens else by_default(model, trained)
    around = int(tokenizer.add_bos) + int(tokenizer.eos_id is not None) - 1

    @lru_cache(maxsize=2)
    def count(text: str) -> int:
        try:
            return len(tokenizer.encode(text))
        except TextError:  # none that a run will take; who builds rows may yet cut it
            return estimate(text)

    return Measure(count, around, limit, reason, True, tokenizer.close)


def by_default(model: str, trained: int) -> tuple[int, str]:
    """The most tokens of a row without --chunk-tokens, and why: it is to fit into the context with a question."""
    most = min(trained or DEFAULT_CHUNK, LARGEST_DEFAULT)
    question = min(QUESTION, most // 4)
    where = f"the context of `{model}`" if most == trained else f"{most:,} of `{model}`"
    return most - question, f"{where}, less {question} for a question of `data synth`"


def estimate(text: str) -> int:
    """Tokens of a text, about, from its bytes in UTF-8."""
    return -int(-len(text.encode("utf-8")) // BYTES_PER_TOKEN)
