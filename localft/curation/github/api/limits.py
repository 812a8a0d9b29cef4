"""GitHub's rate limits: what an answer's headers say about waiting."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

FIRST_WAIT = 60.0


@dataclass(frozen=True)
class Pause:
    """A wait that GitHub asks for: seconds, and why ("rate limit" or "secondary rate limit")."""

    seconds: float
    reason: str


def asked_pause(status: int, headers: Mapping[str, str], message: str, n_before: int, now: float) -> Pause | None:
    """The wait behind an answer that refuses; None where it is no rate limit.

    Follows docs.github.com, "Rate limits for the REST API": `retry-after`, else `x-ratelimit-reset` where
    nothing remains, else a minute that doubles every time.

    Args:
        status, headers, message: of the answer; the headers' names in lower case.
        n_before: limits met by this request before.
        now: this machine's clock, epoch seconds.
    """
    if status not in (403, 429):
        return None
    seconds = _number(headers.get("retry-after"))
    if seconds is not None:
        return Pause(seconds, "secondary rate limit")
    spent = spent_pause(headers, now)
    if spent:
        return spent
    if status == 429 or "rate limit" in message.lower():
        return Pause(FIRST_WAIT * 2**n_before, "secondary rate limit")
    return None


def spent_pause(headers: Mapping[str, str], now: float) -> Pause | None:
    """The wait until the hour's requests are given anew, where an answer says that none is left."""
    reset = _number(headers.get("x-ratelimit-reset"))
    if headers.get("x-ratelimit-remaining") != "0" or reset is None:
        return None
    return Pause(max(0.0, reset - server_time(headers, now)) + 1, "rate limit")


def server_time(headers: Mapping[str, str], now: float) -> float:
    """GitHub's clock in epoch seconds, because this machine's may be wrong; `now` where the answer has no date."""
    try:
        return parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, ValueError, OverflowError):
        return now


def wait_words(seconds: float, now: float) -> str:
    """ "3:12, until 14:32"."""
    whole = round(seconds)
    until = time.strftime("%H:%M", time.localtime(now + min(seconds, 1e9)))
    hours, minutes = divmod(whole // 60, 60)
    clock = f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
    return f"{clock}, until {until}"


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() and len(text) <= 12 else None
