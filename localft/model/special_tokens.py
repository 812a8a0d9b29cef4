"""Tokens that are matched as a whole before a text is tokenized, found by llama.cpp's rules."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

_C_SPACE = " \t\n\v\f\r"
_Range = tuple[int, int]


@dataclass(frozen=True)
class Special:
    """One such token.

    Attributes:
        user_defined: it counts wherever it stands, in a user's text too; others only in a template's own text.
        lstrip, rstrip: whitespace before or behind it goes with it.
    """

    id: int
    text: str
    user_defined: bool
    lstrip: bool
    rstrip: bool


class SpecialTokens:
    """All of a vocabulary's special tokens.

    Attributes:
        ids: of all of them.
        control_ids: of those that no user's text may give.
        control_texts: how these are written.
    """

    def __init__(self, tokens: Iterable[Special]) -> None:
        self._longest_first = sorted(tokens, key=lambda token: -len(token.text.encode()))
        controls = [token for token in self._longest_first if not token.user_defined]
        self.ids = frozenset(token.id for token in self._longest_first)
        self.control_ids = frozenset(token.id for token in controls)
        self.control_texts = frozenset(token.text for token in controls)
        self._any = _pattern(self._longest_first)
        self._any_control = _pattern(controls)

    def split(self, text: str, protected: Sequence[_Range] = ()) -> list[str | int]:
        """Cut text as llama.cpp does, the longest token first and through the whole text.

        Args:
            text: any text.
            protected: ranges of it that a user wrote; only user-defined tokens are found there or across an edge.

        Returns:
            Plain stretches as str, tokens as ids.
        """
        if not text:
            return []
        if not self._any.search(text):
            return [text]
        pieces: list[_Range | int] = [(0, len(text))]
        for token in self._longest_first:
            if token.text in text:
                kept = () if token.user_defined else protected
                pieces = [part for piece in pieces for part in _cut(text, piece, token, kept)]
        return [piece if isinstance(piece, int) else text[piece[0] : piece[1]] for piece in pieces]

    def broken(self, text: str) -> Iterator[str]:
        """Text cut behind the first character of everything in it that spells a control token."""
        start = 0
        for match in self._any_control.finditer(text.replace("▁", " ")):
            yield text[start : match.start() + 1]
            start = match.start() + 1
        yield text[start:]


def _pattern(tokens: Sequence[Special]) -> re.Pattern[str]:
    return re.compile("|".join(re.escape(token.text) for token in tokens) or r"(?!)")


def _cut(text: str, piece: _Range | int, token: Special, protected: Sequence[_Range]) -> Iterator[_Range | int]:
    """One stretch cut at each occurrence of one token that touches no protected range."""
    if isinstance(piece, int):
        yield piece
        return
    start, end = piece
    search = start
    while (at := text.find(token.text, search, end)) >= 0:
        stop = at + len(token.text)
        if any(low < stop and at < high for low, high in protected):
            search = at + 1
            continue
        left = start + len(text[start:at].rstrip(_C_SPACE)) if token.lstrip else at
        if left > start:
            yield start, left
        yield token.id
        start = stop + (end - stop - len(text[stop:end].lstrip(_C_SPACE)) if token.rstrip else 0)
        search = start
    if start < end:
        yield start, end
