"""Lines with a label in front, as the summaries of `localft data` have them."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Collection, Iterable

import click

from localft.visible import visible

_LABEL = 10


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
