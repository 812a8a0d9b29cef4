"""What filters, tests and methods may cost: each pays before it runs, and what is not in a table cannot be used.

Most pay by one rule: going through the subject once, times one and the size of every argument, an integer being its own
size. No result is longer than that product, and no search slower. Where that does not hold, there is another rule.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from sys import getsizeof
from types import BuiltinMethodType
from typing import Any

from jinja2 import Environment
from jinja2.exceptions import SecurityError
from jinja2.filters import FILTERS, make_attrgetter
from jinja2.tests import TESTS

from localft.data.wording.bounded.meter import Lazy, Meter, require_key, small, weight
from localft.data.wording.bounded.operators import WRITTEN_OUT, pay_for_format

Args = tuple[Any, ...]
Named = Mapping[str, Any]
Pay = Callable[[Meter, Any, Args, Named], None]
_SORTING = 16  # comparisons of each item of a list
_SPLITTING = 20  # bytes that one becomes where every other character begins an object
_CHARACTER = 4  # bytes at most


def _product(times: int) -> Pay:
    def pay(meter: Meter, subject: Any, args: Args, named: Named) -> None:
        factor = 1
        for value in (*args, *named.values()) if args or named else ():
            factor += abs(value) if isinstance(value, int) else weight(value, meter.left)
        meter.spend((1 + times * weight(subject, meter.left)) * factor)

    return pay


def _additive(meter: Meter, subject: Any, args: Args, named: Named) -> None:
    """Of what cuts a text or fills it up to a length."""
    values = (*args, *named.values())
    meter.spend(1 + sum(abs(value) if isinstance(value, int) else weight(value, meter.left) for value in values))
    meter.weigh(subject, 2)


def _by_item(times: int) -> Pay:
    """Each item, and each part of the attribute's name that is looked up in it."""

    def pay(meter: Meter, subject: Any, args: Args, named: Named) -> None:
        values = [*args, *named.values()]
        lookups = 1 + sum(value.count(".") + value.count(",") for value in values if isinstance(value, str))
        numbers = sum(abs(value) for value in values if isinstance(value, int))
        whole = len(subject) if hasattr(subject, "__len__") else 1
        whole += weight(subject, meter.left) if times > 1 else 0
        meter.spend(1 + numbers + times * whole * lookups)

    return pay


def _free(meter: Meter, subject: Any, args: Args, named: Named) -> None:
    meter.spend(1)


def _slow(meter: Meter, subject: Any, args: Args, named: Named) -> None:
    """Of looking up an attribute by the sandbox's rules."""
    meter.spend(8)


def _squared(meter: Meter, subject: Any, args: Args, named: Named) -> None:
    """Of filters that go through the rest of a text for each of its parts."""
    meter.spend(8 + 4 * weight(subject, meter.left) ** 2)
    _product(WRITTEN_OUT)(meter, subject, args, named)


def _sum(meter: Meter, subject: Any, args: Args, named: Named) -> None:
    """Lists too can be added up, and are copied at each step."""
    whole = weight((subject, args, tuple(named.values())), meter.left)
    meter.spend(whole * (1 + (len(subject) if hasattr(subject, "__len__") else 1) // 8))


def _rounded(meter: Meter, subject: Any, args: Args, named: Named) -> None:
    """`10 ** precision`, times the number."""
    if not isinstance(subject, (int, float)):
        raise SecurityError(f"rounding a {type(subject).__name__}")
    meter.spend(1 + sum(abs(value) for value in (*args, *named.values()) if isinstance(value, int)))


def _json(meter: Meter, subject: Any, args: Args, named: Named) -> None:
    """Written out, with an indent that grows by the level."""
    whole = WRITTEN_OUT * (1 + weight(subject, meter.left))
    width = sum(
        abs(value) if isinstance(value, int) else WRITTEN_OUT * getsizeof(value)
        for value in (*args, *named.values())
        if isinstance(value, int) or (isinstance(value, str) and len(value) > 2)
    )
    meter.spend(2 + whole + (whole * whole * width >> 6))


def _replaced(meter: Meter, subject: Any, args: Args, named: Named) -> None:
    if not (isinstance(subject, str) and len(args) >= 2 and isinstance(args[0], str) and isinstance(args[1], str)):
        return _product(WRITTEN_OUT)(meter, subject, args, named)
    meter.spend(1 + (getsizeof(subject) >> 6))
    length = len(subject) + subject.count(args[0]) * len(args[1])
    meter.spend(length if args[1] and length > len(subject) * 8 else length >> 4)


def _joined(meter: Meter, items: Any, separator: Any) -> None:
    n_bytes = getsizeof(separator) if isinstance(separator, str) else WRITTEN_OUT << 6
    if hasattr(items, "__len__"):
        times = 1 if all(type(item) is str for item in items) else WRITTEN_OUT
        meter.spend(1 + times * weight(items, meter.left) + (len(items) * n_bytes * _CHARACTER >> 6))
    meter.weigh(separator, WRITTEN_OUT)


def _filter_join(meter: Meter, subject: Any, args: Args, named: Named) -> None:
    if not named and len(args) < 2:
        return _joined(meter, subject, args[0] if args else "")
    _by_item(WRITTEN_OUT)(meter, subject, args, named)
    _joined(meter, subject, named.get("d", args[0] if args else ""))


def _method_join(meter: Meter, subject: Any, args: Args, named: Named) -> None:
    _joined(meter, args[0] if args else (), subject)


def _formatted(meter: Meter, subject: Any, args: Args, named: Named) -> None:
    meter.weigh(subject, WRITTEN_OUT)
    pay_for_format(meter, str(subject), args or dict(named))


def _split(meter: Meter, subject: Any, args: Args, named: Named) -> None:
    """A text cut into parts, each an object."""
    separator = next((value for value in (*args, *named.values()) if isinstance(value, str)), None)
    meter.spend((1 + weight(subject, meter.left)) * (1 + weight(separator, meter.left)))
    meter.spend(1 + subject.count(separator) if separator else len(subject) // 2)


def _lookup(meter: Meter, subject: Any, args: Args, named: Named) -> None:
    meter.spend(1)
    require_key(args[0] if args else None)


def _compared(meter: Meter, subject: Any, args: Args, named: Named) -> None:
    meter.spend(1)
    for value in (subject, *args):
        meter.weigh(value)


def _of_numbers(meter: Meter, subject: Any, args: Args, named: Named) -> None:
    """A remainder: of a text, `%` would be formatting."""
    for value in (subject, *args):
        if not isinstance(value, (int, float)):
            raise SecurityError(f"a remainder of a {type(value).__name__}")
    meter.spend(1)


def _table(*rules: tuple[Pay, str]) -> dict[str, Pay]:
    return {name: pay for pay, names in rules for name in names.split()}


_LAZY = ("map", "select", "reject", "selectattr", "rejectattr", "items", "first", "batch", "length", "count", "tojson")
_FILTERS = _table(
    (_additive, "center truncate"),
    (_product(1), "float indent trim filesizeformat"),
    (_product(WRITTEN_OUT), "capitalize lower upper title e escape forceescape safe string urlencode xmlattr"),
    (_product(_SPLITTING), "wordcount"),
    (_squared, "int striptags wordwrap urlize pprint"),
    (_by_item(1), "map select reject selectattr rejectattr batch slice reverse list"),
    (_by_item(_SORTING), "dictsort sort unique min max groupby"),
    (_slow, "attr"),
    (_free, "abs d default first last items length count random"),
    (_sum, "sum"),
    (_rounded, "round"),
    (_json, "tojson"),
    (_replaced, "replace"),
    (_filter_join, "join"),
    (_formatted, "format"),
)
_TESTS = _table(
    (_compared, "== eq equalto != ne > gt greaterthan >= ge < lt lessthan <= le in"),
    (_product(WRITTEN_OUT), "lower upper"),
    (_of_numbers, "odd even divisibleby"),
    (lambda meter, subject, args, named: require_key(subject), "filter test"),
    (_free, "boolean callable defined escaped false float integer iterable mapping none number sameas sequence"),
    (_free, "string true undefined"),
)
_TEXT = _table(
    (_additive, "center ljust rjust zfill"),
    (_product(1), "count endswith expandtabs find index lstrip partition removeprefix removesuffix rfind rindex"),
    (_product(1), "rpartition rstrip startswith strip"),
    (_product(1), "isalnum isalpha isascii isdecimal isdigit isidentifier islower isnumeric isprintable isspace"),
    (_product(1), "istitle isupper"),
    (_product(WRITTEN_OUT), "capitalize casefold encode lower swapcase title translate upper"),
    (_split, "rsplit split splitlines"),
    (_replaced, "replace"),
    (_method_join, "join"),
)
_LIST = _table((_compared, "count index"), (_by_item(1), "copy"))
METHODS: dict[type, dict[str, Pay]] = {
    str: _TEXT,
    list: _LIST,
    tuple: _LIST,
    range: _LIST,
    dict: _table((_lookup, "get"), (_free, "items keys values"), (_by_item(1), "copy")),
    float: _table((_free, "is_integer")),
    int: _table((_free, "bit_length")),
}


def bounded_filters(meter: Meter) -> dict[str, Callable[..., Any]]:
    """Jinja's filters by their names, each with its payment in front."""
    functions: dict[str, Any] = {**FILTERS, "unique": _unique}
    return {name: _bounded(functions[name], pay, meter, name in _LAZY) for name, pay in _FILTERS.items()}


def bounded_tests(meter: Meter) -> dict[str, Callable[..., Any]]:
    """Jinja's tests, likewise."""
    functions: dict[str, Any] = TESTS
    return {name: _bounded(functions[name], pay, meter, False) for name, pay in _TESTS.items()}


def paying(function: Callable[..., Any], name: str, meter: Meter) -> Callable[..., Any]:
    """A filter of one's own, which pays as the one of that name does."""
    return _bounded(function, _FILTERS[name], meter, name in _LAZY)


def pay_for_method(meter: Meter, method: BuiltinMethodType, args: Args, named: Named) -> None:
    """Let a method of a text, a list or a dictionary pay.

    Raises:
        SecurityError: it is none that a template may use.
    """
    pay = METHODS.get(type(method.__self__), {}).get(method.__name__)
    if pay is None:
        raise SecurityError(f"a call of `{method.__name__[:40]}`")
    pay(meter, method.__self__, args, named)


def taken(value: Any) -> Any:
    """The items of an iterator as a list; any other value as it is."""
    return list(value) if type(value) is Lazy else value


def _bounded(function: Callable[..., Any], pay: Pay, meter: Meter, lazy: bool) -> Callable[..., Any]:
    first = int(hasattr(function, "jinja_pass_arg"))

    @functools.wraps(function)
    def paid(*args: Any, **named: Any) -> Any:
        subject = args[first]
        depth = 0
        if type(subject) is Lazy:
            depth = subject.depth
            if not lazy:
                args = (*args[:first], list(subject), *args[first + 1 :])
        if len(args) > first + 1:
            args = (*args[: first + 1], *map(taken, args[first + 1 :]))
        pay(meter, args[first], args[first + 1 :], named)
        result = function(*args, **named)
        if isinstance(result, int):
            return small(result)
        return Lazy(result, meter, depth + 1) if hasattr(result, "__next__") else result

    return paid


def _unique(environment: Environment, value: Any, case_sensitive: bool = False, attribute: Any = None) -> Any:
    """Jinja's, for items that can be told apart quickly."""
    items = list(value)
    for key in map(make_attrgetter(environment, attribute), items):
        require_key(key)
    return FILTERS["unique"](environment, items, case_sensitive, attribute)


_unique.jinja_pass_arg = FILTERS["unique"].jinja_pass_arg  # type: ignore[attr-defined]
