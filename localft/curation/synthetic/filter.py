"""Which pairs are kept, and why the others are not."""

from __future__ import annotations

import hashlib
import re
from collections import Counter

from localft.data.rows.normal_form import nfkc

EMPTY = "an empty question or answer"
ECHO = "an answer that is its question"
TWICE = "asked already, with the same answer"
OTHERWISE = "asked already, with another answer"
NEEDS_TEXT = "a question that only makes sense beside the text"
UNSUPPORTED = "an answer that the text does not support"
NO_WORDS = "a page or section of headings and directives alone"
NOT_JSON = "a reply without any pair"

_OUT_OF_SIGHT = re.compile(
    r"\b(?:according to|based on|in|from|by|of) (?:the|this) (?:(?:given|provided|above|following) )?"
    r"(?:text(?! files?\b)|passage|excerpt|snippet|source text|context)\b"
    r"|\b(?:this|the (?:given|provided|above|following)) (?:text|passage|excerpt|snippet|file|page|document|section"
    r"|code|commit|pull request|issue)\b|\b(?:mentioned|described|given|shown|provided|listed) above\b"
    r"|\bthe (?:text|passage|excerpt|snippet) (?:say|state|mention|describe|explain|give|list|provide|tell)s?\b",
    re.IGNORECASE,
)
_CONTROL = dict.fromkeys([*range(9), 11, 12, *range(14, 32), 127, *range(0xD800, 0xE000)])


class PairFilter:
    """Decides about pairs one after the other; a question is asked once, whoever asks it."""

    def __init__(self) -> None:
        self.dropped: Counter[str] = Counter()
        self._asked: dict[bytes, bytes] = {}

    def keep(self, question: str, answer: str) -> bool:
        """Whether to keep a pair; counts the reason if not."""
        reason = self._reason(question, answer)
        if reason:
            self.dropped[reason] += 1
        return not reason

    def drop(self, reason: str) -> None:
        self.dropped[reason] += 1

    def _reason(self, question: str, answer: str) -> str:
        asked, said = plain(question), plain(answer)
        if not asked or not said:
            return EMPTY
        if asked == said:
            return ECHO
        key, value = _digest(asked), _digest(said)
        before = self._asked.setdefault(key, value)
        if before is value:
            return ""
        return TWICE if before == value else OTHERWISE


def needs_text(question: str) -> bool:
    """Whether nobody could answer the question without being told which text it is about."""
    return bool(_OUT_OF_SIGHT.search(question))


def cleaned(text: str) -> str:
    """A model's text without control characters, which no row may have, and white space around it."""
    return text.translate(_CONTROL).replace("\r\n", "\n").replace("\r", "\n").strip()


def plain(text: str) -> str:
    """The same for texts that differ in case, white space and punctuation at their ends only."""
    text = " ".join(nfkc(text).casefold().split())
    return text.strip(" .?!:;\"'“”‘’`*")


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()
