"""Every kind of secret in code, in configuration, in a diff and in an issue, and what is left of it there.

`python tests/helpers/secret_kinds.py [SEED]` prints the kinds that are missed, by place.
"""

from __future__ import annotations

import re
import sys
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from random import Random

from secret_formats import NAMED, SHAPED, made
from secret_writings import KEY_BLOCKS, ONE_LINE_KEY, WRITINGS, Snippet, Writing

from localft.curation.document import joined, to_lines
from localft.curation.github.records import Change, Item, Person, Remark
from localft.curation.github.repository import Repository
from localft.curation.github.sections import ItemWording, Treated
from localft.curation.redaction import redact_lines, redact_text

PLACES = ("code", "config", "diff", "issue")
_MARK = re.compile(r"\[redacted: [^\]]+\]")
_LONG_RUN = 6


@dataclass(frozen=True)
class Kind:
    """A kind of secret, as it stands in code and in configuration, with the value (or its halves) that must go."""

    name: str
    code: Snippet
    config: Snippet
    values: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What became of a text: the value stands in it still, or more went than the value."""

    place: str
    leaked: bool
    exact: bool


@cache
def kinds(seed: int = 0) -> tuple[Kind, ...]:
    """All kinds, with values made of `seed`."""
    random = Random(seed)
    found = []
    for name, form in SHAPED.items():
        wanted = Writing(form, Snippet("src/app.py", 'client = connect("§", 30)'), Snippet("app.yml", "endpoint: §"))
        found.append(_kind(f"{name} key", wanted, random))
    for name, (variable, form) in NAMED.items():
        wanted = Writing(form, Snippet("src/app.py", f'{variable} = "§"'), Snippet(".env", f"{variable}=§"))
        found.append(_kind(f"{name} key", wanted, random))
    for name, form in KEY_BLOCKS.items():
        wanted = Writing(form, Snippet("src/app.py", 'KEY = """§"""'), Snippet("app.yml", "tls: |\n§"))
        found.append(_kind(f"{name} private key", wanted, random))
    one_line = Writing(ONE_LINE_KEY, Snippet("src/app.py", r'KEY = "§\n"'), Snippet("sa.json", '{"private_key": "§"}'))
    found.append(_kind("private key on one line", one_line, random))
    found += [_kind(name, wanted, random) for name, wanted in WRITINGS.items()]
    return tuple(found)


def _kind(name: str, writing: Writing, random: Random) -> Kind:
    value = made(writing.form, random)
    if writing.wrap:
        value = b64encode(writing.wrap.format(value).encode()).decode()
    half = len(value) // 2
    halves = "§1" in writing.code.text
    values = (value[:half], value[half:]) if halves else (value,)

    def filled(snippet: Snippet) -> Snippet:
        text = snippet.text.replace("§1", value[:half]).replace("§2", value[half:]).replace("§", value)
        return Snippet(snippet.path, text)

    return Kind(name, filled(writing.code), filled(writing.config), values)


def outcomes(kind: Kind) -> Iterator[Outcome]:
    """A kind in every place, through what `data build` and `data github` call."""
    for place, snippet in (("code", kind.code), ("config", kind.config)):
        text = f"import os\n\n{snippet.text}\nlast = 2\n"
        yield _judged(place, kind, text, _built(text))
        patch = _diff(text, snippet.path)
        yield _judged("diff", kind, patch, _built(patch, diff=True))
        patch = patch.split("\n", 3)[3]
        yield _judged("diff", kind, patch, redact_text(patch, diff=True)[0])
        for body in _bodies(snippet, kind):
            yield _judged("issue", kind, _issue(_masked(body, kind), snippet), _issue(body, snippet))
        yield _judged("issue", kind, _hunk(_masked(text, kind)), _hunk(text))


def _bodies(snippet: Snippet, kind: Kind) -> Iterator[str]:
    yield f"It fails with\n```\n{snippet.text}\n```\nand with nothing else."
    yield f"My settings:\n\n{snippet.text}\n\nWhat is wrong?"


def _built(text: str, diff: bool = False) -> str:
    return joined(redact_lines(to_lines(text), diff)[0])


def _diff(text: str, path: str) -> str:
    lines = "".join(f"+{line}\n" for line in text.splitlines())
    return f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n@@ -0,0 +1,{text.count(chr(10))} @@\n{lines}"


def _issue(body: str, snippet: Snippet) -> str:
    """An item with the body as its description and as a comment."""
    changes = (Change(snippet.path, "", "modified", 1, 0, ""),)
    author = Person("kim")
    said = Remark("comment", author, "2024-03-02T10:00:00Z", body)
    return _worded(
        Item("issue", 1, "It fails", "open", "2024-03-01T10:00:00Z", "", "u", (), author, body, (said,), changes)
    )


def _hunk(text: str) -> str:
    """An item with a review comment under a diff."""
    author = Person("kim")
    hunk = "@@ -0,0 +1,9 @@\n" + "".join(f"+{line}\n" for line in text.splitlines()[2:])
    said = Remark("review_comment", author, "2024-03-02T10:00:00Z", "Why?", path="app", hunk=hunk)
    return _worded(Item("pull_request", 1, "It", "open", "2024-03-01T10:00:00Z", "", "u", (), author, "", (said,), ()))


def _worded(item: Item) -> str:
    sections = ItemWording(Repository("o", "n")).sections(item, Treated())
    return "\n".join(f"{section.heading}\n{section.body}" for section in sections)


def _masked(text: str, kind: Kind) -> str:
    for value in kind.values:
        text = text.replace(value, "[redacted: it]").replace(value.replace("\n", "\n+"), "[redacted: it]")
    return text


def _judged(place: str, kind: Kind, given: str, cleaned: str) -> Outcome:
    runs = {value[i : i + _LONG_RUN] for value in kind.values for i in range(len(value) - _LONG_RUN + 1)}
    kept = _masked(given, kind)
    rest = _MARK.sub("", cleaned)
    leaked = any(run in rest for run in runs if run not in kept)
    return Outcome(place, leaked, _words(cleaned) == _words(kept))


def _words(text: str) -> str:
    """A text without the kinds of its secrets and without white space: what is behind a key block keeps its line."""
    return re.sub(r"\s", "", _MARK.sub("[it]", text))


def missed(seed: int = 0) -> dict[str, list[str]]:
    """Kinds that stand in a place still, by place."""
    found: dict[str, list[str]] = {place: [] for place in PLACES}
    for kind in kinds(seed):
        leaks = {outcome.place for outcome in outcomes(kind) if outcome.leaked}
        for place in leaks:
            found[place].append(kind.name)
    return found


def main(seed: int) -> None:
    found = missed(seed)
    every = [kind.name for kind in kinds(seed) if any(kind.name in names for names in found.values())]
    for name in every:
        print(f"{name:36}", *(f"{'missed' if name in found[place] else '':8}" for place in PLACES))
    print(f"{f'missed of {len(kinds(seed))}':36}", *(f"{len(found[place]):<8}" for place in PLACES))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
