"""The access token: which variable it comes from, and the one place that it may be sent to."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field

from localft.errors import ConfigError

_GITHUB = ("GH_TOKEN", "GITHUB_TOKEN")
_ENTERPRISE = ("GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN")


@dataclass(frozen=True)
class Token:
    """A token and the variable that it stood in; its value is never shown."""

    value: str = field(repr=False)
    variable: str


def variables(host: str) -> tuple[str, str]:
    """The environment variables that hold a token for `host`, as GitHub's own `gh` reads them."""
    ours = host in ("github.com", "api.github.com") or host.endswith((".ghe.com", ".github.com"))
    return _GITHUB if ours else _ENTERPRISE


def find_token(host: str) -> Token | None:
    """The token for `host` from the environment. One that is meant for github.com is sent to no other host.

    Raises:
        ConfigError: the variable holds what cannot be a token.
    """
    for variable in variables(host):
        value = os.environ.get(variable, "").strip()
        if not value:
            continue
        if not re.fullmatch(r"[\x21-\x7e]+", value):
            hint = "a token is letters, digits and underscores, without spaces: copy it again"
            raise ConfigError(f"the variable {variable} holds no token", hint)
        return Token(value, variable)
    return None


def without_token(host: str) -> str:
    """What is said before the first request without one."""
    name = variables(host)[1]
    other = next((name for name in _GITHUB if os.environ.get(name)), None) if name not in _GITHUB else None
    if other:
        return f"{other} is for github.com and not sent to {host}; {name} would be"
    return f"without a token ({name}) GitHub allows 60 requests an hour, and shows public repositories only"
