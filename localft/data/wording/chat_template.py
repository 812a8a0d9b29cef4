"""Chat templates: sandboxed Jinja with the helpers that templates written for Hugging Face expect."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, NoReturn

from jinja2 import TemplateError, nodes
from jinja2.exceptions import SecurityError, TemplateSyntaxError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from localft.errors import ModelError


class RenderError(Exception):
    """The template refused these messages, or failed on them; the text is its reason."""


class _Generation(Extension):
    """`{% generation %}…{% endgeneration %}` marks answers for other trainers; here it is just its body."""

    tags = {"generation"}  # noqa: RUF012 - the name and type that Jinja asks for

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _raise(message: str) -> NoReturn:
    raise TemplateError(message)


def _tojson(value: Any, ensure_ascii: bool = False, indent: int | None = None, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, **options)


class ChatTemplate:
    """One compiled chat template.

    Args:
        source: Jinja source.
        tokens: what `bos_token`, `eos_token` and the like print.
        today: ISO date that `strftime_now` shows. A run keeps it, so that training, resuming and chat agree.

    Raises:
        ModelError: the source is not valid Jinja.
    """

    def __init__(self, source: str, tokens: Mapping[str, str], today: str) -> None:
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, _Generation]
        )
        day = date.fromisoformat(today)
        environment.filters["tojson"] = _tojson
        environment.globals.update(raise_exception=_raise, strftime_now=day.strftime, **tokens)
        try:
            self._template = environment.from_string(source)
        except TemplateSyntaxError as error:
            message = f"the chat template is not valid Jinja: line {error.lineno}: {error.message}"
            raise ModelError(message, "name another template with --template, or train without one (--raw)") from None

    def render(self, messages: Sequence[Mapping[str, str]], *, generation_prompt: bool) -> str:
        """The conversation as one string, with the opening of the next answer where asked for.

        Raises:
            RenderError: the template raised an exception, or did something that the sandbox forbids.
        """
        try:
            return self._template.render(
                messages=[dict(message) for message in messages],
                add_generation_prompt=generation_prompt,
                tools=None,
                documents=None,
            )
        except SecurityError as error:
            raise RenderError(f"it does something that is not allowed: {error}") from None
        except Exception as error:  # a template is a program from a file: whatever it raises is the file's fault
            raise RenderError(str(error) or type(error).__name__) from None
