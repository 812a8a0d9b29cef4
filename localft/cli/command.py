"""A Click command that says which flag a word was meant for that stands on the command line without one."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from localft.errors import ConfigError

DATA_SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".txt", ".md", ".parquet", ".gz", ".zst", ".xz", ".bz2")
REPEATABLE = "--data"


class Command(click.Command):
    """As Click's, but words too many are answered with the command that they would be right in."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given = list(args)
        ctx.allow_extra_args = True
        try:
            over = super().parse_args(ctx, args)
        except click.UsageError as error:
            error.ctx = error.ctx or ctx
            raise
        if over and not ctx.resilient_parsing:
            words = ", ".join(f"`{word}`" for word in over)
            raise ConfigError(f"`{ctx.command_path}` has no place for {words}", self._hint(ctx, given, over))
        return over

    def _hint(self, ctx: click.Context, given: Sequence[str], over: Sequence[str]) -> str:
        meant = ["--help"] if over[0] == "help" else self._with_flags(given, over)
        if not meant:
            return f"`{ctx.command_path} --help` shows its use"
        return f"did you mean `{shlex.join([*ctx.command_path.split(), *meant])}`?"

    def _with_flags(self, given: Sequence[str], over: Sequence[str]) -> list[str]:
        """The arguments as they would be understood; none: nobody can tell."""
        known = {option for param in self.params for option in param.opts}
        taken = {word.partition("=")[0] for word in given} & known
        added: list[str] = []
        for i, word in enumerate(over):
            open_flags = (flag for flag in _flags(word) if flag in known and (flag not in taken or flag == REPEATABLE))
            flag = next(open_flags, None)
            if flag is None:
                return []
            taken.add(flag)
            if flag == "--prompt":
                whom = [] if taken & {"--lora", "--model"} else ["--lora"]
                added += [*whom, flag, " ".join(over[i:])]
                break
            added += [flag, word]
        return [*_without(given, over), *added]


def _flags(word: str) -> Iterator[str]:
    """The flags that a word may be the value of, the likeliest first."""
    from localft.model.card import load_cards
    from localft.run.folder import CONFIG

    path = Path(word)
    if " " in word.strip():
        yield "--prompt"
    elif word.endswith(".gguf"):
        yield from ("--lora", "--model") if "adapter" in path.name or "lora" in path.name else ("--model", "--lora")
    elif (path / "metrics.jsonl").exists():
        yield "--lora"
    elif word in load_cards() or (path / CONFIG).is_file():
        yield "--model"
    elif path.exists() or word.endswith(DATA_SUFFIXES) or word.startswith(("hf:", "http://", "https://")):
        yield "--data"
    elif "/" in word:
        yield "--model"
    yield "--prompt"


def _without(given: Sequence[str], over: Sequence[str]) -> list[str]:
    """The arguments without the words too many; where an option's value is the same word, the last is one of these."""
    left = list(given)
    for word in reversed(over):
        del left[len(left) - 1 - left[::-1].index(word)]
    return left
