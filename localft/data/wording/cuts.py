"""Where answers stand in a rendered conversation."""

from __future__ import annotations

from dataclasses import dataclass

from localft.data.wording.placeholders import PLACEHOLDER
from localft.model.tokenizer import Tokenizer


@dataclass(frozen=True)
class Cut:
    """Where one answer stands in a text with placeholders, and whether its end token has to be added."""

    start: int
    stop: int
    add_end: bool


def cut_behind(tokenizer: Tokenizer, text: str, start: int, content_end: int) -> Cut:
    """The answer from `start`, with the end token that the template writes behind its content."""
    end = end_token(tokenizer, text, content_end)
    return Cut(start, content_end if end is None else end, end is None)


def end_token(tokenizer: Tokenizer, text: str, start: int) -> int | None:
    """Where the end token behind an answer ends, if only whitespace stands between."""
    following = PLACEHOLDER.search(text, start)
    for fragment in tokenizer.split_special(text[start : following.start() if following else len(text)]):
        if isinstance(fragment, int):
            written = tokenizer.token_text(fragment)
            return text.index(written, start) + len(written) if fragment in tokenizer.end_ids else None
        if fragment.strip():
            return None
    return None


def header_of(prompt: str, answered: str, at: int) -> str:
    """What the template writes with an answer only, before its content, and nobody should have to generate.

    A template without a generation prompt writes the answer's header ("<|assistant|>") when the answer is there. So
    it is the prompt's; mere whitespace is left to the answer.

    Args:
        prompt: what stands before the answer.
        answered: the same with an answer.
        at: where its content stands in `answered`; negative: nowhere.
    """
    header = answered[len(prompt) : at] if at >= 0 and answered.startswith(prompt) else ""
    return header if header.strip() and not PLACEHOLDER.search(header) else ""
