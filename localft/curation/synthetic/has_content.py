"""Whether a page says anything beyond its headings and the directives that fill it when it is rendered."""

from __future__ import annotations

import re
from collections.abc import Iterator

_FENCE = re.compile(r"[ \t]*(```+|~~~+)[ \t]*(?P<name>\S*)")
_TOCTREE = re.compile(r"(?P<indent>[ \t]*)\.\. toctree::")
# `.. automodule:: name`, `.. _label:`, `.. |name| image:: file`, and `:members:` below one
_DIRECTIVE = re.compile(r"[ \t]*\.\.[ \t]+(?:_.*:|[\w:.+-]+::|\|.+\|)|[ \t]+:[\w -]+:")
_HEADING = re.compile(r"#{1,6}(?:[ \t]|$)")
_UNDERLINE = re.compile(r"[ \t]*([=\-~^\"'`#*+:.<>_])\1{2,}[ \t]*$")
_NO_WORDS = re.compile(r"!\[[^\[\]]*\](?:\([^)\[]*\)|\[[^\[\]]*\])|\[\s*\](?:\([^)\[]*\)|\[[^\[\]]*\])|^\[[^\]]+\]:.*")


def has_content(text: str) -> bool:
    """Whether a word is left of a page, or a section of it, without what is no text of its own.

    That is headings, images, comments, and of Sphinx tables of contents, labels and directives without a body. What a
    directive holds, such as a note or code, is text.
    """
    return any(any(map(str.isalnum, line)) for line in _lines(_without_comments(text).split("\n")))


def _without_comments(text: str) -> str:
    """A text without HTML's comments; one that does not end is none."""
    kept, at = [], 0
    while (start := text.find("<!--", at)) >= 0 and (stop := text.find("-->", start + 4)) >= 0:
        kept.append(text[at:start])
        at = stop + 3
    return "".join([*kept, text[at:]])


def _lines(lines: list[str]) -> Iterator[str]:
    """Lines that are text or code."""
    fence, hidden = "", False
    deeper: int | None = None
    for i, line in enumerate(lines):
        mark = _FENCE.match(line)
        if mark and (not fence or (mark[1].startswith(fence) and not mark["name"])):
            fence, hidden = ("", False) if fence else (mark[1], mark["name"] == "{toctree}")
            continue
        if fence:
            if not hidden:
                yield line
            continue
        if deeper is not None and (not line.strip() or len(line) - len(line.lstrip()) > deeper):
            continue
        tree = _TOCTREE.match(line)
        deeper = len(tree["indent"]) if tree else None
        underlined = i + 1 < len(lines) and line.strip() and _UNDERLINE.match(lines[i + 1])
        if not (tree or underlined or _DIRECTIVE.match(line) or _HEADING.match(line)):
            yield _remove_images(line)


def _remove_images(line: str) -> str:
    """A line without images, links on images, and the addresses of links."""
    return _NO_WORDS.sub("", _NO_WORDS.sub("", line))
