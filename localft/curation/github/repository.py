"""Which repository."""

from __future__ import annotations

import re
from dataclasses import dataclass

from localft.errors import ConfigError

_NAME = re.compile(r"(?:https://github\.com/)?([A-Za-z0-9][A-Za-z0-9-]{0,99})/([\w.-]{1,100}?)(?:\.git)?/?", re.ASCII)


@dataclass(frozen=True)
class Repository:
    """A repository by its owner and name, spelled as the user did."""

    owner: str
    name: str

    def __str__(self) -> str:
        return f"{self.owner}/{self.name}"


def parse_repository(text: str) -> Repository:
    """ "owner/name", or the address of its page on github.com.

    Raises:
        ConfigError: it is neither.
    """
    found = repository_named(text.strip())
    if found is None:
        raise ConfigError(f"`{text[:80]}` is no repository", "give it as owner/name")
    return found


def repository_named(text: str) -> Repository | None:
    """The repository that a text names; None where it names none."""
    match = _NAME.fullmatch(text)
    return Repository(match[1], match[2]) if match and match[2] not in (".", "..") else None
