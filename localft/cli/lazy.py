"""A Click group whose commands are imported when they are called."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from localft.cli.meant import meant
from localft.errors import ConfigError
from localft.screen.border import say


class LazyGroup(click.Group):
    """Commands by name, each with the one-line summary that help pages need; `package` holds a module for each.

    Args:
        others: commands that someone may look for here and that stand elsewhere, as they are called behind "localft".
    """

    def __init__(
        self, *args: Any, summaries: dict[str, str], package: str, others: tuple[str, ...] = (), **attrs: Any
    ) -> None:
        super().__init__(*args, **attrs)
        self.summaries, self.package, self.others = summaries, package, others

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.summaries)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in self.summaries:
            return None
        command = importlib.import_module(f"{self.package}{name}").command
        assert isinstance(command, click.Command)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """`localft help chat` is `localft chat --help`; without arguments the page goes to stderr."""
        if not args and not ctx.resilient_parsing:
            say(ctx.get_help())
            sys.exit(2)
        return super().parse_args(ctx, [*args[1:], "--help"] if args[:1] == ["help"] else args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            hint = meant(args[0], self.summaries, ctx.command_path, self.others)
            raise ConfigError(
                f"there is no command `{ctx.command_path} {args[0]}`",
                hint or f"the commands are {', '.join(self.summaries)}; `{ctx.command_path} --help` says what they do",
            ) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(self.summaries.items()))
