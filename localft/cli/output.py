"""What several commands write: errors, and lines with a label in front."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterable

from localft.errors import LocalftError
from localft.screen.border import columns, say
from localft.visible import Styled, visible

_LABEL = 10


def echo_labelled(
    lines: Iterable[tuple[str, str]], loud: Collection[str] = ("note",), label: int = _LABEL, out: bool = False
) -> None:
    """Write labels and texts to stderr, a label that is repeated once; on a terminal broken between words.

    Args:
        loud: labels whose texts are yellow.
        label: cells of the labels' column.
        out: to stdout instead.
    """
    room = columns(out)
    width = max(room - label, 20) if room else 0
    wrapper = textwrap.TextWrapper(width, break_long_words=False, break_on_hyphens=False)
    before = ""
    for name, text in lines:
        shown = "" if name == before else name
        before = name or before
        for line in wrapper.wrap(visible(text)) if width else [visible(text)]:
            say(Styled(shown.ljust(label), dim=True), Styled(line, "yellow") if name in loud else line, out=out)
            shown = ""


def print_error(error: LocalftError) -> None:
    """Write the message and its hint to stderr; what they quote from a file cannot steer the terminal."""
    say(Styled("error", "red", bold=True), _broken(f": {visible(error.message)}", 5))
    if error.hint:
        say("\n", Styled("hint", "cyan"), _broken(f": {visible(error.hint)}", 4))


def _broken(text: str, n_before: int) -> str:
    """Text behind `n_before` columns, on a terminal broken between words."""
    width = columns()
    if width is None:
        return text
    wrapper = textwrap.TextWrapper(max(width, 40), break_long_words=False, break_on_hyphens=False)
    return "\n".join(wrapper.fill(line) for line in f"{'_' * n_before}{text}".split("\n"))[n_before:]
