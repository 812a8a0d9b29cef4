"""Keys, tokens and passwords in a text, found by their formats, by names, and where programs sign in; never shown."""

from __future__ import annotations

import re
from collections.abc import Iterator

from detect_secrets.plugins.azure_storage_key import AzureStorageKeyDetector
from detect_secrets.plugins.base import RegexBasedDetector

from localft.curation.secret_logins import of_logins
from localft.curation.secret_names import Finding, by_name
from localft.curation.secret_patterns import DETECTORS, FORMAT, FORMATS, KEY_BLOCK
from localft.curation.secret_values import is_odd, is_placeholder

_BASE64_RUN = re.compile(r"[A-Za-z0-9+/=]{32,}")
# characters before a key's first line, and of its last line with what stands between two in a program
_HEADERS, _BEHIND_KEY = 400, 120
# Every key has a long word in it, with little before and behind it: "https://hooks..." and its like are the longest.
_RUN = re.compile(r"\b[\w+/~-]{20,}", re.ASCII)
_BEFORE_RUN, _BEHIND_RUN = 60, 40
# What stands before a line that is quoted or added; a "+" would be a character of the key behind it.
_QUOTED = re.compile(r"^(?:> )?\+|^> ", re.MULTILINE)
_CHANGED = re.compile(r"^(?:> )?[+-]|^> ", re.MULTILINE)


def find_secrets(text: str, diff: bool = False) -> list[Finding]:
    """Secrets of a text in order, none overlapping another; where two claim a stretch, the one that starts first.

    Args:
        diff: lines begin with "+" or "-", behind "> " where they are quoted.
    """
    text = (_CHANGED if diff else _QUOTED).sub(lambda match: " " * len(match[0]), text)
    lowered = _lowered(text)
    every = (*_private_keys(text), *_by_format(text, lowered), *of_logins(text, lowered), *by_name(text, lowered))
    # equal stretches stay in this order: a format knows the kind better than the name of a variable does
    found = sorted(dict.fromkeys(every), key=lambda f: (f.start, -f.stop))
    apart: list[Finding] = []
    for finding in found:
        if not apart or finding.start >= apart[-1].stop:
            apart.append(finding)
        elif finding.stop > apart[-1].stop:
            apart[-1] = apart[-1]._replace(stop=finding.stop)
    return apart


def _lowered(text: str) -> str:
    """The text in small letters, each where it was: "İ" becomes two."""
    lowered = text.lower()
    return lowered if len(lowered) == len(text) else "".join(c.lower() if c < "\x80" else c for c in text)


def _private_keys(text: str) -> Iterator[Finding]:
    if "PRIVATE KEY" not in text and "PuTTY" not in text:
        return
    for match in KEY_BLOCK.finditer(text):
        body = "body" if match["body"] else "putty"
        length = _length_of_key(match[body])
        # a header in a program that reads keys has no key behind it
        if length:
            whole = body == "putty" or (match[0].endswith("-----") and len(match[body]) - length < _BEHIND_KEY)
            yield Finding(match.start(), match.end() if whole else match.start(body) + length, "private key")


def _length_of_key(body: str) -> int:
    """Up to where lines of base64 follow one another, behind a few lines of headers; 0 where none does."""
    stop = 0
    for run in _BASE64_RUN.finditer(body):
        if run.start() - stop > (_BEHIND_KEY if stop else _HEADERS):
            break
        stop = run.end()
    return stop


def _by_format(text: str, lowered: str) -> Iterator[Finding]:
    for detector, kind, hints in DETECTORS:
        if not any(hint in lowered for hint in hints):
            continue
        for pattern in detector.denylist:
            for match in pattern.finditer(text):
                start, stop = _secret_span(match)
                if _holds(detector, text, start, stop):
                    yield Finding(start, stop, kind)
    for start, stop in _long_words(text):
        for match in FORMAT.finditer(text, start, stop):
            # "A" stands at the beginning of some keys many times
            if is_odd(match[0]) and not is_placeholder(match[0].lstrip("A")):
                yield Finding(match.start(), match.end(), FORMATS[int((match.lastgroup or "f0")[1:])][0])


def _long_words(text: str) -> Iterator[tuple[int, int]]:
    """Stretches that may hold a key: at most one tenth of a program, and to look at the rest takes most of the time."""
    start = stop = 0
    for run in _RUN.finditer(text):
        if run.start() - _BEFORE_RUN > stop:
            yield start, stop
            start = run.start() - _BEFORE_RUN
        stop = run.end() + _BEHIND_RUN
    yield start, min(stop, len(text))


def _secret_span(match: re.Match[str]) -> tuple[int, int]:
    """The group that is the secret, without what stands around it."""
    start, stop = match.span(1) if match.re.groups and match[1] else match.span()
    while start < stop and match.string[start] in " \t\n=:\"'":
        start += 1
    while stop > start and match.string[stop - 1] in " \t\n\"'":
        stop -= 1
    return start, stop


def _holds(detector: RegexBasedDetector, text: str, start: int, stop: int) -> bool:
    """Whether a pattern's match is a secret after all."""
    value = text[start:stop]
    before, after = text[max(0, start - 1) : start], text[stop : stop + 1]
    if (before + after).isalnum() or "\n" in value or len(set(value)) < 8:
        return False
    if isinstance(detector, AzureStorageKeyDetector):
        around = text[max(0, start - 80) : start].lower()
        return ("accountkey" in around or "account_key" in around or "azure" in around) and not is_placeholder(value)
    return not is_placeholder(value)
