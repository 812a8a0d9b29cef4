"""The command line: one command per file, imported when it is called. It parses, calls one function, and prints.

Open `program.py` first, then `finetune.py`; the commands for data are in `data/`, and what several share is in
`output.py`, `progress_line.py` and `setting_options.py`. Nothing else is imported here: until `main` runs, Ctrl-C would
show where Python was.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from localft.cli.program import COMMANDS, cli

__all__ = ["COMMANDS", "cli", "main"]


def main() -> None:
    """Entry point of the `localft` program; see `localft.cli.program.run`."""
    import _signal as signal  # type: ignore[import-not-found]  # built in: `signal` itself takes a while to load

    def interrupted(*_: object) -> None:
        import os

        try:
            os.write(2, b"interrupted\n")
        finally:
            os._exit(130)

    heard = signal.getsignal(signal.SIGINT)
    early = heard is signal.default_int_handler
    if early:
        signal.signal(signal.SIGINT, interrupted)
        import atexit

        atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
    from localft.cli.program import run

    run(lambda: signal.signal(signal.SIGINT, heard) if early else None)


def __getattr__(name: str) -> Any:
    if name in ("COMMANDS", "cli"):
        from localft.cli import program

        return getattr(program, name)
    raise AttributeError(f"module 'localft.cli' has no attribute {name!r}")
