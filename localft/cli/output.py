"""What several commands write: errors, answers, and lines with a label in front."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Collection, Iterable

import click

from localft.errors import LocalftError
from localft.visible import visible

_LABEL = 10
_CONTROLS = {code: None for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


def echo_labelled(lines: Iterable[tuple[str, str]], loud: Collection[str] = ("note",)) -> None:
    """Write labels and texts to stderr, a label that is repeated once; on a terminal broken between words.

    Args:
        loud: labels whose texts are yellow.
    """
    width = max(shutil.get_terminal_size().columns - _LABEL, 20) if sys.stderr.isatty() else 0
    wrapper = textwrap.TextWrapper(width, break_long_words=False, break_on_hyphens=False)
    before = ""
    for label, text in lines:
        shown = "" if label == before else label
        before = label or before
        for line in wrapper.wrap(visible(text)) if width else [visible(text)]:
            words = click.style(line, fg="yellow") if label in loud else line
            click.echo(f"{click.style(shown.ljust(_LABEL), dim=True)}{words}", err=True)
            shown = ""


def print_error(error: LocalftError) -> None:
    """Write the message and its hint to stderr; what they quote from a file cannot steer the terminal."""
    click.echo(click.style("error", fg="red", bold=True) + _broken(f": {visible(error.message)}", 5), err=True)
    if error.hint:
        click.echo("\n" + click.style("hint", fg="cyan") + _broken(f": {visible(error.hint)}", 4), err=True)


def _broken(text: str, n_before: int) -> str:
    """Text behind `n_before` columns, on a terminal broken between words."""
    if not sys.stderr.isatty():
        return text
    width = max(shutil.get_terminal_size().columns, 40)
    wrapper = textwrap.TextWrapper(width, break_long_words=False, break_on_hyphens=False)
    return "\n".join(wrapper.fill(line) for line in f"{'_' * n_before}{text}".split("\n"))[n_before:]


def write_answer(text: str) -> None:
    """Write to stdout at once; on a terminal without control characters, which a model may write but not use."""
    click.echo(text.translate(_CONTROLS) if sys.stdout.isatty() else text, nl=False)


def forget_stdout() -> None:
    """Keep Python from failing once more on what stdout could not take."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
