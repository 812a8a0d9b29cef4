"""Text from outside as it may be shown: nothing in it can move the cursor, colour the screen or turn the line around.

`visible` is for names and messages, `readable` for rows of data, `spoken` for conversations; `screen/border.py` applies
them to all that goes to a terminal.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# What a terminal obeys, and what turns lines around or hides text; line breaks and tabs are neither.
_ACTING = "\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"
# Without a shape of their own; words and emoji of many languages are written with them.
_SHAPING = "\xad\u061c\u180e\u200b-\u200f\u2060-\u2065"
_UNREADABLE = re.compile(f"[{_ACTING}]")
_UNSEEN = re.compile(f"[{_ACTING}{_SHAPING}]")

# Escape sequences after ECMA-48; one that is longer is none, so that it cannot swallow what follows.
_LONGEST = 1024
_CSI, _CSI_BODY = r"(?:\x1b\[|\x9b)", r"[0-?]{0,64}[ -/]{0,8}"
_STRING, _STRING_BODY = r"(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])", rf"[^\x00-\x1f\x7f-\x9f]{{0,{_LONGEST}}}"
_SHORT = r"\x1b[ -/]{0,8}"
_SEQUENCE = rf"{_STRING}{_STRING_BODY}(?:\x07|\x1b\\|\x9c)|{_CSI}{_CSI_BODY}[@-~]|{_SHORT}[0-~]"
_UNSPOKEN = re.compile(f"{_SEQUENCE}|[{_ACTING}]")
_UNFINISHED = re.compile(rf"(?:{_STRING}{_STRING_BODY}\x1b?|{_CSI}{_CSI_BODY}|{_SHORT})\Z")


def visible(text: str) -> str:
    """Control characters as pictures (␛), characters without a shape as their code; line breaks and tabs stay."""
    return _UNSEEN.sub(_picture, text)


def readable(text: str) -> str:
    """As `visible`, but joiners, marks of direction and soft hyphens stay, without which some scripts break."""
    return _UNREADABLE.sub(_picture, text)


def spoken(text: str) -> str:
    """Text without control characters, whole escape sequences, overrides and isolates; the rest stays as it is."""
    return _UNSPOKEN.sub("", text)


class Speech:
    """`spoken` for text that comes in pieces: an escape sequence may begin in one and end in another."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        """Add a piece; return the text that is now certain."""
        text = self._held + piece
        unfinished = _UNFINISHED.search(text)
        self._held = unfinished[0] if unfinished else ""
        return spoken(text[: len(text) - len(self._held)])

    def end(self) -> str:
        """Return what was held back and has become no escape sequence."""
        held, self._held = self._held, ""
        return spoken(held)


@dataclass(frozen=True)
class Styled:
    """Text with looks, which are painted once the text is clean.

    Attributes:
        fg: a colour's name, as Click has them.
    """

    text: str
    fg: str | None = None
    bold: bool = False
    dim: bool = False
    underline: bool = False

    def __str__(self) -> str:
        return self.text


def _picture(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def one_line(text: str, most: int = 200) -> str:
    """Text as one line of at most so many characters, control characters as spaces."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text[: 4 * most]).split())
    return line if len(line) <= most else line[: most - 1] + "…"
