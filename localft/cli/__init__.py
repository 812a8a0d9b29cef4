"""The command line: one command per file, imported when it is called. It parses, calls one function, and prints.

Open `finetune.py` first; the commands for data are in `data/`, and what several share is in `output.py`,
`progress_line.py` and `setting_options.py`.
"""

from __future__ import annotations

import errno
import sys

import click

from localft import __version__
from localft.cli.data import COMMANDS as DATA_COMMANDS
from localft.cli.lazy import LazyGroup
from localft.cli.output import print_error
from localft.errors import LocalftError
from localft.screen.border import forget_stdout, guard, say

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


def main() -> None:
    """Entry point of the `localft` program; its exit statuses are in docs/commands.md."""
    guard()
    try:
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
        forget_stdout()
        sys.exit(1)
    except OSError as error:
        if error.errno is None:
            raise
        if error.filename is None:
            forget_stdout()
        print_error(LocalftError(f"`{error.filename or 'output'}`: {error.strerror}", _hint(error.errno)))
        sys.exit(1)


def _hint(code: int) -> str:
    """What to do about an error of the operating system."""
    if code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "free some room there, or choose a place on another disk"
    if code in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "choose a place that you may read and write, or change its permissions"
    return "check that path and its disk, then try again"
