"""Rows and prompts of a chat template as text with masks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from localft.data.rows.row import Message
from localft.data.tokens.tokenize import encode
from localft.data.wording.chat_template import ChatTemplate
from localft.data.wording.template import TemplateInfo, formatter
from localft.model.tokenizer import Tokenizer

DATE = "2025-03-04"
Written = list[tuple[int, str]]


def chat(source: str, thinking: bool = False) -> TemplateInfo:
    return TemplateInfo("chat", source, "model", DATE, thinking)


def rows(
    source: str, tokenizer: Tokenizer, messages: Sequence[Message], *, train_on_prompt: bool = False
) -> list[Written]:
    """Each row as stretches of equal mask: (1, text) is learned."""
    made = formatter(chat(source), tokenizer).rows(messages, train_on_prompt=train_on_prompt)
    found = []
    for segments in made:
        tokens = encode(segments, tokenizer)
        stretches = groupby(zip(tokens.mask, tokens.ids.tolist(), strict=True), key=lambda pair: pair[0])
        found.append([(mask, tokenizer.decode([i for _, i in pairs], special=True)) for mask, pairs in stretches])
    return found


def last_answers(source: str, tokenizer: Tokenizer, messages: Sequence[Message]) -> list[tuple[str, str]]:
    """Of each row what stands before its last answer, and that answer."""
    return [("".join(text for _, text in row[:-1]), row[-1][1]) for row in rows(source, tokenizer, messages)]


def prompt(source: str, tokenizer: Tokenizer, messages: Sequence[Message], thinking: bool = False) -> str:
    segments = formatter(chat(source, thinking), tokenizer).prompt(messages)
    return tokenizer.decode(encode(segments, tokenizer).ids.tolist(), special=True)


def rendered(source: str, messages: Sequence[Message], generation_prompt: bool = True) -> str:
    """What the template by itself makes of these messages."""
    template = ChatTemplate(source, {"bos_token": "<s>", "eos_token": "</s>"}, DATE)
    plain = [{"role": message.role, "content": message.content} for message in messages]
    return template.render(plain, generation_prompt=generation_prompt)


def control_ids(tokenizer: Tokenizer, ids: Sequence[int]) -> list[int]:
    """Those that are control tokens."""
    texts = tokenizer.control_texts
    return [token for token in ids if tokenizer.token_text(token) in texts]
