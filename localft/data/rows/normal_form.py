"""Texts brought to one form, so that those that say the same are equal."""

from __future__ import annotations

import hashlib
import unicodedata


class _Letters(dict[int, str]):
    """What a character becomes in `letters`, found once: itself, a space, or for signs that are words " sign "."""

    def __missing__(self, code: int) -> str:
        sign = chr(code)
        kept = sign if sign.isalnum() else " "
        self[code] = f" {sign} " if any(first <= code <= last for first, last in _SIGNS) else kept
        return self[code]


_SIGNS = ((0x3040, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF))
_LETTERS = _Letters()


def normal(text: str) -> str:
    """Case, width, ligatures and the kind and number of spaces taken away (Unicode NFKC, case folding)."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return " ".join(text.casefold().split())


def letters(text: str) -> str:
    """A normal form without punctuation: words with one space between; each Chinese or Japanese sign is a word."""
    return " ".join(text.translate(_LETTERS).split())


def digest(text: str) -> bytes:
    """16 bytes that stand for a text."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
