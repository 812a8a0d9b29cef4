"""What a part of a file holds, by the names of what is defined there, where they say all of it."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

from localft.curation.synthetic.templates.outer_level import Item, indent_of, items

_MOST = 6
_DEEPEST = 8  # characters before what is defined in a class
_HOLDS_OTHERS = re.compile(r"\b(?:class|interface|trait|impl|object|module|namespace|protocol|record)\b")


def named_parts(parts: Sequence[str]) -> list[list[str]]:
    """For each part of a file what it holds, in words; [] where some of that has no name, or one that is not its own.

    A definition that goes on in other parts is called by which part of it stands here.

    Args:
        parts: all of the file's, in order.
    """
    file = _File([part.split("\n") for part in parts])
    return [file.names(i) for i in range(len(parts))]


class _Span(NamedTuple):
    """One thing at the outer level, the first and the last part that have some of it, and whether it is a class."""

    name: str
    first: int
    last: int
    holds_others: bool

    def words(self, part: int) -> str:
        """What of it stands in a part."""
        n = self.last - self.first + 1
        if not self.name or n == 1:
            return self.name
        if n == 2:
            return f"the {'start' if part == self.first else 'end'} of {self.name}"
        return f"part {part - self.first + 1} of {n} of {self.name}"


class _File:
    """The parts of a file, in lines, and what each has of which thing at the outer level."""

    def __init__(self, parts: Sequence[Sequence[str]]) -> None:
        self.parts = parts
        self.lines = [line for part in parts for line in part]
        self._starts = [0, *accumulate(map(len, parts))]
        self._known: dict[int, Counter[str]] = {}
        self._outer = min((indent_of(line) for line in self.lines if line.strip()), default=0)
        self._spans: list[list[_Span]] = [[] for _ in parts]
        for span in map(self._span, items(self.lines, self._outer)):
            for i in range(span.first, span.last + 1):
                self._spans[i].append(span)

    def _counts(self, indent: int) -> Counter[str]:
        """How often each name stands at an indentation, counted once."""
        if indent not in self._known:
            self._known[indent] = Counter(item.name for item in items(self.lines, indent))
        return self._known[indent]

    def _span(self, item: Item) -> _Span:
        stop = item.stop
        while stop > item.first + 1 and not self.lines[stop - 1].strip():
            stop -= 1
        first, last = (bisect_right(self._starts, line) - 1 for line in (item.first, stop - 1))
        inside = (self.lines[i] for i in range(item.first, stop))
        head = next((line for line in inside if line.strip() and not line.lstrip().startswith("@")), "")
        return _Span(item.name, first, last, bool(_HOLDS_OTHERS.search(head)))

    def names(self, i: int) -> list[str]:
        here = self._spans[i]
        alone = here[0] if len(here) == 1 else None
        inside = alone and (not alone.name or (i > alone.first and alone.holds_others))
        if inside and (inner := self._inner(i)):
            return inner
        if not all(span.name for span in here):
            return []
        counts = self._counts(self._outer)
        return _shortened([span.words(i) for span in here]) if all(counts[span.name] == 1 for span in here) else []

    def _inner(self, i: int) -> list[str]:
        """Names of all that a part of a class defines; [] where it begins or ends in the middle of one."""
        part = self.parts[i]
        indent = min((indent_of(line) for line in part if line.strip()), default=0)
        if not 0 < indent <= _DEEPEST:
            return []
        found, following = items(part, indent), self.parts[i + 1] if i + 1 < len(self.parts) else ()
        after = next((line for line in following if line.strip()), "")
        if not found or found[0].first or (after and indent_of(after) > indent):
            return []
        counts, names = self._counts(indent), [item.name for item in found]
        return _shortened(names) if all(name and counts[name] == 1 for name in names) else []


def _shortened(names: Sequence[str]) -> list[str]:
    """Names to list; of many the first and the last, which say all between them."""
    return list(names) if len(names) <= _MOST else list(_from_to(names))


def _from_to(names: Sequence[str]) -> Iterator[str]:
    plain = [i for i, name in enumerate(names) if name.startswith("`")]
    first, last = (plain[0], plain[-1]) if plain else (0, len(names) - 1)
    yield from names[:first]
    yield f"everything from {names[first]} to {names[last]}" if first != last else names[first]
    yield from names[last + 1 :]
