"""Texts brought to one form, so that those that say the same are equal."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator


class _Letters(dict[int, str]):
    """What a character becomes in `letters`, found once: itself, a space, or for signs that are words " sign "."""

    def __missing__(self, code: int) -> str:
        sign = chr(code)
        kept = sign if sign.isalnum() else " "
        self[code] = f" {sign} " if any(first <= code <= last for first, last in _SIGNS) else kept
        return self[code]


_SIGNS = ((0x3040, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF))
_LETTERS = _Letters()
_STRETCH = 1 << 20
# white space is joined with nothing before it by NFKC, so that a text may be cut there
_SPACE = re.compile(r"\s")
# marks are no letters, and no white space
_MOST_MARKS, _JOINER = 30, "\u034f"
_MARKS = re.compile(rf"[^\w\s\0-\x7f]{{{_MOST_MARKS + 1},}}")
_BETWEEN_WORDS = re.compile(rf"[\W_{''.join(f'{chr(first)}-{chr(last)}' for first, last in _SIGNS)}]")


def normal(text: str) -> str:
    """Case, width, ligatures and the kind and number of spaces taken away (Unicode NFKC, case folding)."""
    return " ".join(normal_stretches(text))


def normal_stretches(text: str) -> Iterator[str]:
    """The normal form, stretch after stretch, a space between them: its words take far more room than the text."""
    for stretch in _stretches(text, _SPACE):
        if not stretch.isascii():
            stretch = nfkc(stretch)
        if words := stretch.casefold().split():
            yield " ".join(words)


def nfkc(text: str) -> str:
    """Unicode's normal form NFKC, with at most 30 marks on one letter.

    Marks are put in order by comparing each with all before it, so that a letter with thousands takes minutes.
    Unicode's Stream-Safe Text Process (UAX #15) puts a joiner behind every thirtieth.
    """
    return unicodedata.normalize("NFKC", _MARKS.sub(_stream_safe, text))


def _stream_safe(match: re.Match[str]) -> str:
    kept, n = [], 0
    for char in match[0]:
        n = n + 1 if unicodedata.combining(char) else 0
        if n > _MOST_MARKS:
            kept.append(_JOINER)
            n = 1
        kept.append(char)
    return "".join(kept)


def letters(text: str) -> str:
    """A normal form without punctuation: words with one space between; each Chinese or Japanese sign is a word."""
    found = (stretch.translate(_LETTERS).split() for stretch in _stretches(text, _BETWEEN_WORDS))
    return " ".join(" ".join(words) for words in found if words)


def _stretches(text: str, end: re.Pattern[str]) -> Iterator[str]:
    """`text` in stretches of about a million characters, each but the first beginning with a match of `end`."""
    start = 0
    if len(text) <= _STRETCH:
        yield text
        return
    while start < len(text):
        match = end.search(text, start + _STRETCH) if len(text) > start + _STRETCH else None
        stop = match.start() if match else len(text)
        yield text[start:stop]
        start = stop


def digest(text: str) -> bytes:
    """16 bytes that stand for a text."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def normal_digest(text: str) -> bytes:
    """`digest(normal(text))`, for which no copy of a long text is made."""
    found = hashlib.blake2b(digest_size=16)
    add_normal(found, text)
    return found.digest()


def add_normal(found: hashlib.blake2b, text: str) -> None:
    """Add a text's normal form to a digest, stretch by stretch."""
    for number, stretch in enumerate(normal_stretches(text)):
        found.update((f" {stretch}" if number else stretch).encode("utf-8", "surrogatepass"))
