"""The program: its commands by name, and every way in which one can end."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable

import click

from localft import __version__
from localft.cli.data import COMMANDS as DATA_COMMANDS
from localft.cli.lazy import LazyGroup
from localft.cli.output import print_error
from localft.errors import LocalftError
from localft.screen.border import forget, guard, say

COMMANDS = {
    "convert": "Convert a Hugging Face checkpoint to GGUF.",
    "finetune": "Fine-tune a model with LoRA on your data.",
    "chat": "Talk to a model, with or without an adapter.",
    "bench": "Measure how fast this machine trains.",
    "data": "Make data, look at it and check it.",
    "doctor": "Show devices, memory, versions and where files live.",
}


def _with_dashes(name: str) -> str:
    """`--lora_rank` is `--lora-rank`."""
    return name.replace("_", "-")


@click.group(
    cls=LazyGroup,
    summaries=COMMANDS,
    package="localft.cli.",
    others=tuple(f"data {name}" for name in DATA_COMMANDS),
    context_settings={"help_option_names": ["-h", "--help"], "token_normalize_func": _with_dashes},
)
@click.version_option(__version__, prog_name="localft")
def cli() -> None:
    """Fine-tune small language models on the machine in front of you.

    \b
    Examples:
      localft finetune --model demo --data my.jsonl
      localft chat --lora
    """


def run(ready: Callable[[], object]) -> None:
    """Run the command that `sys.argv` names; its exit statuses are in docs/commands.md.

    Args:
        ready: called where an interrupt is met from then on.
    """
    try:
        ready()
        guard()
        cli.main(prog_name="localft", standalone_mode=False)
    except LocalftError as error:
        print_error(error)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        from localft.cli.usage import usage_error

        print_error(usage_error(error))
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        say("interrupted")
        sys.exit(130)
    except BrokenPipeError:
        forget()
        sys.exit(1)
    except OSError as error:
        if error.errno is None:
            raise
        print_error(_named(error))
        sys.exit(1)


def _named(error: OSError) -> LocalftError:
    """An error of the operating system as a sentence; one without a name is the output's, or the folder is gone."""
    code = error.errno or 0
    if error.filename is None and code == errno.ENOENT:
        return LocalftError("the folder that this was started in is not there any more", "go to one that is there")
    if error.filename is None:
        forget()
    return LocalftError(f"`{error.filename or 'output'}`: {error.strerror}", _hint(code))


def _hint(code: int) -> str:
    """What to do about an error of the operating system."""
    if code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "free some room there, or choose a place on another disk"
    if code in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "choose a place that you may read and write, or change its permissions"
    return "check that path and its disk, then try again"
