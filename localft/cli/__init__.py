"""The command line: one command per file, imported when it is called."""

from __future__ import annotations

import os
import sys

import click

from localft import __version__
from localft.cli.lazy import LazyGroup
from localft.errors import LocalftError

COMMANDS = {
    "convert": "Convert a Hugging Face checkpoint to GGUF.",
    "finetune": "Fine-tune a model with LoRA on your data.",
    "chat": "Talk to a model, with or without an adapter.",
    "bench": "Measure how fast this machine trains.",
    "data": "Make data, look at it and check it.",
    "doctor": "Show devices, memory, versions and where files live.",
}


@click.group(
    cls=LazyGroup, summaries=COMMANDS, package="localft.cli.", context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="localft")
def cli() -> None:
    """Fine-tune small language models on the machine in front of you.

    \b
    Examples:
      localft finetune --model demo --data my.jsonl
      localft chat --lora
    """


def print_error(error: LocalftError) -> None:
    """Write the message and its hint to stderr; what they quote from a file cannot steer the terminal."""
    from localft.visible import visible

    click.echo(click.style("error", fg="red", bold=True) + _broken(f": {visible(error.message)}", 5), err=True)
    if error.hint:
        click.echo("\n" + click.style("hint", fg="cyan") + _broken(f": {visible(error.hint)}", 4), err=True)


def _broken(text: str, n_before: int) -> str:
    """Text behind `n_before` columns, on a terminal broken between words."""
    if not sys.stderr.isatty():
        return text
    import shutil
    import textwrap

    width = max(shutil.get_terminal_size().columns, 40)
    wrapper = textwrap.TextWrapper(width, break_long_words=False, break_on_hyphens=False)
    return "\n".join(wrapper.fill(line) for line in f"{'_' * n_before}{text}".split("\n"))[n_before:]


def main() -> None:
    """Entry point of the `localft` program. Exit codes: 1 run-time error, 2 usage, 130 interrupt."""
    try:
        cli.main(standalone_mode=False)
    except LocalftError as error:
        print_error(error)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:
        forget_stdout()
        sys.exit(1)
    except OSError as error:
        if error.errno is None:
            raise
        if error.filename is None:
            forget_stdout()
        print_error(LocalftError(f"`{error.filename or 'output'}`: {error.strerror}"))
        sys.exit(1)


def forget_stdout() -> None:
    """Keep Python from failing once more on what stdout could not take."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
