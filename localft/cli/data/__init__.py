"""`localft data`: making data, looking at it and checking it, one command per file.

Options that several of them take are in `options.py`.
"""

from __future__ import annotations

import click

from localft.cli.lazy import LazyGroup

COMMANDS: dict[str, str] = {
    "build": "Turn code, docs and git history into rows.",
    "synth": "Turn rows into questions and answers.",
    "split": "Keep a test set of whole documents apart.",
    "check": "Look through data before a run: problems, tokens, time, leakage.",
    "github": "Turn a repository's pull requests and issues into rows.",
    "show": "Show rows as the model will see them.",
}


@click.group(
    cls=LazyGroup,
    summaries=COMMANDS,
    package="localft.cli.data.",
    others=("finetune", "chat", "convert", "bench", "doctor"),
    context_settings={"help_option_names": ["-h", "--help"]},
)
def command() -> None:
    """Make data, look at it and check it."""
