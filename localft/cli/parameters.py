"""What an option takes as its value: a path with `~`, and what a shell offers when its user presses the tab key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from localft.home import at_home

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]
FILES = CompletionItem("", type="file")


class UserPath(click.Path):
    """A path in which `~` is the home folder, also behind `=`, where shells leave it as it is."""

    def __init__(self, **limits: Any) -> None:
        super().__init__(path_type=Path, **limits)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return super().convert(at_home(value) if isinstance(value, str) else value, param, ctx)


def complete_model(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
    """The cards' names, and files where none begins so."""
    from localft.model.card import load_cards

    cards = load_cards().values()
    return [FILES, *(CompletionItem(card.name, help=card.description) for card in cards if card.name.startswith(begun))]


def complete_run(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
    """Runs under ./runs, the newest first, and files where none begins so."""
    from localft.run.folder import all_runs

    names = [str(run.folder) for run in reversed(all_runs())]
    return [FILES, *(CompletionItem(name) for name in names if name.startswith(begun))]


def complete_path(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
    """Files and folders."""
    return [CompletionItem(begun, type="file")]


def complete_words(words: tuple[str, ...]) -> Completer:
    """Those of `words` that begin as the value does."""
    return lambda _, __, begun: [CompletionItem(word) for word in words if word.startswith(begun)]
