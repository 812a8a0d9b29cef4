"""Keys, tokens and passwords in a text, found with detect-secrets and published prefixes; never shown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from detect_secrets.filters import heuristic
from detect_secrets.plugins.azure_storage_key import AzureStorageKeyDetector
from detect_secrets.plugins.base import RegexBasedDetector
from detect_secrets.plugins.basic_auth import BasicAuthDetector
from detect_secrets.plugins.jwt import JwtTokenDetector
from detect_secrets.plugins.keyword import KeywordDetector

from localft.curation.secret_patterns import DETECTORS, KEY_BLOCK, PLACEHOLDERS, PREFIX, PREFIXES

_BASE64_RUN = re.compile(r"[A-Za-z0-9+/=]{32,}")
# A "+" would be a character of a key that stands at the start of a line.
_MARKER = re.compile(r"^(> )?[+-]", re.MULTILINE)
_KEYWORD = KeywordDetector()
_MAY_ASSIGN = re.compile(r"(?:pass|pwd|token|secret|key|contrase).{0,80}?[=:(>'\"]", re.IGNORECASE)
_WINDOW, _OVERLAP = 4000, 400


class Finding(NamedTuple):
    """Where in a text a secret stands, and which kind it is."""

    start: int
    stop: int
    kind: str


def find_secrets(text: str, path: str = "", diff: bool = False) -> list[Finding]:
    """Secrets of a text in order, none overlapping another; where two claim a stretch, the one that starts first.

    Args:
        path: of the file that it is from, "" for prose: tells configuration files, where values need no quotes.
        diff: lines begin with "+" or "-", behind "> " where they are quoted.
    """
    if diff:
        text = _MARKER.sub(lambda match: f"{match[1] or ''} ", text)
    every = (*_private_keys(text), *_by_pattern(text), *_by_name(text, path))
    # equal stretches stay in this order: a pattern knows the kind better than the name of a variable does
    found = sorted(dict.fromkeys(every), key=lambda f: (f.start, -f.stop))
    apart: list[Finding] = []
    for finding in found:
        if not apart or finding.start >= apart[-1].stop:
            apart.append(finding)
        elif finding.stop > apart[-1].stop:
            apart[-1] = apart[-1]._replace(stop=finding.stop)
    return apart


def _private_keys(text: str) -> Iterator[Finding]:
    if "PRIVATE KEY" not in text and "PuTTY" not in text:
        return
    for match in KEY_BLOCK.finditer(text):
        # a header in a program that reads keys has no key behind it
        run = _BASE64_RUN.search(match["body"] or match["putty"])
        if not run:
            continue
        stop = match.end()
        if match["body"] and not match[0].endswith("-----"):
            *_, last = _BASE64_RUN.finditer(match["body"])
            stop = match.start("body") + last.end()
        yield Finding(match.start(), stop, "private key")


def _by_pattern(text: str) -> Iterator[Finding]:
    lowered = text.lower()
    for detector, kind, hints in DETECTORS:
        if not any(hint in lowered for hint in hints):
            continue
        for pattern in detector.denylist:
            for match in pattern.finditer(text):
                start, stop = _secret_span(match)
                if _holds(detector, text, match, start, stop):
                    yield Finding(start, stop, kind)
    for match in PREFIX.finditer(text):
        if not _is_placeholder(match[0]):
            yield Finding(match.start(), match.end(), PREFIXES[int((match.lastgroup or "p0")[1:])][0])


def _secret_span(match: re.Match[str]) -> tuple[int, int]:
    """The group that is the secret; the library also groups mere prefixes, such as "ghp"."""
    groups = [match.span(i) for i in range(1, (match.re.groups or 0) + 1) if match[i] and len(match[i]) > 3]
    start, stop = max(groups, key=lambda span: span[1] - span[0]) if groups else match.span()
    while start < stop and match.string[start] in " \t\n=:\"'":
        start += 1
    while stop > start and match.string[stop - 1] in " \t\n\"'":
        stop -= 1
    return start, stop


def _holds(detector: RegexBasedDetector, text: str, match: re.Match[str], start: int, stop: int) -> bool:
    """Whether a pattern's match is a secret after all."""
    value = text[start:stop]
    if isinstance(detector, BasicAuthDetector):
        return _is_password_of_url(text, match, value)
    if isinstance(detector, JwtTokenDetector):
        return detector.is_formally_valid(value) and value.count(".") == 2 and len(value) > 60
    before, after = text[max(0, start - 1) : start], text[stop : stop + 1]
    if (before + after).isalnum() or "\n" in value or heuristic.is_sequential_string(value):
        return False
    if isinstance(detector, AzureStorageKeyDetector):
        around = text[max(0, start - 80) : start].lower()
        return "accountkey" in around or "account_key" in around or "azure" in around
    return not _is_placeholder(value)


def _is_password_of_url(text: str, match: re.Match[str], value: str) -> bool:
    host = text[match.end() : match.end() + 60].lower()
    if host.startswith(("example.", "proxy.", "host", "...")) or ".example" in host.split("/")[0]:
        return False
    return len(value) >= 4 and not _is_placeholder(value) and value[0] not in "<{$%*[(" and "\\" not in value


def _by_name(text: str, path: str) -> Iterator[Finding]:
    """Values that are assigned to names such as `api_key` or `password` and look random."""
    filename = _config_name(path)
    stop = 0
    while match := _MAY_ASSIGN.search(text, stop):
        start = text.rfind("\n", 0, match.start()) + 1
        stop = text.find("\n", match.start()) + 1 or len(text)
        for at in range(start, stop, _WINDOW):
            yield from _assigned(text[at : min(stop, at + _WINDOW + _OVERLAP)].rstrip("\n"), at, filename)


def _assigned(line: str, offset: int, filename: str) -> Iterator[Finding]:
    for secret in _KEYWORD.analyze_line(filename=filename, line=line):
        value = secret.secret_value or ""
        if not _looks_random(value, line):
            continue
        kind = "password" if re.search(r"pass|pwd|contrase", line, re.IGNORECASE) else "token or key"
        at = line.find(value)
        while at >= 0:
            yield Finding(offset + at, offset + at + len(value), kind)
            at = line.find(value, at + len(value))


def _looks_random(value: str, line: str) -> bool:
    """A value that a person or a program made up: letters and digits mixed, no words, no path, no reference."""
    if len(value) < 8 or len(value) > 400 or any(c.isspace() for c in value) or _is_placeholder(value):
        return False
    if not (any(c.isdigit() for c in value) and any(c.isalpha() for c in value)) or value[0] in "<{$%[(":
        return False
    if re.search(r"[(){}<>\[\]]|://|^[\w-]+(?:\.[a-z_]\w*)+$", value) or len(set(value)) < 6:
        return False
    words = re.findall(r"[A-Za-z]{4,}", value)
    # names such as "llama2_tokenizer" are words with a number
    if sum(map(len, words)) > 0.7 * len(value) and re.fullmatch(r"[A-Za-z0-9]*(?:[-_. ][A-Za-z0-9]+)*", value):
        digits = sum(c.isdigit() for c in value)
        if digits <= 3 and not re.search(r"[a-z]\d+[a-z]|\d[A-Z]\d", value):
            return False
    references = heuristic.is_templated_secret(value), heuristic.is_indirect_reference(line)
    known = heuristic.is_sequential_string(value), heuristic.is_potential_uuid(value), heuristic.is_aws_arn(value)
    return not any((*references, *known))


def _is_placeholder(value: str) -> bool:
    return bool(PLACEHOLDERS.search(value))


def _config_name(path: str) -> str:
    """A name by which the library knows the file's kind; `.env` and its like are read as .ini."""
    name = path.rsplit("/", 1)[-1].lower()
    return "settings.ini" if re.search(r"^\.env|\.(?:env|cfg|conf|properties)$", name) else name
