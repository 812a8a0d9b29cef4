"""Which options the command line gave, whatever their values: one that would be ignored is refused."""

from __future__ import annotations

import click

from localft.errors import ConfigError


def given(*names: str) -> list[str]:
    """Of the running command's parameters `names` the flags of those that were given, in their order."""
    context = click.get_current_context()
    flags = {param.name: param.opts[-1] for param in context.command.params}
    source = click.core.ParameterSource.COMMANDLINE
    return [str(flags[name]) for name in names if context.get_parameter_source(name) is source]


def refuse_idle(names: tuple[str, ...], why: str, hint: str = "leave it out") -> None:
    """Refuse the first of the parameters `names` that was given.

    Args:
        why: what makes it idle, behind its flag: "has no meaning without a model".

    Raises:
        ConfigError: it was.
    """
    for flag in given(*names):
        raise ConfigError(f"`{flag}` {why}", hint)
