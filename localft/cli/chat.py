"""`localft chat`: one answer on stdout, or a conversation."""

from __future__ import annotations

import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from localft.cli.command import Command
from localft.cli.given import given, refuse_idle
from localft.cli.parameters import complete_model, complete_path, complete_run
from localft.cli.progress_line import ProgressLine
from localft.cli.setting_options import NEWEST
from localft.errors import ConfigError
from localft.home import at_home
from localft.screen.border import columns, put, say, speech

if TYPE_CHECKING:
    from localft.chat import ChatSession


@click.command(cls=Command, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--lora",
    is_flag=False,
    flag_value=NEWEST,
    metavar="[RUN|FILE]",
    shell_complete=complete_run,
    help="Use an adapter: a run's folder or an adapter file; without a value the newest run under ./runs.",
)
@click.option("--last", is_flag=True, help="Use the run's last adapter, not the one with the best validation loss.")
@click.option(
    "--model",
    metavar="MODEL",
    shell_complete=complete_model,
    help="Base model: a card's name, a folder, a repo id or a .gguf file. [default: the adapter's]",
)
@click.option("--prompt", metavar="TEXT", help="Print one answer on stdout and leave; - reads the prompt from stdin.")
@click.option("--system", metavar="TEXT", help="System message, for formats that have one.")
@click.option("--temp", type=float, default=0.0, show_default=True, help="Temperature; 0 is greedy.")
@click.option(
    "--top-p", type=float, default=0.95, show_default=True, help="Sample from this share of probability; 1 is off."
)
@click.option("--top-k", type=int, default=40, show_default=True, help="Sample from at most so many tokens; 0 is off.")
@click.option(
    "--max-tokens",
    type=int,
    default=512,
    show_default=True,
    help="Tokens per answer; 0 goes on until the context is full.",
)
@click.option("--seed", type=int, default=42, show_default=True, help="Seed of the sampler.")
@click.option("--ctx", type=int, help="Tokens of context. [default: the model's, at most 4096]")
@click.option(
    "--stop", multiple=True, metavar="TEXT", help="End answers before this text; can be given more than once."
)
@click.option(
    "--adapter-scale", type=float, default=1.0, show_default=True, help="Strength of the adapter; 0 is the base model."
)
@click.option("--raw", is_flag=True, help="Continue the prompt as it stands.")
@click.option(
    "--template",
    shell_complete=complete_path,
    metavar="KIND|FILE",
    help="Format prompts as chat, alpaca, completion, messages or raw, or by a Jinja file. [default: as in training]",
)
@click.option("--threads", type=int, help="CPU threads. [default: physical cores, 1 for a small model]")
def command(**options: Any) -> None:
    """Talk to a model, with or without an adapter.

    \b
    Examples:
      localft chat --lora                          the newest run
      localft chat --lora runs/my-run --prompt "Hello"
      localft chat --model demo
      localft chat --model M.gguf --lora A.gguf --temp 0 --prompt "Once upon a time"
    """
    prompt = options.pop("prompt")
    session = open_session(options)
    try:
        idle = given("seed", "top_p", "top_k") if session.sampling.temp == 0 else []
        for note in (*session.notes, *(f"{flag} changes nothing: --temp 0 is greedy" for flag in idle)):
            say(f"note: {note}")
        if prompt is None:
            from localft.cli.chat_repl import converse

            converse(session)
        else:
            answer_once(session, _read_prompt(prompt))
    finally:
        session.close()


def open_session(options: dict[str, Any]) -> ChatSession:
    """Find base model, adapter and prompt format, and load them.

    Raises:
        LocalftError: see `localft.chat.target.find_target` and `ChatSession`.
    """
    from localft.chat import ChatSession
    from localft.chat.target import find_target
    from localft.model.probe import usable_gguf

    if options["raw"] and options["template"]:
        raise ConfigError("`--raw` and `--template` contradict each other", "leave one of them out")
    lora, model, last = options.pop("lora"), options.pop("model"), options.pop("last")
    if lora is None:
        refuse_idle(("adapter_scale",), "has no meaning without an adapter", "leave it out, or add --lora")
    with closing(ProgressLine()) as line:
        newest = lora == NEWEST
        target = find_target(lora, model, newest=newest, last=last, progress=line.say, report=line.report)
        usable_gguf(target.model, line.report)
    return ChatSession(
        target.model,
        target.adapter,
        n_ctx=options.pop("ctx"),
        n_threads=options.pop("threads"),
        template=at_home(options.pop("template") or "") or target.template,
        **options,
    )


def _read_prompt(prompt: str) -> str:
    return sys.stdin.read().removeprefix("\ufeff") if prompt == "-" else prompt


def answer_once(session: ChatSession, prompt: str) -> None:
    """Stream one answer to stdout; what the user should know about its end goes to stderr."""
    goes_on = session.template.kind == "raw" and columns() is not None
    if goes_on:
        with speech(out=False, wrapped=False) as echo:
            echo(prompt)
    last = ""
    with speech(wrapped=not goes_on) as write:
        for piece in session.ask(prompt):
            write(piece)
            last = piece
    if not last.endswith("\n"):
        put("")
    if session.stop_reason == "context":
        say(f"note: the context of {session.n_ctx} tokens is full; the answer stops here")
