"""A few validation prompts with the answers that the data gives, to show what a run changed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from localft.data.rows.row import Message
from localft.data.tokens.tokenize import Unit
from localft.model.tokenizer import Tokenizer

_MAX_CHARACTERS = 400


@dataclass(frozen=True)
class ValPrompt:
    """What is asked (`prompt_ids` takes `prompt` as it is), and what the data answers.

    Attributes:
        prompt: the turns before the answer; of a text, its beginning.
        expected: the answer; of a text, how it goes on.
        source, line: the row.
    """

    prompt: str | tuple[Message, ...]
    expected: str
    source: str
    line: int


def val_prompts(units: Sequence[Unit], tokenizer: Tokenizer, n_ctx: int, count: int = 8) -> tuple[ValPrompt, ...]:
    """The first prompts of the validation rows that differ from one another and fit into `n_ctx` positions."""
    found: dict[object, ValPrompt] = {}
    for unit in units:
        if not unit.is_text and unit.parts[0].length > n_ctx:
            continue
        made = _of_text(unit, tokenizer, n_ctx) if unit.is_text else _of_messages(unit)
        if made is not None:
            found.setdefault(made.prompt, made)
        if len(found) == count:
            break
    return tuple(found.values())


def _of_messages(unit: Unit) -> ValPrompt | None:
    """The first answer that is learned and that something stands before."""
    messages = unit.row.messages
    answers = (i for i, message in enumerate(messages) if i and message.role == "assistant" and message.trained)
    first = next(answers, None)
    if first is None:
        return None
    return ValPrompt(messages[:first], messages[first].content, unit.row.source, unit.row.line)


def _of_text(unit: Unit, tokenizer: Tokenizer, n_ctx: int) -> ValPrompt | None:
    """The text up to the end of a word before its middle; of the tail of a text, from its first whole line on."""
    tokens = unit.parts[0].tokens
    text = tokenizer.decode(tokens[: min(_MAX_CHARACTERS, n_ctx)].tolist()).strip()
    if tokens[0] != tokenizer.bos_id and "\n" in text[: len(text) // 2]:
        text = text.split("\n", 1)[1].strip()
    text = text[:_MAX_CHARACTERS]
    head = re.match(r"[\s\S]*\S(?=\s)", text[: len(text) // 2 + 1])
    if head is None:
        return None
    return ValPrompt(head[0], text[len(head[0]) :].strip(), unit.row.source, unit.row.line)
