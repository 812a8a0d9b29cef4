"""Some of a sequence, and several one behind the other, without a list of what is in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

if TYPE_CHECKING:
    from numpy.typing import NDArray

Item = TypeVar("Item", covariant=True)


class Lazy(Sequence[Item]):
    """A sequence whose items are made when they are asked for; a slice of it is one too."""

    @overload
    def __getitem__(self, at: int) -> Item: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Item]: ...
    def __getitem__(self, at: int | slice) -> Item | Sequence[Item]:
        return Picked(self, range(len(self))[at]) if isinstance(at, slice) else self.item(range(len(self))[at])

    def item(self, number: int) -> Item:
        """The item of a number from 0 to below the length."""
        raise NotImplementedError

    def items_at(self, numbers: Iterable[int]) -> Iterator[Item]:
        """The items of these numbers; some sequences are quicker where they ascend."""
        return map(self.item, numbers)

    def __iter__(self) -> Iterator[Item]:
        return self.items_at(range(len(self)))


class Picked(Lazy[Item], Generic[Item]):
    """The items of some numbers."""

    def __init__(self, items: Sequence[Item], numbers: Sequence[int] | NDArray[Any]) -> None:
        self._items, self._numbers = items, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def item(self, number: int) -> Item:
        return self._items[int(self._numbers[number])]

    def __iter__(self) -> Iterator[Item]:
        numbers = map(int, self._numbers)
        return self._items.items_at(numbers) if isinstance(self._items, Lazy) else map(self._items.__getitem__, numbers)


class Mapped(Lazy[Item], Generic[Item]):
    """What a function makes of each item, anew each time that it is asked for."""

    def __init__(self, make: Callable[[Any], Item], items: Sequence[Any]) -> None:
        self._make, self._items = make, items

    def __len__(self) -> int:
        return len(self._items)

    def item(self, number: int) -> Item:
        return self._make(self._items[number])

    def __iter__(self) -> Iterator[Item]:
        return map(self._make, self._items)


class Chained(Lazy[Item], Generic[Item]):
    """Several sequences, one behind the other."""

    def __init__(self, parts: Sequence[Sequence[Item]]) -> None:
        self._parts = parts

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def item(self, number: int) -> Item:
        for part in self._parts:
            if number < len(part):
                return part[number]
            number -= len(part)
        raise IndexError(number)

    def __iter__(self) -> Iterator[Item]:
        return chain.from_iterable(self._parts)


def chained(parts: Sequence[Sequence[Item]]) -> Sequence[Item]:
    """The items of all parts: a list where all parts are in memory."""
    if len(parts) == 1:
        return parts[0]
    return Chained(parts) if any(isinstance(part, Lazy) for part in parts) else list(chain.from_iterable(parts))


def picked(items: Sequence[Item], numbers: Sequence[int] | NDArray[Any]) -> Sequence[Item]:
    """The items of some numbers: a tuple where all are in memory."""
    if isinstance(items, Lazy):
        return Picked(items, numbers)
    return tuple(items[int(number)] for number in numbers)
