"""What a part of a file holds, by the names of what is defined there, where they say all of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate

from localft.curation.synthetic.templates.outer_level import Item, indent_of, items

_MOST = 6
_HOLDS_OTHERS = re.compile(r"\b(?:class|interface|trait|impl|object|module|namespace|protocol|record)\b")


def named_parts(parts: Sequence[str]) -> list[list[str]]:
    """For each part of a file what it holds, in words; [] where some of that has no name, or one that is not its own.

    A definition that goes on in other parts is called by which part of it stands here.

    Args:
        parts: all of the file's, in order.
    """
    lines = [part.split("\n") for part in parts]
    every = [line for part in lines for line in part]
    found = items(every, min((indent_of(line) for line in every if line.strip()), default=0))
    known = Counter(item.name for item in found)
    starts = [0, *accumulate(map(len, lines))]
    # which parts each has lines in
    spans = [_Span(item, starts, every) for item in found]
    names = []
    for i, part in enumerate(lines):
        here = [span for span in spans if span.first <= i <= span.last]
        inner = _inner(part, lines[i + 1 : i + 2], every) if len(here) == 1 and here[0].holds_others(i, every) else []
        outer = [span.words(i) for span in here] if all(known[span.name] == 1 for span in here if span.name) else []
        names.append(inner or (_shortened(outer) if all(outer) else []))
    return names


class _Span:
    """One thing at the outer level, and the first and the last part that have some of it."""

    def __init__(self, item: Item, starts: Sequence[int], lines: Sequence[str]) -> None:
        self.name, self._line = item.name, item.first
        stop = next(i for i in range(item.stop, item.first, -1) if lines[i - 1].strip() or i == item.first + 1)
        inside = [i for i in range(len(starts) - 1) if starts[i] < stop and item.first < starts[i + 1]]
        self.first, self.last = inside[0], inside[-1]

    def words(self, part: int) -> str:
        """What of it stands in a part."""
        n = self.last - self.first + 1
        if not self.name or n == 1:
            return self.name
        if n == 2:
            return f"the {'start' if part == self.first else 'end'} of {self.name}"
        return f"part {part - self.first + 1} of {n} of {self.name}"

    def holds_others(self, part: int, lines: Sequence[str]) -> bool:
        """Whether a part is the inside of a class or its like, whose definitions are better names."""
        head = next((line for line in lines[self._line :] if line.strip() and not line.lstrip().startswith("@")), "")
        return not self.name or (part > self.first and bool(_HOLDS_OTHERS.search(head)))


def _inner(part: Sequence[str], following: Sequence[Sequence[str]], every: Sequence[str]) -> list[str]:
    """Names of all that a part of a class defines; [] where it begins or ends in the middle of one."""
    indent = min((indent_of(line) for line in part if line.strip()), default=0)
    found = items(part, indent)
    after = next((line for each in following for line in each if line.strip()), "")
    if not indent or not found or found[0].first or (after and indent_of(after) > indent):
        return []
    counts = Counter(item.name for item in items(every, indent))
    names = [item.name for item in found]
    return _shortened(names) if all(names) and all(counts[name] == 1 for name in names) else []


def _shortened(names: Sequence[str]) -> list[str]:
    """Names to list; of many the first and the last, which say all between them."""
    return list(names) if len(names) <= _MOST else list(_from_to(names))


def _from_to(names: Sequence[str]) -> Iterator[str]:
    plain = [i for i, name in enumerate(names) if name.startswith("`")]
    first, last = (plain[0], plain[-1]) if plain else (0, -1)
    yield from names[:first]
    yield f"everything from {names[first]} to {names[last]}" if first != last else names[first]
    yield from names[last + 1 :] if plain else ()
