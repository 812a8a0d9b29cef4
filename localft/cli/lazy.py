"""A Click group whose commands are imported when they are called."""

from __future__ import annotations

import importlib
from typing import Any

import click

from localft.spelling import nearest


class LazyGroup(click.Group):
    """Commands by name, each with the one-line summary that help pages need; `package` holds a module for each."""

    def __init__(self, *args: Any, summaries: dict[str, str], package: str, **attrs: Any) -> None:
        super().__init__(*args, **attrs)
        self.summaries, self.package = summaries, package

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.summaries)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in self.summaries:
            return None
        command = importlib.import_module(f"{self.package}{name}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = nearest(args[0], self.summaries)
            if near is None:
                raise
            raise click.UsageError(f"{error.message} Did you mean '{near}'?", ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(self.summaries.items()))
