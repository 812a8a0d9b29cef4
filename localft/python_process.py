"""Modules of localft in a process of their own, which imports nothing from the folder that localft is started in."""

from __future__ import annotations

import sys

# `python -m` and `python -c` look for every import in the working directory first: it may hold a stranger's files.
_START = (
    "import sys; sys.path[:] = sys.argv.pop(1).split('\\n'); import runpy; "
    "runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
)


def module_command(module: str, *arguments: str) -> list[str]:
    """The command that runs a module with this process's own import path.

    Args:
        module: its dotted name.
        arguments: for its `sys.argv`.
    """
    return [sys.executable, "-c", _START, "\n".join(filter(None, sys.path)), module, *arguments]
