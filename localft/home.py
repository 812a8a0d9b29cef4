"""localft's home: the folder of converted models, of tokens, and of whatever else need not be made twice."""

from __future__ import annotations

import os
from pathlib import Path

from localft.errors import ConfigError

HINT = "set LOCALFT_HOME to a folder that you may write"


def localft_home() -> Path:
    """Where localft keeps converted models: `LOCALFT_HOME`, else the platform's cache folder.

    Raises:
        ConfigError: the place depends on a user's home, and that is not known.
    """
    value = os.environ.get("LOCALFT_HOME")
    if not value:
        import platformdirs

        value = platformdirs.user_cache_dir("localft", appauthor=False)
    try:
        return Path(value).expanduser()
    except RuntimeError:  # `~` without HOME where the user is not listed, or `~somebody`
        raise ConfigError(f"there is no home folder for `{value}`", HINT) from None


def at_home(path: str) -> str:
    """A path or a name as it was given, but with `~` at its beginning as the home folder, where there is one."""
    if not path.startswith("~"):
        return path
    try:
        return str(Path(path).expanduser())
    except RuntimeError:
        return path
