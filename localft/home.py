"""localft's home: the folder of converted models, of tokens, and of whatever else need not be made twice."""

from __future__ import annotations

import os
from pathlib import Path


def localft_home() -> Path:
    """Where localft keeps converted models: `LOCALFT_HOME`, else the platform's cache folder."""
    value = os.environ.get("LOCALFT_HOME")
    if value:
        return Path(value).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("localft", appauthor=False))


def at_home(path: str) -> str:
    """A path or a name as it was given, but with `~` at its beginning as the home folder, where there is one."""
    if not path.startswith("~"):
        return path
    try:
        return str(Path(path).expanduser())
    except RuntimeError:
        return path
