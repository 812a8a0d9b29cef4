"""How much of an answer stands in the text that it was made from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

# scripts without spaces between words count by character
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\u0e00-\u0e7f"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_COMMON = (
    "a an the and or but nor not no yes if then else than as at by for from in into of off on onto out over to up with"
    " without is are was were be been being am do does did done has have had having can could may might must shall"
    " should will would this that these those it its they them their there here he she his her we us our you your i me"
    " my which who whom whose what when where why how all any both each few more most other some such only own same so"
    " too very just also about above after again against before below between during further once through under until"
    " while because s t re ll ve"
)
_COMMON_WORDS = frozenset(_COMMON.split())


class Support:
    """Measures answers against one text.

    An answer's support is the mean of two shares: of its words that stand in the text, and of its pairs of
    neighbouring words that are neighbours there. Words such as "the" and "is" do not count, case and a plural's "s" do
    not matter, and names in code count by their parts. 1 is a quotation, 0 has nothing of the text.
    """

    def __init__(self, text: str) -> None:
        words = list(_words(text))
        self._words = frozenset(words)
        self._pairs = frozenset(pairwise(words))

    def of(self, answer: str) -> float:
        """The answer's support, 0 to 1; 0 of an answer that says nothing, such as "Yes"."""
        words = list(_words(answer))
        if not words:
            return 0.0
        found = sum(word in self._words for word in words) / len(words)
        pairs = list(pairwise(words))
        if not pairs:
            return found
        return (found + sum(pair in self._pairs for pair in pairs) / len(pairs)) / 2


def _words(text: str) -> Iterator[str]:
    for word in _WORD.findall(_CAMEL.sub(" ", text)):
        plain = word.casefold()
        if plain not in _COMMON_WORDS:
            yield plain[:-1] if len(plain) > 3 and plain.endswith("s") else plain
