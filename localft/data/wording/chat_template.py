"""Chat templates: sandboxed Jinja of bounded work, with the helpers that templates written for Hugging Face expect."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any, NoReturn, TypeVar

from jinja2 import Template, TemplateError, nodes
from jinja2.exceptions import SecurityError, TemplateSyntaxError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser

from localft.data.wording.bounded.calls import paying
from localft.data.wording.bounded.environment import BoundedEnvironment
from localft.data.wording.bounded.meter import Meter, OverBudgetError
from localft.data.wording.bounded.operators import WRITTEN_OUT, pay_for_format
from localft.data.wording.bounded.trace import Trace, TracedEnvironment, Turns, UnsharedError
from localft.errors import ModelError
from localft.units import count
from localft.visible import one_line

_OTHER = "name another template with --template, or train without one (--raw)"
# Units of one rendering; see `localft.data.wording.bounded`. Templates of well-known models take at most 500 for
# a message and one for every ten characters. Two million last two seconds at most. A row is rendered once for each of
# its answers where the template words earlier turns anew: all of its renderings together may take what follows last.
_BASE = 100_000
_PER_MESSAGE = 2_000
_CHARACTERS_PER_UNIT = 4
_MOST = 2_000_000
_MANY = 100
_MOST_OF_ROW = 12_000_000

Messages = Sequence[Mapping[str, str]]
_Environment = TypeVar("_Environment", bound=BoundedEnvironment)


_TURNS = "leave out system messages and let user and assistant take turns, or use another template (--template, --raw)"
_NEEDS = "it may need what is not there, such as tools or a question: use another template (--template, --raw)"


class RenderError(Exception):
    """The template refused these messages, or failed on them; the text is its reason.

    Attributes:
        hint: what to do.
    """

    def __init__(self, reason: str, hint: str = _TURNS) -> None:
        super().__init__(reason)
        self.hint = hint


class _RefusedError(TemplateError):
    """What a template says itself (`raise_exception`)."""


class _Generation(Extension):
    """`{% generation %}…{% endgeneration %}` marks answers for other trainers; here it is just its body."""

    tags = {"generation"}  # noqa: RUF012 - the name and type that Jinja asks for

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _tojson(value: Any, ensure_ascii: bool = False, indent: int | None = None, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, **options)


class ChatTemplate:
    """One compiled chat template. A rendering ends: after seconds at most, it is done or refused.

    Args:
        source: Jinja source.
        tokens: what `bos_token`, `eos_token` and the like print.
        today: ISO date that `strftime_now` shows. A run keeps it, so that training, resuming and chat agree.

    Raises:
        ModelError: the source is not valid Jinja, or too long or too deeply nested for a chat template.
    """

    def __init__(self, source: str, tokens: Mapping[str, str], today: str) -> None:
        self._made_of = source, tokens, today
        self._meter = Meter()
        self._left = _MOST_OF_ROW
        self._template = _compile(self._environment(BoundedEnvironment), source)
        self._traced: Template | None = None

    def _environment(self, kind: type[_Environment]) -> _Environment:
        _, tokens, today = self._made_of
        environment = kind(self._meter, [loopcontrols, _Generation], _functions(self._meter, today))
        environment.filters["tojson"] = paying(_tojson, "tojson", self._meter)
        environment.globals.update(tokens)
        return environment

    def begin(self) -> None:
        """The next row, or conversation: all of its renderings together are bounded too."""
        self._left = _MOST_OF_ROW

    def render(self, messages: Messages, *, generation_prompt: bool) -> str:
        """The conversation as one string, with the opening of the next answer where asked for.

        Raises:
            RenderError: the template raised an exception, or did something that the sandbox forbids.
            ModelError: it asked for more work than a template may.
        """
        allowance = self._pay_in(self._allowance(messages))
        try:
            return "".join(_pieces(self._template, messages, generation_prompt))
        except (OverBudgetError, RecursionError, MemoryError):
            message = f"the chat template asks for more work than {count(len(messages), 'message')} may take"
            shorten = "shorten the conversation, " if len(messages) > _MANY else ""
            raise ModelError(message, shorten + _OTHER) from None
        except SecurityError as error:
            raise RenderError(f"it does something that is not allowed: {one_line(str(error))}", _OTHER) from None
        except _RefusedError as error:
            raise RenderError(one_line(str(error)) or "it does not say why") from None
        except Exception as error:  # a template is a program from a file: whatever it raises is the file's fault
            reason = one_line(str(error)) or type(error).__name__
            raise RenderError(f'it fails on these messages ("{reason}")', _NEEDS) from None
        finally:
            self._settle(allowance)

    def trace(self, messages: Messages, *, generation_prompt: bool) -> Trace:
        """The same, recorded so that renderings of prefixes can begin from it.

        Raises:
            UnsharedError: the template cannot be followed, or refuses these messages.
        """
        return self._follow(Trace(messages), generation_prompt, self._allowance(messages))

    def trace_prefix(self, record: Trace, n: int, *, generation_prompt: bool) -> Trace:
        """The first `n` messages of a recorded conversation; the same `generation_prompt` was recorded.

        Raises:
            UnsharedError: the template cannot be followed, or refuses these messages.
        """
        return self._follow(Trace(record.messages, record, n), generation_prompt, _BASE)

    def _follow(self, trace: Trace, generation_prompt: bool, allowance: int) -> Trace:
        allowance = self._pay_in(allowance)
        try:
            if self._traced is None:
                self._traced = _compile(self._environment(TracedEnvironment), self._made_of[0])
            self._traced.environment.trace = trace  # type: ignore[attr-defined]
            trace.take(_pieces(self._traced, Turns(trace), generation_prompt))
        except Exception:
            raise UnsharedError from None
        finally:
            self._settle(allowance)
        return trace

    def _allowance(self, messages: Messages) -> int:
        n_characters = 0
        for message in messages:
            for text in message.values():
                n_characters += len(text)
        return min(_MOST, _BASE + _PER_MESSAGE * len(messages) + n_characters // _CHARACTERS_PER_UNIT)

    def _pay_in(self, allowance: int) -> int:
        self._meter.left = allowance = min(allowance, self._left)
        return allowance

    def _settle(self, allowance: int) -> None:
        self._left -= allowance - max(0, self._meter.left)


def _pieces(template: Template, messages: Any, generation_prompt: bool) -> Iterator[str]:
    """The rendering, piece by piece."""
    variables = {
        **template.environment.globals,
        "messages": messages,
        "add_generation_prompt": generation_prompt,
        "tools": None,
        "documents": None,
    }
    return template.root_render_func(template.new_context(variables, shared=True))


def _functions(meter: Meter, today: str) -> dict[str, Callable[..., Any]]:
    """What templates may call: refusing messages, and today's date."""
    day = date.fromisoformat(today)

    def raise_exception(message: Any = "") -> NoReturn:
        meter.weigh(message, WRITTEN_OUT)
        raise _RefusedError(str(message))

    def strftime_now(form: str) -> str:
        pay_for_format(meter, form, ())
        return day.strftime(form)

    return {"raise_exception": raise_exception, "strftime_now": strftime_now}


def _compile(environment: BoundedEnvironment, source: str) -> Template:
    try:
        return environment.from_string(source)
    except TemplateSyntaxError as error:
        reason = f"line {error.lineno}: {one_line(error.message or '')}"
    except (RecursionError, MemoryError):
        reason = "it is nested too deeply"
    except Exception as error:  # Python's own compiler, which compiles what Jinja makes of the source, has limits too
        reason = one_line(str(error))
    raise ModelError(f"the chat template is not valid Jinja: {reason}", _OTHER)
