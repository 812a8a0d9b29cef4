"""Where answers stand in a rendered conversation, and how a template opens and closes them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from localft.data.wording.placeholders import PLACEHOLDER
from localft.model.tokenizer import Tokenizer

_TAGS = re.compile(r"\s*(?:(?:<[^<>]{1,80}>|\[[^\[\]]{1,80}\])\s*){1,9}")


@dataclass(frozen=True)
class Cut:
    """Where one answer stands in a text with placeholders, and whether its end token has to be added."""

    start: int
    stop: int
    add_end: bool


@dataclass(frozen=True)
class Closing:
    """What a template writes behind an answer, and whether it ends with the token at which chat stops."""

    text: str
    ends: bool

    def behind(self, tokenizer: Tokenizer, text: str, at: int) -> tuple[int, bool] | None:
        """Where it ends in `text` behind the content that ends at `at`, and whether the end token is still missing.

        None where the template closes this answer otherwise than if it were the last.
        """
        if self.text and text.startswith(self.text, at):
            return at + len(self.text), not self.ends
        if self.text:
            return None
        end = end_token(tokenizer, text, at)
        return (at, True) if end is None else (end, False)


OPEN = Closing("", False)


def closing_of(tokenizer: Tokenizer, written: str) -> Closing:
    """The closing of an answer, of all that the template writes behind it where it is the last.

    It goes up to and with the token at which chat stops; where there is none, it is what is no white space.
    """
    following = PLACEHOLDER.search(written)
    written = written[: following.start()] if following else written
    at = 0
    for fragment in tokenizer.split_special(written):
        if not isinstance(fragment, int):
            continue
        name = tokenizer.token_text(fragment)
        at = written.index(name, at) + len(name)
        if fragment in tokenizer.end_ids:
            return Closing(written[:at], True)
    return OPEN if following else Closing(written.rstrip(), False)


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
    it is the prompt's; mere whitespace is left to the answer. Where the generation prompt goes on otherwise than the
    header does ("<think>" and "</think>"), what the header has beyond what both have follows the prompt.

    Args:
        prompt: what stands before the answer.
        answered: the same with an answer.
        at: where its content stands in `answered`; negative: nowhere.
    """
    if at < 0:
        return ""
    if answered.startswith(prompt):
        header = answered[len(prompt) : at]
        return header if header.strip() and not PLACEHOLDER.search(header) else ""
    n = _tags_shared(prompt, answered[:at])
    header = answered[n:at]
    joins = _TAGS.fullmatch(header) and not PLACEHOLDER.search(prompt, n)
    return header if joins and not prompt.rstrip().endswith(header.strip()) else ""


def _tags_shared(one: str, other: str) -> int:
    """Characters that two texts have in common at their beginnings; the last tag is whole."""
    n = n_common(one, other)
    for left, right in (("<", ">"), ("[", "]")):
        begun = one.rfind(left, 0, n)
        if begun > one.rfind(right, 0, n):
            n = begun
    return n


def n_common(one: str, other: str) -> int:
    """Characters that two texts have in common at their beginnings."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[low:middle] == other[low:middle] else (low, middle - 1)
    return low
