"""Options that several of the data commands take, each worded once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from localft.cli.parameters import UserPath, complete_model

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def out_file(what: str, *names: str) -> Decorator:
    """-o, --out FILE: where rows go.

    Args:
        what: the rows, in words.
        names: of the parameter, where it is not "out".
    """
    path = UserPath(dir_okay=False)
    help = f"File of {what} to write, JSON lines."
    return click.option("-o", "--out", *names, required=True, metavar="FILE", type=path, help=help)


def row_length(command: Callable[..., Any]) -> Callable[..., Any]:
    """--model and --chunk-tokens: how long a row may be, and how that is counted."""
    limit = click.option(
        "--chunk-tokens",
        type=int,
        metavar="N",
        help="The most tokens of a row. [default: the model's context, at most 8192, less a question; 2048 without]",
    )
    model = click.option(
        "--model",
        metavar="MODEL",
        shell_complete=complete_model,
        help="Count tokens as this model does. [default: estimated, 2.5 bytes each]",
    )
    return model(limit(command))


def secrets(what: str) -> Decorator:
    """--secrets: what happens to keys, tokens and passwords.

    Args:
        what: that is left out with `drop`, in words.
    """
    choice = click.Choice(["redact", "drop", "keep"])
    help = f"Take secrets out, leave out {what}, or keep them."
    return click.option("--secrets", type=choice, default="redact", show_default=True, help=help)


def force(command: Callable[..., Any]) -> Callable[..., Any]:
    """--force: the output may be replaced, whosever it is."""
    help = "Replace what is there, even where localft did not write it or it was changed since."
    return click.option("--force", is_flag=True, help=help)(command)


def as_json(what: str) -> Decorator:
    """--json: what is printed as one JSON object."""
    return click.option("--json", "as_json", is_flag=True, help=f"Print {what} as one JSON object.")
