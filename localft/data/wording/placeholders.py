"""Placeholders for message contents while a template is rendered, and what stands there in the real rendering."""

from __future__ import annotations

import re
from collections.abc import Sequence

from localft.data.rows.row import Message

Key = tuple[int, str]
"""Which message, and which of its fields ("content" or "input")."""

Pieces = list["str | Key"]
PLACEHOLDER = re.compile("\ue000localft-([0-9]+)-([a-z]+)\ue001")


def placeholder(i: int, field: str) -> str:
    return f"\ue000localft-{i}-{field}\ue001"


def split(text: str) -> Pieces:
    """Literal stretches and, as (message, field), the placeholders between them."""
    pieces: Pieces = []
    start = 0
    for match in PLACEHOLDER.finditer(text):
        pieces += [text[start : match.start()], (int(match[1]), match[2])]
        start = match.end()
    return [*pieces, text[start:]]


def fill(pieces: Pieces, messages: Sequence[Message], real: str) -> dict[Key, str] | None:
    """What stands at each placeholder in the real rendering: the content, or the content trimmed; None if neither."""
    contents = {(i, name): getattr(m, name) for i, m in enumerate(messages) for name in ("content", "input")}
    found = {piece for piece in pieces if isinstance(piece, tuple)}
    if any(contents[key].strip() and key not in found for key in contents):
        return None
    for trim in (str, str.strip, str.rstrip, str.lstrip):
        filled = {key: trim(contents[key]) for key in contents}
        if "".join(filled[piece] if isinstance(piece, tuple) else piece for piece in pieces) == real:
            return filled
    variants = {
        key: dict.fromkeys((text, text.rstrip(), text.lstrip(), text.strip())) for key, text in contents.items()
    }
    seen: set[Key] = set()
    pattern = ""
    for piece in pieces:
        if isinstance(piece, str):
            pattern += re.escape(piece)
        elif piece in seen:
            pattern += f"(?P={_group(piece)})"
        else:
            pattern += f"(?P<{_group(piece)}>{'|'.join(map(re.escape, variants[piece]))})"
            seen.add(piece)
    match = re.fullmatch(pattern, real)
    return None if match is None else {key: match[_group(key)] for key in seen}


def _group(key: Key) -> str:
    return f"{key[1]}{key[0]}"
