"""What stands at one level of a file of code, from top to bottom: definitions by name, and whatever has none."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

IMPORTS, EXPORTS, DEFAULT = "the imports", "the exports", "the default export"
_GROUPS = {"const": "the constants", "var": "the variables", "type": "the types"}
_MODIFIERS = (
    r"(?:(?:export|default|public|private|protected|internal|static|async|abstract|final|pub(?:\([\w ]+\))?|declare"
    r"|unsafe|inline|override|open|sealed|data|readonly|get|set)\s+)*"
)
_DEFINITION = re.compile(
    rf"[ \t]*{_MODIFIERS}"
    r"(?:(?:def|class|func|fun|fn|function\s*\*?|struct|(?:const\s+)?enum|interface|trait|protocol|record|object|module"
    r"|namespace|type|const|let|var|mod|union|macro_rules!)\s+(?:\((?P<receiver>[^()]*)\)\s*)?(?P<name>[A-Za-z_$][\w$]*)"
    r"|(?P<value>[A-Za-z_][\w.$]*)\s*(?::[^=\n]{1,200})?=(?![=>]))"
)
_UNPACKED = re.compile(r"(?:export\s+)?(?:const|let|var)\s+(?P<name>[{\[][^=`]{1,200}[}\]])\s*=")
_MODULE = re.compile(r"(?:declare\s+)?module\s+[\"'](?P<name>[^\"'`]+)[\"']")
_SHELL = re.compile(r"(?P<name>[\w-]+)\s*\(\)\s*\{?$")
_CALL = re.compile(r"(?:await\s+)?(?P<name>[A-Za-z_$][\w$.]*)\(")
_GROUP = re.compile(r"(const|var|type)\s*\($")
_IMPLEMENTATION = re.compile(r"(?:unsafe\s+)?impl\b[^{\n]*")
_METHOD = re.compile(rf"[ \t]+{_MODIFIERS}(?P<name>[#A-Za-z_$][\w$]*)\s*\([^;]*\{{$")
# what a test is called, such as `describe("useSession"`
_TEST = re.compile(r"(?:describe|it|test|suite)(?:\.\w+)?\((?:\"[^\"`]{1,80}\"|'[^'`]{1,80}')(?=,)")
_IMPORT = re.compile(r"(?:import|from|use|using|package|require|#include|extern crate)\b|[\"']use \w+[\"']|#!")
_EXPORT = re.compile(r"export\s*(?:type\s*)?[*{]")
_DEFAULT = re.compile(r"export default\b|module\.exports\s*=")
_ATTACHED = re.compile(r"[ \t]*(?:@[\w(]|#(?!include|!)|//|/\*|\*|--|;;)")
_GOES_ON = re.compile(
    r"[ \t]*(?:[)\]}>|&?:.,+=]|(?:end|else|elif|except|finally|catch|extends|implements|where)\b|\"\"\"$|'''$|`)"
)
_LINE_COMMENT = re.compile(r"(?:^|(?<=\s))(?://|#\s).*")
_QUOTES = ('"""', "'''", "`")
_NO_NAMES = frozenset({"if", "for", "while", "switch", "catch", "return", "with", "function", "do", "try"})


class Item(NamedTuple):
    """One thing at the level: its name in words, "" where it has none, and its lines with the comments above it."""

    name: str
    first: int
    stop: int


def items(lines: Sequence[str], indent: int = 0) -> list[Item]:
    """What stands at an indentation, in order; every line belongs to one of them.

    Neighbours of one name, such as imports and overloads, are one. There is nothing where quotes do not close: what
    stands in them cannot be told from code.

    Args:
        lines: of code.
        indent: of the level, in characters; lines with less begin something too.
    """
    found: list[tuple[str, int]] = []
    attached, quote, comment = -1, "", False
    for i, line in enumerate(lines):
        inside = bool(quote) or comment
        quote, comment = _open_behind(line, quote, comment)
        if not line.strip() or indent_of(line) > indent or (inside and found):
            continue
        if _ATTACHED.match(line) and not _DEFINITION.match(line):
            attached = i if attached < 0 else attached
            continue
        if not found or not _GOES_ON.match(line):
            found.append((_name(line), attached if attached >= 0 else i))
        attached = -1
    if quote or not found:
        return []
    if any(line.strip() for line in lines[: found[0][1]]):
        found.insert(0, ("", 0))
    return list(_joined(found, lines))


def _joined(found: Sequence[tuple[str, int]], lines: Sequence[str]) -> Iterator[Item]:
    """Items up to the next; an overload, which has no body, is one with what follows."""
    apart: list[tuple[str, int]] = []
    for i, (name, first) in enumerate(found):
        before = found[i - 1] if i else ("", 0)
        has_body = any(line.rstrip().endswith(("{", ":")) for line in lines[before[1] : first])
        if not name or name != before[0] or (has_body and name.startswith("`")):
            apart.append((name, first))
    for (name, first), stop in zip(apart, [*(first for _, first in apart[1:]), len(lines)], strict=True):
        yield Item(name, first, stop)


def _name(line: str) -> str:
    if match := _TEST.match(line):
        return f"`{match[0]})`"
    for pattern, name in ((_IMPORT, IMPORTS), (_EXPORT, EXPORTS)):
        if pattern.match(line):
            return name
    if match := _GROUP.match(line):
        return _GROUPS[match[1]]
    if match := _IMPLEMENTATION.match(line):
        return f"`{match[0].strip()}`"
    if line.lstrip("rbuf").startswith(_QUOTES[:2]):
        return "the docstring"
    if match := _UNPACKED.match(line) or _MODULE.match(line) or _SHELL.match(line):
        return f"`{match['name']}`"
    match = _DEFINITION.match(line)
    if match and match["receiver"]:
        return f"`{match['receiver'].split()[-1].lstrip('*')}.{match['name']}`"
    name = (match["name"] or match["value"]) if match else ""
    if not name and (method := _METHOD.match(line)):
        name = method["name"]
    if name and name not in _NO_NAMES:
        return f"`{name}`"
    call = _CALL.match(line)
    if call and call["name"] not in _NO_NAMES and not line.rstrip().endswith(") {"):
        return f"the call of `{call['name']}`"
    return DEFAULT if _DEFAULT.match(line) else ""


def _open_behind(line: str, quote: str, comment: bool) -> tuple[str, bool]:
    """The quote that is open behind a line, and whether a comment is."""
    if comment:
        return "", "*/" not in line
    if quote:
        return "" if line.count(quote) % 2 else quote, False
    bare = _LINE_COMMENT.sub("", line)
    quote = next((mark for mark in _QUOTES if bare.count(mark) % 2), "")
    return quote, not quote and line.lstrip().startswith("/*") and "*/" not in line


def indent_of(line: str) -> int:
    return len(line) - len(line.lstrip())
