"""What a rendering may still spend, and what a value weighs."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, ValuesView
from sys import getsizeof
from typing import Any

from jinja2.exceptions import SecurityError
from jinja2.runtime import Undefined
from jinja2.utils import Cycler, Namespace

_TEXTS = (str, bytes)
_LISTS = (list, tuple, set, frozenset, KeysView, ValuesView, ItemsView)
_KEYS = frozenset((str, int, float, bool, type(None), Undefined))
_MOST_BITS = 4096
_HASH_BITS = 60  # of larger integers many share one hash
_MOST_NESTED = 50


class OverBudgetError(Exception):
    """A template asked for more work than it may."""


class Meter:
    """Units of work that are left. A unit stands for at most 64 bytes of memory and about a microsecond."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = 0

    def spend(self, units: int) -> None:
        """Take units away.

        Raises:
            OverBudgetError: there are not so many.
        """
        self.left -= units
        if self.left < 0:
            raise OverBudgetError

    def weigh(self, value: Any, times: int = 1) -> None:
        """Pay for going through all of a value."""
        self.spend(times * weight(value, self.left))


def weight(value: Any, most: int) -> int:
    """Units that going through a value takes: one for an element or 64 bytes, nested ones as often as they are met.

    Lists that hold one list twice, which holds another twice, and so on, are small and take for ever to print or
    compare; they weigh what they take.

    Args:
        most: no more than this has to be counted exactly.
    """
    if type(value) is str:
        return getsizeof(value) >> 6
    total, waiting = 0, [value]
    while waiting and total <= most:
        value = waiting.pop()
        if isinstance(value, _TEXTS):
            total += getsizeof(value) >> 6
        elif isinstance(value, dict):
            total += 2 * len(value) + 1
            waiting += value.keys()
            waiting += value.values()
        elif isinstance(value, _LISTS):
            total += len(value) + 1
            waiting += value
        elif isinstance(value, range):
            total += len(value)
        elif isinstance(value, int):
            total += value.bit_length() >> 9
        elif isinstance(value, Namespace):
            waiting.append(value._Namespace__attrs)
        elif isinstance(value, Cycler):
            waiting.append(value.items)
    return total


def require_key(key: Any) -> None:
    """Refuse keys of which looking them up can take long: tuples, and huge numbers.

    Raises:
        SecurityError: it is one.
    """
    if type(key) not in _KEYS and not isinstance(key, str):
        raise SecurityError(f"a {type(key).__name__} as a key")
    if type(key) is int and key.bit_length() > _HASH_BITS:
        raise SecurityError(f"an integer of {key.bit_length()} bits as a key")


def small(number: Any) -> Any:
    """A number, if it is no integer of thousands of digits.

    Raises:
        SecurityError: it is one.
    """
    if isinstance(number, int) and number.bit_length() > _MOST_BITS:
        raise SecurityError(f"an integer of {number.bit_length()} bits")
    return number


class Lazy:
    """An iterator that a filter gave: each item is paid for as it is taken, so that a chain of filters pays for all."""

    __slots__ = ("_items", "_meter", "depth")

    def __init__(self, items: Iterator[Any], meter: Meter, depth: int) -> None:
        if depth > _MOST_NESTED:
            raise SecurityError(f"more than {_MOST_NESTED} filters one upon the other")
        self._items, self._meter, self.depth = items, meter, depth

    def __iter__(self) -> Lazy:
        return self

    def __next__(self) -> Any:
        self._meter.spend(1)
        return next(self._items)


class Passes:
    """What a loop goes over: each pass is paid for as it begins."""

    __slots__ = ("_items", "_meter", "_units")

    def __init__(self, items: Any, meter: Meter, units: int) -> None:
        self._items, self._meter, self._units = items, meter, units

    def __iter__(self) -> Iterator[Any]:
        spend, units = self._meter.spend, self._units
        for item in self._items:
            spend(units)
            yield item

    def __len__(self) -> int:
        return len(self._items)
