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
    match = _NAME.fullmatch(text.strip())
    if match is None or match[2] in (".", ".."):
        raise ConfigError(f"`{text}` is no repository", "give it as owner/name")
    return Repository(match[1], match[2])
