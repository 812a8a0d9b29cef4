"""Operators as functions that pay before they compute; `syntax.py` puts them where a template has an operator."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from sys import getsizeof
from typing import Any

from jinja2.exceptions import SecurityError
from jinja2.runtime import str_join
from markupsafe import Markup

from localft.data.wording.bounded.meter import Lazy, Meter, Passes, require_key, small, weight

WRITTEN_OUT = 6  # characters that one may become in `repr`, JSON or HTML
_NUMBERS = (int, float)
_SEQUENCES = (str, list, tuple, bytes)
_SIZED = (list, tuple, dict, str, range)
_MOST_BITS = 4096
_DIGITS = re.compile(r"\d+")
_NESTED_FIELD = re.compile(r"\{[^{}]*\{")


class Operators:
    """The functions, by the names that the rewritten syntax tree calls them by; no template can spell these names."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def table(self) -> Mapping[str, Callable[..., Any]]:
        return {
            "op +": self.add,
            "op -": self.subtract,
            "op *": self.multiply,
            "op **": self.power,
            "op %": self.modulo,
            "op ~": self.concatenate,
            "op operand": self.operand,
            "op container": self.container,
            "op slice": self.sliced,
            "op key": self.key,
            "op passes": self.passes,
            "op spend": self.spend,
        }

    def add(self, first: Any, *rest: Any) -> Any:
        """first + … + last; strings, which nearly all are, in one go."""
        n = len(rest) + (getsizeof(first) >> 6)
        if type(first) is str:
            for value in rest:
                if type(value) is not str:
                    break
                n += getsizeof(value) >> 6
            else:
                self._meter.spend(n)
                return "".join((first, *rest))
        for value in rest:
            first = self._plus(first, value)
        return first

    def _plus(self, left: Any, right: Any) -> Any:
        if isinstance(left, _NUMBERS):
            self._meter.spend(1)
            return small(left + right)
        times = WRITTEN_OUT if isinstance(left, Markup) or isinstance(right, Markup) else 1
        self._meter.spend(1 + times * (_shallow(left) + _shallow(right)))
        return left + right

    def subtract(self, left: Any, right: Any) -> Any:
        self._meter.spend(1)
        if isinstance(left, _NUMBERS):
            return small(left - right)
        self._meter.weigh(left)
        self._meter.weigh(right)
        return left - right

    def multiply(self, left: Any, right: Any) -> Any:
        self._meter.spend(1)
        if isinstance(left, _NUMBERS) and isinstance(right, _NUMBERS):
            if isinstance(left, int) and isinstance(right, int):
                _require_bits(left.bit_length() + right.bit_length())
            return left * right
        for repeated, times in ((left, right), (right, left)):
            if isinstance(repeated, _SEQUENCES) and isinstance(times, int):
                n_bytes = getsizeof(repeated)
                self._meter.spend((n_bytes * max(times, 0) >> 6) + (n_bytes >> 6))
        return left * right

    def power(self, base: Any, exponent: Any) -> Any:
        self._meter.spend(1)
        if isinstance(base, int) and isinstance(exponent, int) and exponent > 0:
            _require_bits(base.bit_length() * exponent)
        return base**exponent

    def modulo(self, left: Any, right: Any) -> Any:
        self._meter.spend(1)
        if isinstance(left, _TEXT):
            pay_for_format(self._meter, left, right)
        return left % right

    def concatenate(self, *values: Any) -> str:
        """a ~ b ~ …"""
        n = len(values)
        for value in values:
            n += getsizeof(value) >> 6 if type(value) is str else WRITTEN_OUT * (1 + weight(value, self._meter.left))
        self._meter.spend(n)
        return str_join(values)

    def operand(self, value: Any) -> Any:
        """What is compared, or looked for or into."""
        kind = type(value)
        if kind is str:
            self._meter.spend(getsizeof(value) >> 6)
        elif kind not in (int, bool, float):
            self._meter.weigh(value)
        return value

    def container(self, value: Any) -> Any:
        """What is looked into."""
        return self.operand(list(value) if type(value) is Lazy else value)

    def sliced(self, value: Any) -> Any:
        """A part that was cut out of something that is there already."""
        self._meter.spend(1 + _shallow(value))
        return value

    def key(self, value: Any) -> Any:
        """A key of a dictionary that the template writes."""
        require_key(value)
        return value

    def passes(self, items: Any, units: int, breaks: bool) -> Any:
        """What a loop goes over, `units` for each pass: beforehand where their number is known and none is left out."""
        self._meter.spend(4)
        if isinstance(items, _SIZED) and not breaks:
            self._meter.spend(units * len(items))
            return items
        return Passes(items, self._meter, units)

    def spend(self, units: int) -> str:
        self._meter.spend(units)
        return ""


_TEXT = (str, bytes)


def pay_for_format(meter: Meter, form: str | bytes, values: Any, fields: str = "%") -> None:
    """What `form % values` or `form.format(*values)` may take: every value at every field, and widths as written."""
    text = form.decode("latin-1") if isinstance(form, bytes) else form
    if fields == "{" and _NESTED_FIELD.search(text.replace("{{", "").replace("}}", "")):
        raise SecurityError("a replacement field inside another")
    numbers = [meter.left + 1 if len(run) > 9 else int(run) for run in _DIGITS.findall(text)]
    n_fields = text.count(fields)
    widths = sum(numbers)
    if fields == "%" and "*" in text:
        widths += sum(abs(value) for value in (values if isinstance(values, tuple) else ()) if isinstance(value, int))
    meter.spend(2 + widths + (getsizeof(text) >> 5))
    meter.spend(n_fields * (1 + WRITTEN_OUT * weight(values, meter.left)))


def _shallow(value: Any) -> int:
    """Units that a copy takes, its elements not copied."""
    return getsizeof(value) >> 6 if isinstance(value, _SEQUENCES) else 1


def _require_bits(bits: int) -> None:
    if bits > _MOST_BITS:
        raise SecurityError(f"an integer of {bits} bits")
