"""Placeholders for message contents while a template is rendered, and what stands there in the real rendering."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping

Key = tuple[int, str]
"""Which message, and which of its fields ("content", "input" or "reasoning"); "mark" is a character that is guarded."""

Pieces = tuple["str | Key", ...]
_SHORT = 1 << 12
_MUST_STAND = ("content", "input")
PLACEHOLDER = re.compile("\ue000localft-([0-9]+)-([a-z]+)\ue001")


def placeholder(i: int, field: str) -> str:
    return f"\ue000localft-{i}-{field}\ue001"


def split(text: str) -> Pieces:
    """Literal stretches and, as (message, field), the placeholders between them."""
    # rows of the same roles share their text with placeholders
    return _known_split(text) if len(text) < _SHORT else _split(text)


def _split(text: str) -> Pieces:
    pieces: list[str | Key] = []
    start = 0
    for match in PLACEHOLDER.finditer(text):
        pieces += [text[start : match.start()], (int(match[1]), match[2])]
        start = match.end()
    return (*pieces, text[start:])


_known_split = functools.lru_cache(1024)(_split)


def holds(pieces: Pieces, contents: Mapping[Key, str]) -> bool:
    """Whether every content that is not blank has a place; reasoning may be left out."""
    found = {piece for piece in pieces if isinstance(piece, tuple)}
    return all(key in found or key[1] not in _MUST_STAND or not text.strip() for key, text in contents.items())


def fill(pieces: Pieces, contents: Mapping[Key, str], real: str) -> dict[Key, str] | None:
    """What stands at each placeholder in the real rendering: the content, or the content trimmed; None if neither."""
    if not holds(pieces, contents):
        return None
    for trim in (str, str.strip, str.rstrip, str.lstrip):
        filled = {key: trim(text) for key, text in contents.items()}
        if "".join(filled[piece] if isinstance(piece, tuple) else piece for piece in pieces) == real:
            return filled
    return _match(pieces, contents, real)


def _match(pieces: Pieces, contents: Mapping[Key, str], real: str) -> dict[Key, str] | None:
    """The same where contents are trimmed in different ways: the first way that fits, tried from the left."""
    variants = {key: list(dict.fromkeys(trim(text) for trim in _TRIMS)) for key, text in contents.items()}
    filled: dict[Key, str] = {}
    choices: list[tuple[int, int, int, Key]] = []  # piece, place in `real`, variant, of those still to try
    i = at = variant = 0
    for _ in range(_MOST_TRIES + 2 * len(pieces)):
        if i == len(pieces) and at == len(real):
            return filled
        piece = pieces[i] if i < len(pieces) else None
        if isinstance(piece, tuple) and piece not in filled:
            texts = variants[piece]
            variant = next((k for k in range(variant, len(texts)) if real.startswith(texts[k], at)), len(texts))
            text = texts[variant] if variant < len(texts) else None
            if text is not None:
                choices.append((i, at, variant, piece))
                filled[piece] = text
        else:
            text = filled[piece] if isinstance(piece, tuple) else piece
        if text is not None and real.startswith(text, at):
            i, at, variant = i + 1, at + len(text), 0
        elif choices:
            i, at, variant, key = choices.pop()
            variant += 1
            del filled[key]
        else:
            return None
    return None


def _lines(trim: Callable[[str, str], str]) -> Callable[[str], str]:
    return lambda text: trim(text, "\n")


_TRIMS: tuple[Callable[[str], str], ...] = (
    *(str, str.rstrip, str.lstrip, str.strip),
    *map(_lines, (str.rstrip, str.lstrip, str.strip)),
)
_MOST_TRIES = 10_000
