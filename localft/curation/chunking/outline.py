"""Headings of Markdown and reStructuredText, found as their parsers find them: not in code, not in comments."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from markdown_it import MarkdownIt

from localft.curation.document import Heading, Line

_FRONT = re.compile(r"---[ \t]*\n(?P<body>.*?)^(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_TITLE = re.compile(r"^title:[ \t]*(?P<title>\S.*)", re.MULTILINE)
_ADORNMENT = re.compile(r"([!-/:-@\[-`{-~])\1*\s*\Z")
_EMPHASIS = re.compile(r"(?<!\\)(?:\*\*|__|`+)")
# A stretch ends where the next of its kind begins: text that is one beginning after the other is read once.
_LINK = re.compile(r"!?\[([^\[\]]*)\](?:\([^)\[]*\)|\[[^\[\]]*\])")
_TAG = re.compile(r"<[^<>]+>|\{#[\w-]+\}\s*$")
_ROLE = re.compile(r"(?<![\w:+.-]):[\w:+.-]+:`~?(?P<text>[^`<]+)(?:<[^>`]*>)?`")


def find_headings(lines: Sequence[Line], form: str) -> list[Heading]:
    """Headings of a page in order.

    Args:
        lines: of the page.
        form: "markdown" or "rst"; other forms have none.
    """
    if form == "markdown":
        return _markdown(lines)
    return _rst(lines) if form == "rst" else []


def front_matter(text: str) -> tuple[str, int, str]:
    """A Markdown page without the settings that some site makers want at its top.

    Returns:
        the text behind them, how many lines they took, and the title that they give ("" where none).
    """
    match = _FRONT.match(text)
    if not match:
        return text, 0, ""
    title = _TITLE.search(match["body"])
    return text[match.end() :], match[0].count("\n"), title["title"].rstrip().strip("\"'") if title else ""


def _markdown(lines: Sequence[Line]) -> list[Heading]:
    parser = MarkdownIt("commonmark").enable("table")
    # headings are blocks: what is inline in them is read only for their text
    parser.core.ruler.enableOnly(["normalize", "block"])
    found = []
    tokens = parser.parse("".join(line.text for line in lines))
    for token, inline in pairwise(tokens):
        if token.type == "heading_open" and token.map and token.level == 0:
            index = min(token.map[0], len(lines) - 1)
            found.append(Heading(index, int(token.tag[1:]), _plain(inline.content)))
    return found


def _plain(text: str) -> str:
    """A heading's text without markup."""
    # a picture that is a link has one in the other
    text = _TAG.sub("", _LINK.sub(r"\1", _LINK.sub(r"\1", text)))
    return " ".join(_EMPHASIS.sub("", text).replace("\\", "").split())


def _rst(lines: Sequence[Line]) -> list[Heading]:
    found: list[Heading] = []
    levels: list[tuple[str, bool]] = []
    i = 0
    while i + 1 < len(lines):
        over = _adornment(lines, i)
        title = i + 1 if over and _is_title(lines, i + 1) and _adornment(lines, i + 2) == over else i
        under = _adornment(lines, title + 1)
        text = lines[title].text.strip()
        long_enough = len(lines[title + 1].text.strip()) >= max(3, len(lines[title].text.rstrip())) if under else False
        if under and long_enough and _is_title(lines, title) and (title > i or not over):
            style = (under, title > i)
            if style not in levels:
                levels.append(style)
            found.append(
                Heading(
                    i,
                    levels.index(style) + 1,
                    " ".join(_ROLE.sub(lambda role: role["text"].rstrip(), text).replace("`", "").split()),
                )
            )
            i = title + 2
        else:
            i += 1
    return found


def _adornment(lines: Sequence[Line], i: int) -> str:
    """The character of a line that is nothing but one punctuation character, "" for other lines."""
    match = _ADORNMENT.match(lines[i].text) if i < len(lines) else None
    return match[1] if match else ""


def _is_title(lines: Sequence[Line], i: int) -> bool:
    """A line with words in it; without an overline it begins at the margin and follows a blank line."""
    text = lines[i].text
    if not text.strip() or _adornment(lines, i) or text.lstrip().startswith(".. "):
        return False
    before = lines[i - 1].text if i else ""
    return bool(_adornment(lines, i - 1)) if before.strip() else not text[0].isspace()
