"""Names of what a part of a file defines, where it defines all of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

_DEFINITION = re.compile(
    r"[ \t]*(?:(?:export|default|public|private|protected|internal|static|async|abstract|final|pub(?:\([\w ]+\))?"
    r"|unsafe|inline|override|open|sealed|data)\s+)*"
    r"(?:def|class|func|fun|fn|function|struct|enum|interface|trait|protocol|record|object|module)\s+(?P<name>[A-Za-z_]\w*)"
)
_ATTACHED = re.compile(r"[ \t]*(?:@\w|#|//|/\*|\*|--|;;)")
_CLOSING = re.compile(r"[ \t]*(?:[)\]}]|end\b)")
_MOST = 3


class _Definition(NamedTuple):
    name: str
    indent: int


def named_parts(parts: Sequence[str]) -> list[list[str]]:
    """For each part of a file the names of its definitions, [] where they do not say what the part is.

    They do where the part begins with a definition (or what belongs to it), has at most three, none is defined twice
    in the file, and the last one does not go on in the next part.
    """
    lines = [[line for line in part.split("\n") if line.strip()] for part in parts]
    seen = Counter(definition.name for part in lines for definition in map(_definition, part) if definition)
    names = []
    for i, part in enumerate(lines):
        after = lines[i + 1] if i + 1 < len(lines) else []
        found = _names(part, after)
        names.append(found if all(seen[name] == 1 for name in found) and len(found) <= _MOST else [])
    return names


def _definition(line: str) -> _Definition | None:
    match = _DEFINITION.match(line)
    return _Definition(match["name"], _indent(line)) if match else None


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _names(part: Sequence[str], after: Sequence[str]) -> list[str]:
    head = next((line for line in part if not _ATTACHED.match(line)), "")
    first = _definition(head)
    if first is None:
        return []
    outer = min(_indent(line) for line in part)
    if first.indent > outer or (after and not _begins_anew(after[0], outer)):
        return []
    return [found.name for found in map(_definition, part) if found and found.indent == outer]


def _begins_anew(line: str, outer: int) -> bool:
    return _indent(line) <= outer and not _CLOSING.match(line)
