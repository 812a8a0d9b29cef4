"""What Click says of a command line, as an error of our own with a hint."""

from __future__ import annotations

import re
import warnings
from ast import literal_eval

import click

from localft.errors import ConfigError
from localft.settings.other_words import COMMAND_WORDS, OTHER_WORDS
from localft.settings.setting import flag_name
from localft.settings.train_config import SETTINGS

_LITERAL = re.compile(r"(?<!\w)'(?:[^'\\\n]|\\.)*'(?!\w)")
_EXAMPLE = re.compile(r"^ +(localft .*?)(?:   .*)?$", re.MULTILINE)


def usage_error(error: click.ClickException) -> ConfigError:
    """The same complaint in our words; `error` is of any kind that Click raises."""
    context = getattr(error, "ctx", None)
    if context is None:
        return ConfigError(_sentence(error.format_message()), "`localft --help` lists the commands")
    path = context.command_path
    page = f"`{path} --help` lists the options"
    if isinstance(error, click.NoSuchOption):
        return ConfigError(f"unknown option `{error.option_name}`", _meant_option(error, context) or page)
    if isinstance(error, click.MissingParameter) and error.param:
        return ConfigError(f"`{path}` needs {_name(error.param, context)}", _example(context) or page)
    if isinstance(error, click.BadParameter) and error.param:
        words = getattr(error.param, "help", None)
        name = f"`{error.param.opts[-1]}`" if isinstance(error.param, click.Option) else _name(error.param, context)
        return ConfigError(f"{name}: {_sentence(error.message)}", words.rstrip(".") if words else page)
    return ConfigError(_sentence(error.format_message()), page)


def _meant_option(error: click.NoSuchOption, context: click.Context) -> str | None:
    """The option that an unknown one probably means: in other programs' words, or by its spelling."""
    known = {option for param in context.command.params for option in param.opts}
    word = error.option_name.lstrip("-").replace("-", "_")
    if isinstance(context.command, click.Group) and (word in SETTINGS or word in COMMAND_WORDS):
        commands = ", ".join(context.command.list_commands(context))
        return f"a command comes before its options: `{context.command_path}` and one of {commands}"
    names = (*COMMAND_WORDS.get(word, ()), OTHER_WORDS.get(word, ""))
    close = next((flag_name(name) for name in names if flag_name(name) in known), None)
    close = close or next(iter(error.possibilities or ()), None)
    return f"did you mean `{close}`?" if close else None


def _name(param: click.Parameter, context: click.Context) -> str:
    if isinstance(param, click.Option):
        return f"`{' '.join(filter(None, (param.opts[-1], param.metavar)))}`"
    return param.make_metavar(context).removesuffix("...")


def _example(context: click.Context) -> str | None:
    found = _EXAMPLE.search(context.command.help or "")
    return f"such as `{found[1]}`" if found else None


def _sentence(text: str) -> str:
    """Click's sentence with our quotes around values as they came, without its capital letter and its period."""
    text = _LITERAL.sub(_quoted, text).strip().removesuffix(".")
    return text[:1].lower() + text[1:]


def _quoted(match: re.Match[str]) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return f"`{literal_eval(match[0])}`"
    except (ValueError, SyntaxError):  # the user's own quotes
        return match[0]
