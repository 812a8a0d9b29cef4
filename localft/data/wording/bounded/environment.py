"""The sandbox in which a template is compiled and rendered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from sys import getsizeof
from types import BuiltinMethodType, FunctionType, MethodType
from typing import Any

from jinja2 import nodes, pass_context
from jinja2.exceptions import SecurityError, TemplateSyntaxError
from jinja2.ext import Extension
from jinja2.runtime import BlockReference, Context, LoopContext, Macro, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment, safe_range
from jinja2.utils import Cycler, Joiner, Namespace
from markupsafe import Markup

from localft.data.wording.bounded.calls import METHODS, bounded_filters, bounded_tests, pay_for_method, taken
from localft.data.wording.bounded.meter import Meter, require_key
from localft.data.wording.bounded.operators import WRITTEN_OUT, Operators, pay_for_format
from localft.data.wording.bounded.syntax import MOST_CHARACTERS, bounded

_CALL = 4  # units of a call that runs Python: its frame, its arguments
_LOOKUP = 4  # of the sandbox's ways around an attribute
_CALLABLE = (Macro, BlockReference, LoopContext, Joiner, Undefined)
_OWNERS = (LoopContext, Cycler)
_MAKERS: tuple[Any, ...] = (dict, Namespace, Cycler, Joiner)
_GLOBALS: dict[str, Any] = {
    "range": safe_range,
    "dict": dict,
    "namespace": Namespace,
    "cycler": Cycler,
    "joiner": Joiner,
}
_DICT_NAMES = frozenset(dir(dict))
_TEXT_NAMES = frozenset(METHODS[str])


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """Jinja's immutable sandbox in which everything is paid for; see the package's docstring.

    Nothing is computed at compile time; other templates and switches of HTML escaping are errors of syntax; `lipsum`
    is gone. Not thread-safe: there is one meter.

    Args:
        meter: what is left to spend, to be filled before each rendering.
        extensions: of Jinja's syntax.
        functions: what a template may call beside Jinja's own, by name; each pays for itself.
    """

    def __init__(
        self, meter: Meter, extensions: Sequence[type[Extension]], functions: Mapping[str, Callable[..., Any]]
    ) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            optimized=False,
            extensions=extensions,
            finalize=_paid_output(meter),
        )
        self._meter = meter
        self._functions: set[Any] = {safe_range, *functions.values()}
        self.filters = {**bounded_filters(meter), **Operators(meter).table()}
        self.tests = bounded_tests(meter)  # type: ignore[assignment]
        self.globals = {**_GLOBALS, **functions}

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        if len(source) > MOST_CHARACTERS:
            raise TemplateSyntaxError(f"it has {len(source):,} characters, more than {MOST_CHARACTERS:,}", 1)
        tree = self._prepared(super()._parse(source, name, filename))
        tree.set_environment(self)
        return tree

    def _prepared(self, tree: nodes.Template) -> nodes.Template:
        return bounded(tree)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """`obj.attribute`: what the sandbox gives, the usual cases without its detours."""
        kind = type(obj)
        if kind is dict:
            if attribute not in _DICT_NAMES and attribute in obj:
                return obj[attribute]
        elif kind is str and attribute in _TEXT_NAMES:
            return getattr(obj, attribute)
        elif (kind is LoopContext or kind is Namespace) and not attribute.startswith("_"):
            with suppress(AttributeError):
                return getattr(obj, attribute)
        self._meter.spend(_LOOKUP)
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """`obj[argument]`, where looking the argument up is quick."""
        if isinstance(argument, (list, dict)):
            return self.undefined(obj=obj, name=f"a {type(argument).__name__}")
        if type(argument) is not str:
            require_key(argument)
        try:
            return obj[argument]
        except (TypeError, LookupError):
            self._meter.spend(_LOOKUP)
            return super().getitem(obj, argument)

    def call(self, context: Context, function: Any, /, *args: Any, **named: Any) -> Any:
        """Pay and call, if it is something that a template may call.

        Raises:
            SecurityError: it is not.
        """
        kind = type(function)
        if kind is BuiltinMethodType:
            named.pop("_loop_vars", None)
            named.pop("_block_vars", None)
            args = tuple(map(taken, args)) if args else ()
            pay_for_method(self._meter, function, args, named)
            return function(*args, **named)
        self._meter.spend(_CALL + len(args) + len(named))
        if kind is MethodType:
            args = self._method(function, args, named)
        elif kind is FunctionType:
            self._function(function, args, named)
        elif kind is type and function in _MAKERS:
            args = tuple(map(taken, args))
            self._maker(args, named)
        elif not issubclass(kind, _CALLABLE):
            raise SecurityError(f"a call of a {kind.__name__}")
        return super().call(context, function, *args, **named)

    def _method(self, method: MethodType, args: tuple[Any, ...], named: Mapping[str, Any]) -> tuple[Any, ...]:
        """Methods that are written in Python: of loops, of cyclers, of text that is safe HTML."""
        owner = method.__self__
        if isinstance(owner, Markup):
            pay = METHODS[str].get(method.__name__)
            if pay is None:
                raise SecurityError(f"a call of `{method.__name__[:40]}`")
            args = tuple(map(taken, args))
            self._meter.weigh((args, dict(named), owner), WRITTEN_OUT)
            for _ in range(WRITTEN_OUT):
                pay(self._meter, str(owner), args, named)
        elif isinstance(owner, _OWNERS):
            self._meter.weigh(args)
        else:
            raise SecurityError(f"a call of a method of a {type(owner).__name__}")
        return args

    def _function(self, function: FunctionType, args: tuple[Any, ...], named: Mapping[str, Any]) -> None:
        """Functions of ours, and what the sandbox makes of `format`."""
        if function in self._functions:
            return
        method = getattr(function, "__wrapped__", None)
        if not isinstance(method, (BuiltinMethodType, MethodType)) or method.__name__ not in ("format", "format_map"):
            raise SecurityError(f"a call of `{function.__name__[:40]}`")
        pay_for_format(self._meter, str(method.__self__), (args, dict(named)), "{")

    def _maker(self, args: tuple[Any, ...], named: Mapping[str, Any]) -> None:
        """Dictionaries and namespaces, of pairs or of names."""
        self._meter.weigh((args, dict(named)))
        for pairs in args:
            if isinstance(pairs, (list, tuple)):
                for pair in pairs:
                    require_key(pair[0] if isinstance(pair, (list, tuple)) and pair else None)


def _paid_output(meter: Meter) -> Callable[..., Any]:
    """What a value passes before it is put out; it takes the context, or constants would be put out at compile time."""

    @pass_context
    def output(context: Context, value: Any) -> Any:
        if type(value) is str:
            meter.spend(1 + (getsizeof(value) >> 6))
        else:
            meter.spend(1)
            meter.weigh(value, WRITTEN_OUT)
        return value

    return output
