"""Where a text may be cut: how good a place the start of each line is."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from localft.curation.document import Heading, Layout, Line, is_blank

# A line that closes something belongs to what stands before it.
WORST, PLAIN, BLANK, NESTED, OUTER, TOP = -1, 0, 1, 2, 3, 4
_HEADING = 20

_DEFINITION = re.compile(
    r"(?:[ \t]*(?:(?:export|default|public|private|protected|internal|static|async|abstract|final|pub(?:\([\w ]+\))?"
    r"|unsafe|extern|inline|virtual|override|open|sealed|data|declare|partial|constexpr|template\s*<[^>]*>)\s+)*"
    r"(?:def|class|func|fun|fn|function\*?|struct|enum|interface|trait|impl|module|namespace|record|object|protocol"
    r"|extension|macro_rules!|sub|procedure|defmodule|defp?|CREATE|resource|message|service)\s+[\w(\"'`:.<*&]"
    # what a module of TypeScript, Go or Rust names; deeper inside these are variables
    r"|(?:export\s+(?:default\s+|declare\s+)?|pub\s+|declare\s+)?(?:const|let|var|type|static)\s+[\w({\[]|export\s+(?:default\b|[*{]))"
)
_ATTACHED = re.compile(r"[ \t]*(?:@\w|#\[|//|/\*|\*|#|--|;;|%|<!--|template\s*<|\"\"\"$)")
_CLOSING = re.compile(r"[ \t]*(?:[)\]}]|end\b|fi\b|done\b|esac\b|else\b|elif\b|except\b|finally\b|catch\b|case\b)")
_FENCE = re.compile(r" {0,3}(```+|~~~+)")
_MAX_INDENT = 4


def strengths(lines: Sequence[Line], layout: Layout, headings: Sequence[Heading]) -> list[int]:
    """How good a cut before each line is: headings beat definitions, these blank lines, these any line."""
    found = _of_code(lines) if layout == "code" and not headings else _of_text(lines)
    places = {heading.at for heading in headings}
    for heading in headings:
        found[heading.at] = max(found[heading.at], _HEADING - heading.level)
        _bind(found, lines, heading.at, places)
    return found


def depths(lines: Sequence[Line], layout: Layout) -> list[int]:
    """How deep each line of code stands, in columns; lines of text are all at the margin."""
    return [_indent(line.text.expandtabs(_MAX_INDENT)) if layout == "code" else 0 for line in lines]


def _bind(found: list[int], lines: Sequence[Line], at: int, others: Collection[int]) -> None:
    """Keep a heading with the first words below it."""
    i, words = at + 1, False
    while i < len(lines) and i not in others and not words:
        found[i] = WORST
        words = any(map(str.isalnum, lines[i].text))
        i += 1


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip(" \t"))


def _of_code(lines: Sequence[Line]) -> list[int]:
    found = [PLAIN] * len(lines)
    after_blank, above = True, 0
    for i, line in enumerate(lines):
        if is_blank(line):
            found[i] = WORST
            after_blank = True
            continue
        indent = _indent(line.text)
        if _DEFINITION.match(line.text):
            top = _with_what_belongs(lines, i)
            found[top + 1 : i + 1] = [WORST] * (i - top)
            spaced = top == 0 or is_blank(lines[top - 1])
            found[top] = max(found[top], (TOP if indent == 0 else NESTED) if not spaced else TOP + 1 - (indent > 0) * 2)
        elif _CLOSING.match(line.text):
            found[i] = WORST
        elif after_blank:
            found[i] = OUTER if indent == 0 else NESTED if indent <= _MAX_INDENT else BLANK
        elif indent > above:
            # the line above opens what stands here
            found[i] = WORST
        elif indent == 0 and not _ATTACHED.match(lines[i - 1].text):
            found[i] = BLANK
        after_blank, above = False, indent
    return found


def _with_what_belongs(lines: Sequence[Line], i: int) -> int:
    """The first of the comments and decorators right above a definition."""
    while i and _belongs(lines[i - 1].text) and _indent(lines[i - 1].text) == _indent(lines[i].text):
        i -= 1
    return i


def _belongs(text: str) -> bool:
    return bool(_ATTACHED.match(text)) and not _DEFINITION.match(text)


def _of_text(lines: Sequence[Line]) -> list[int]:
    found, fence, after_blank = [], "", True
    for line in lines:
        mark = _FENCE.match(line.text)
        blank = is_blank(line)
        if fence:
            found.append(BLANK if after_blank and not blank else PLAIN)
            fence = "" if mark and mark[1].startswith(fence) and line.text.strip() == mark[1] else fence
        else:
            # a paragraph that goes on, indented, below the same item of a list is a lesser place
            good = NESTED if _indent(line.text) else OUTER
            found.append(WORST if blank else good if after_blank else PLAIN)
            fence = mark[1] if mark else ""
        after_blank = blank
    return found
