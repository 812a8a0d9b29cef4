"""A secret that was sent, out of whatever a server says: it may quote the request."""

from __future__ import annotations

import base64
import html
import re
from typing import Any

# A shorter one is no secret, and may be a word of the texts.
_SHORTEST = 8


class Mask:
    """Takes a secret out of texts, in each form in which a server may echo it.

    As it is, with characters encoded as in addresses, HTML or JSON, and in base64 as in a Basic header.

    Args:
        secret: "" where none was sent.
        word: what stands in its place.
    """

    def __init__(self, secret: str, word: str) -> None:
        self.word = word
        self._forms = [re.compile("".join(map(_written, secret)))] if secret else []
        if len(secret) >= _SHORTEST:
            self._forms.append(re.compile("|".join(_in_base64(secret.encode(), before) for before in range(3))))
        self._is_long = len(secret) >= _SHORTEST

    def text(self, text: str) -> str:
        """A message without the secret."""
        for form in self._forms:
            text = form.sub(self.word, text)
        return text

    def value(self, value: Any) -> Any:
        """A JSON value without the secret in any of its texts and keys; not changed where it is that short."""
        if not self._is_long:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(each) for each in value]
        if isinstance(value, dict):
            return {self.text(key): self.value(each) for key, each in value.items()}
        return value


def _written(char: str) -> str:
    code = ord(char)
    forms = (
        re.escape(char),
        re.escape(html.escape(char)),
        f"%(?:25)*(?i:{code:02x})",
        rf"\\u(?i:{code:04x})",
        f"&#(?:0*{code}|[xX]0*(?i:{code:x}));",
    )
    return f"(?:{'|'.join(forms)})"


def _in_base64(secret: bytes, before: int) -> str:
    """The characters of base64 that depend on the secret alone, where so many bytes (mod 3) stand before it."""
    encoded = base64.b64encode(b"\0" * before + secret).decode()
    first, stop = (8 * before + 5) // 6, (8 * (before + len(secret))) // 6
    other = {"+": r"(?:[+-]|%2[bB])", "/": r"(?:[/_]|%2[fF])"}
    return "".join(other.get(char, char) for char in encoded[first:stop])
