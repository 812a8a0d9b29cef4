"""Renderings of the prefixes of a long conversation, each without going through all of it again.

A template goes over the messages in a loop. As long as it looks no further ahead than one message, what it has done
when a pass begins is the same for a conversation that ends with this pass as for a longer one. So one whole rendering
is recorded: at the beginning of each pass, how much text there was and what its namespaces held (nothing else lasts
from one pass to the next). The rendering of a prefix then begins at its last pass, with what was recorded.

What a template could see of the length of the conversation is watched (`Turns`), and where it looks, or does what
is not understood here, there are no shared prefixes: `UnsharedError`, and everything is rendered in full.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jinja2 import nodes
from jinja2.runtime import Context, LoopContext, Undefined
from jinja2.utils import Cycler, Joiner, Namespace

from localft.data.wording.bounded.environment import BoundedEnvironment

_PLAIN = frozenset((str, int, float, bool, type(None), Undefined))
_MOST_AHEAD = 3  # messages of the beginning that a template may look at before its loop
_State = list[dict[str, Any]]
_Place = tuple[int, str]


class UnsharedError(Exception):
    """The template sees how long the conversation is, or does something that cannot be followed."""


@dataclass
class _Loop:
    """One loop over the messages as it was recorded.

    Attributes:
        offset: how many messages at the beginning it leaves out.
        before: what the namespaces held when it began.
        passes: for each, how many characters there were when it began, and what the namespaces held.
        written: what it assigned, as number of a namespace and name.
        depends: what it read or assigned of what loops before it had assigned.
    """

    offset: int
    before: _State
    passes: list[tuple[int, _State]] = field(default_factory=list)
    written: set[_Place] = field(default_factory=set)
    depends: set[_Place] = field(default_factory=set)


class Trace:
    """One rendering: recorded, or begun from a record.

    Args:
        messages: of the conversation that is recorded.
        record: what was recorded of it, to render the first `n` of its messages.

    Attributes:
        need: messages that a conversation must have for what was recorded to hold of it.
    """

    def __init__(
        self, messages: Sequence[Mapping[str, str]], record: Trace | None = None, n: int | None = None
    ) -> None:
        self.messages, self.record = messages, record
        self.n = len(messages) if n is None else n
        self.loops: dict[int, _Loop] = {}
        self.text = ""
        self.need = 2
        self.n_shared = 0
        self._length = 0
        self._tail: list[str] = []
        self._namespaces: list[_Namespace] = []
        self._ids = set(map(id, messages)) if record is None else set()
        self._earlier: set[_Place] = set()
        self._written: set[_Place] = set()
        self._loop: _Loop | None = None
        self._now = -1  # the message of the current pass
        self._skipped: tuple[int, int] | None = None
        self._looked = False  # at what may be otherwise in a prefix, since the last loop

    def take(self, pieces: Iterator[str]) -> None:
        """Run the rendering to its end."""
        if self.record is None:
            parts = []
            for piece in pieces:
                parts.append(piece)
                self._length += len(piece)
            self.text = "".join(parts)
            return
        for piece in pieces:
            if not self._tail and self.record.text.startswith(piece, self.n_shared):
                self.n_shared += len(piece)
            else:
                self._tail.append(piece)

    @property
    def tail(self) -> str:
        """What follows the shared characters."""
        return "".join(self._tail)

    def see(self, k: int) -> None:
        """The template looks at message k."""
        if self.record is not None or self._at_end:
            return
        if self._now >= 0:
            if k > self._now + 1:
                raise UnsharedError
        elif k >= _MOST_AHEAD:
            self._look()
        else:
            self.need = max(self.need, k + 1)

    def see_end(self) -> None:
        """The template looks at how many messages there are."""
        if self.record is None and not self._at_end:
            self._look()

    @property
    def _at_end(self) -> bool:
        return self._now == self.n - 1

    def _look(self) -> None:
        """Something is seen that is otherwise in a prefix: behind the last loop that is no matter."""
        if self._now >= 0 or not self.loops:
            raise UnsharedError
        self._looked = True

    def begin(self, number: int, turns: Turns) -> Iterator[Any]:
        """What a loop over the messages goes over: of a recorded loop the last pass alone."""
        items, offset = self.messages, turns.start
        if self.record is None:
            if self._looked:
                raise UnsharedError
            self._earlier |= self._written
            self._loop = self.loops[number] = _Loop(offset, self._state())
            yield from items[offset:]
            self._loop = None
        else:
            last = self.n - offset - 1
            first = self._resume(self.record.loops.get(number), offset, last) if last > 0 else 0
            self._skipped = (first, offset) if first else None
            yield from items[offset + first : self.n]
        self._now = -1

    def _resume(self, loop: _Loop | None, offset: int, last: int) -> int:
        """Bring namespaces and text to where the last pass began."""
        if loop is None or loop.offset != offset or len(loop.passes) <= last:
            raise UnsharedError
        state = self._state()
        if len(state) != len(loop.before) or self._tail or self.n_shared != loop.passes[0][0]:
            raise UnsharedError
        if any(state[i].get(name) != loop.before[i].get(name) for i, name in loop.depends):
            raise UnsharedError
        self.n_shared, held = loop.passes[last]
        for i, name in loop.written:
            if name in held[i]:
                _held(self._namespaces[i])[name] = held[i][name]
        return last

    def mark(self, loop: LoopContext, number: int) -> None:
        """A pass of a loop over the messages begins."""
        if self.record is not None:
            if self._skipped is not None:
                first, offset = self._skipped
                self._skipped = None
                loop.index0 = first
                loop._before = self.messages[offset + first - 1]
            self._now = self.n - 1
        elif self._loop is not None:
            self._loop.passes.append((self._length, self._state()))
            self._now = self._loop.offset + len(self._loop.passes) - 1

    def adopt(self, made: Namespace) -> Any:
        """A namespace that the template made; one that is made in a pass does not outlast it."""
        if self._now >= 0:
            return made
        traced = _Namespace(made, self, len(self._namespaces))
        self._namespaces.append(traced)
        return traced

    def reads(self, place: _Place) -> None:
        """The template reads what a namespace holds."""
        if self.record is not None:
            return
        if self._loop is not None:
            if place in self._earlier:
                self._loop.depends.add(place)
        elif self.loops and place in self._written:
            self._look()

    def writes(self, place: _Place, value: Any) -> None:
        """The template assigns to a namespace."""
        if self.record is not None:
            return
        if type(value) not in _PLAIN and id(value) not in self._ids:
            raise UnsharedError
        self._written.add(place)
        if self._loop is not None:
            self._loop.written.add(place)
            if place in self._earlier:
                self._loop.depends.add(place)

    def _state(self) -> _State:
        return [dict(_held(namespace)) for namespace in self._namespaces]


class Turns:
    """The messages, or those behind the first few, as a template sees them; the trace is told what it looks at."""

    def __init__(self, trace: Trace, start: int = 0) -> None:
        self.trace, self.start = trace, start

    def __getitem__(self, k: Any) -> Any:
        if isinstance(k, slice) and k.stop is None and k.step is None and (k.start or 0) >= 0:
            start = self.start + (k.start or 0)
            self.trace.see(start)
            return Turns(self.trace, start)
        if isinstance(k, int) and 0 <= k < self.trace.n - self.start:
            self.trace.see(self.start + k)
            return self.trace.messages[self.start + k]
        return self._list()[k]

    def __iter__(self) -> Iterator[Any]:
        for k in range(self.start, self.trace.n):
            self.trace.see(k)
            yield self.trace.messages[k]
        self.trace.see_end()

    def __len__(self) -> int:
        self.trace.see_end()
        return max(0, self.trace.n - self.start)

    def __bool__(self) -> bool:
        return self.start < self.trace.n

    def __eq__(self, other: object) -> bool:
        return self._list() == other

    def __repr__(self) -> str:
        return repr(self._list())

    def _list(self) -> list[Any]:
        """All of them, which tells how many there are."""
        self.trace.see_end()
        return list(self.trace.messages[self.start : self.trace.n])

    __hash__ = None  # type: ignore[assignment]


class _Namespace(Namespace):
    """A namespace that tells the trace what is read and written."""

    def __init__(self, made: Namespace, trace: Trace, number: int) -> None:
        super().__init__(_held(made))
        object.__setattr__(self, "told", (trace, number))

    def __getattribute__(self, name: str) -> Any:
        if name not in _INTERNAL:
            trace, number = object.__getattribute__(self, "told")
            trace.reads((number, name))
        return super().__getattribute__(name)

    def __setitem__(self, name: str, value: Any) -> None:
        trace, number = object.__getattribute__(self, "told")
        trace.writes((number, name), value)
        super().__setitem__(name, value)

    def __repr__(self) -> str:
        raise UnsharedError


_INTERNAL = ("_Namespace__attrs", "__class__")


def _held(namespace: Namespace) -> dict[str, Any]:
    """What a namespace holds, itself and no copy."""
    held: dict[str, Any] = object.__getattribute__(namespace, "_Namespace__attrs")
    return held


class TracedEnvironment(BoundedEnvironment):
    """An environment whose templates tell a trace about their loops over the messages.

    Attributes:
        trace: of the next rendering.
    """

    trace: Trace

    def _prepared(self, tree: nodes.Template) -> nodes.Template:
        self.filters |= {"op turns": _round, "op mark": lambda loop, number: self.trace.mark(loop, number)}
        for number, loop in enumerate(_outer_loops(tree.body)):
            if not loop.recursive and loop.test is None:
                loop.iter = _call("op turns", loop.iter, number)
                name = nodes.Name("loop", "load", lineno=loop.lineno)
                loop.body.insert(0, nodes.ExprStmt(_call("op mark", name, number), lineno=loop.lineno))
        return super()._prepared(tree)

    def call(self, context: Context, function: Any, /, *args: Any, **named: Any) -> Any:
        if function is Cycler or function is Joiner or getattr(function, "__func__", None) is LoopContext.changed:
            raise UnsharedError
        made = super().call(context, function, *args, **named)
        return self.trace.adopt(made) if type(made) is Namespace and function is Namespace else made


class _Round:
    """What a loop over the messages goes over."""

    def __init__(self, turns: Turns, number: int) -> None:
        self._turns, self._number = turns, number

    def __iter__(self) -> Iterator[Any]:
        return self._turns.trace.begin(self._number, self._turns)

    def __len__(self) -> int:
        return len(self._turns)


def _round(items: Any, number: int) -> Any:
    return _Round(items, number) if isinstance(items, Turns) else items


def _call(name: str, first: Any, number: int) -> nodes.Filter:
    return nodes.Filter(first, name, [nodes.Const(number)], [], None, None, lineno=first.lineno)


def _outer_loops(body: Sequence[nodes.Node]) -> Iterator[nodes.For]:
    """Loops that stand in no loop, macro or captured block: they put their text out as it comes."""
    for node in body:
        if isinstance(node, nodes.For):
            yield node
        elif isinstance(node, (nodes.If, nodes.With, nodes.Scope)):
            for part in (node.body, *(getattr(node, name, []) for name in ("elif_", "else_"))):
                yield from _outer_loops(part)
