"""Dates and times as the user gives them."""

from __future__ import annotations

import re
from datetime import date, datetime, timezone

from localft.errors import ConfigError


def parse_since(text: str) -> str:
    """A date, or a date and time, to the form that GitHub's times have: "2024-03-01T00:00:00Z".

    Raises:
        ConfigError: it is neither.
    """
    try:
        when = datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", text.strip()))
        when = when.replace(tzinfo=timezone.utc) if when.tzinfo is None else when
        return when.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError):
        hint = "give it as 2024-03-01, or with a time as 2024-03-01T12:00:00Z"
        raise ConfigError(f"`--since {text}` is no date", hint) from None


def parse_day(text: str) -> str:
    """A day, as 2024-03-01.

    Raises:
        ConfigError: it is none.
    """
    try:
        return date.fromisoformat(text.strip()).isoformat()
    except ValueError:
        raise ConfigError(f"`--as-of {text}` is no day", "give it as 2024-03-01") from None
