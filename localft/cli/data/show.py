"""`localft data show`: rows as the model will see them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from localft.addresses import without_secrets
from localft.cli.command import Command
from localft.cli.data import options
from localft.cli.data.piped import piped
from localft.cli.given import refuse_idle
from localft.cli.parameters import UserPath, complete_model, complete_path
from localft.cli.setting_options import setting_option
from localft.home import at_home

if TYPE_CHECKING:
    from localft.inspect.show.token_spans import Shown

HELP = """Show rows as the model will see them: what is supervised (learned), special tokens, where answers end.

DATA is a file, a folder or an address, as for `localft finetune --data`, or - for what is piped to it; of a folder its
training rows are shown. Supervised text is green on a terminal and stands between « and » elsewhere. Special tokens are
marked where they are real, not where characters only look like them. The model has to be on this machine.

\b
Examples:
  localft data show my.jsonl --model demo
  localft data show my.jsonl --model demo --row 17 --tokens
  localft data show my.jsonl --model demo --random
  localft data show my.jsonl --model demo --html rows.html
"""
_FEW, _PAGE = 3, 100


@click.command(
    "show", cls=Command, help=HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.argument("data", shell_complete=complete_path)
@click.option(
    "--model",
    required=True,
    metavar="MODEL",
    shell_complete=complete_model,
    help="A card's name, a repo id, a folder, or a .gguf file.",
)
@click.option("--row", "rows", type=int, multiple=True, metavar="N", help="Row N, from 1; may be given more than once.")
@click.option("--random", "at_random", is_flag=True, help="Rows chosen at random.")
@click.option("--seed", type=int, metavar="N", help="Of --random: the same rows every time.")
@click.option("-n", "--number", type=click.IntRange(1), metavar="N", help="So many rows. [default: 3, in a page 100]")
@click.option("--tokens", is_flag=True, help="Show where each token begins.")
@click.option("--html", type=UserPath(dir_okay=False), metavar="FILE", help="Write a page to FILE.")
@options.force
@setting_option("train_on_prompt", default=False)
@setting_option("prompt_column")
@setting_option("answer_column")
@setting_option("sample_start")
@click.option("--template", metavar="NAME", help="Format of the rows, in place of the model's own.")
@setting_option("raw", default=False)
@setting_option("allow_expansion", default=False)
def command(
    data: str,
    model: str,
    rows: tuple[int, ...],
    at_random: bool,
    seed: int | None,
    number: int | None,
    tokens: bool,
    html: Path | None,
    force: bool,
    **flags: Any,
) -> None:
    from localft.outputs import require_replaceable
    from localft.screen.border import say

    data = at_home(data)
    if not at_random:
        refuse_idle(("seed",), "chooses rows with --random alone")
    if rows:
        refuse_idle(("number", "at_random"), "has no meaning beside --row", "leave one of them out")
    if html:
        refuse_idle(("tokens",), "has no meaning in a page: it shows tokens where its box is ticked")
        require_replaceable(html, force=force)
    seed = (int.from_bytes(os.urandom(4), "little") if seed is None else seed) if at_random else None
    with piped([data]) as ((path,), named):
        shown = _read(path, model, rows, number or (_PAGE if html else _FEW), seed, **flags)
    shown.rows[:] = [replace(row, source=named(row.source), error=named(row.error)) for row in shown.rows]
    data = named(without_secrets(path))
    if html:
        _write(html, data, model, shown, force)
    else:
        _print(shown, tokens)
    if shown.n_problems:
        lines = "line" if shown.n_problems == 1 else "lines"
        say(f"{shown.n_problems:,} {lines} cannot be used: `localft data check {data}` lists them")


def _read(
    data: str,
    model: str,
    rows: tuple[int, ...],
    number: int,
    seed: int | None,
    train_on_prompt: bool,
    prompt_column: str | None,
    answer_column: str | None,
    sample_start: str | None,
    template: str | None,
    raw: bool,
    allow_expansion: bool,
) -> Shown:
    from localft.cli.progress_line import progress_line
    from localft.data.reading.sources import find_sources
    from localft.data.rows.row import Columns
    from localft.data.tokens.run_wording import RunWording
    from localft.inspect.show.token_spans import read_shown
    from localft.model.local_base import local_base
    from localft.model.tokenizer import Tokenizer

    with progress_line() as report:
        template = at_home(template) if template else None
        (part,) = find_sources([data], report=report, allow_expansion=allow_expansion).parts
        base = local_base(model, report)
    wording = RunWording(Tokenizer(base), template, raw, None, train_on_prompt)
    try:
        return read_shown(part, wording, rows, number, seed, sample_start, Columns(prompt_column, answer_column))
    finally:
        wording.tokenizer.close()


def _print(shown: Shown, tokens: bool) -> None:
    from localft.inspect.show.terminal import Ink, lines
    from localft.screen.border import has_colours, say
    from localft.visible import readable

    ink = Ink(has_colours(out=True), tokens)
    say(*ink.legend(), "\n", out=True)
    for row in shown.rows:
        say(*lines(row, ink), "\n", out=True, clean=readable)


def _write(html: Path, data: str, model: str, shown: Shown, force: bool) -> None:
    from localft.inspect.show.page import page
    from localft.outputs import write_output
    from localft.screen.border import put, say

    numbers = {row.number for row in shown.rows}
    facts = (f"{len(numbers):,} of {shown.n_rows:,} rows, as {model} will see them",)
    write_output(html, page(data, facts, shown.rows), force)
    put(str(html))
    say(f"a page for a browser: {facts[0]}; --row, --random and -n choose")
