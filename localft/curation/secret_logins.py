"""Passwords and tokens where a program signs in: addresses, headers, commands, and the files that keep logins."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

from localft.curation.secret_names import Finding
from localft.curation.secret_values import decoded, is_made_up, is_typed


class _Way(NamedTuple):
    """A way of signing in.

    Attributes:
        hint: what it begins with, in small letters.
        pattern: the whole of it; its group is the password or the token.
        holds: whether that is one after all.
        kind: its name in rows and tables.
    """

    hint: str
    pattern: re.Pattern[str]
    holds: Callable[[str], bool]
    kind: str


def _is_password(value: str) -> bool:
    return is_made_up(value) or is_typed(value)


def _is_token(value: str) -> bool:
    return is_made_up(value, n_odd=4)


def _is_login(value: str) -> bool:
    """Whether a value is `user:password` in base64."""
    _, colon, password = decoded(value).partition(":")
    return bool(colon) and _is_password(password)


def _ways() -> Iterator[_Way]:
    word, quoted, user = r"[^\s\"'`\\<>,:;&|(){}\[\]]", r"[\"']([^\s\"'`\\]{6,200})[\"']", r"[\w.@+-]{1,60}"
    gap, quote, base64 = r"[ \t]{0,4}", r"\\?[\"'`]", r"[A-Za-z0-9+/]{8,4000}={0,2}"
    password, token = f"({word}{{6,200}})", f"({word}{{8,4000}})"
    pair = rf"[ =]{{0,4}}[\"']?[\w.@+%-]{{0,60}}:{password}"
    option = rf"[^\n|;]{{0,100}}?[ \t]-[pawP][ ]{{0,2}}[\"']?{password}"
    for hints, rest, holds, kind in (
        (("bearer",), rf"[ \t]{{1,4}}{token}", _is_token, "token or key"),
        (("basic",), rf"[ \t]{{1,4}}({base64})", _is_login, "password"),
        (
            ("authorization",),
            rf"{quote}?{gap}[:=,]{gap}(?:{quote})?(?:[\w-]{{1,20}}[ \t=]{{1,4}})?{token}",
            _is_token,
            "token or key",
        ),
        (("-u", "--user", "--proxy-user"), pair, _is_password, "password"),
        (("mysql", "mariadb", "mongo", "redis-cli", "sshpass", "docker login"), option, _is_password, "password"),
        # a line of .pgpass
        ((":5432:", ":*:"), rf"[\w.*-]{{1,60}}:[\w.*-]{{1,60}}:{password}", _is_password, "password"),
        # Docker's and npm's logins
        (("auth",), rf"{quote}?{gap}[:=]{gap}(?:{quote})?({base64})", _is_login, "password"),
        (
            ("auth", "getconnection"),
            rf"{gap}[=:(][^\n\"']{{0,60}}[\"']{user}[\"'],{gap}{quoted}",
            _is_password,
            "password",
        ),
        (("identified by",), rf"{gap}{quoted}", _is_password, "password"),
        (("?sig=", "&sig=", ";sig="), r"([\w%+/-]{40,200}={0,2})", is_made_up, "signed url"),
    ):
        for hint in hints:
            yield _Way(hint, re.compile(f"(?i:{re.escape(hint)}){rest}"), holds, kind)


_WAYS = tuple(_ways())
_PART = r"[^\s:/?#@\"'`<>{}\\]"
_ADDRESS = re.compile(rf"://(?P<user>{_PART}{{0,300}})(?::(?P<password>{_PART}{{4,300}}))?@(?P<host>[\w.-]{{1,200}})")
_NO_HOST = re.compile(r"(?:^|\.)example(?:\.|$)|^(?:proxy\.|host\b|hostname\b|\.\.\.)", re.IGNORECASE)
_SECRET_OBJECT = re.compile(r"^[ \t]{0,40}kind:[ \t]{0,4}[\"']?Secret\b", re.MULTILINE)
_END_OF_OBJECT = re.compile(r"^[ \t]{0,40}(?:---|```|\"\"\")", re.MULTILINE)
_DATA = re.compile(
    r"^([ \t]{0,40})(?:stringData|data):[ \t]{0,40}\n((?:\1[ \t]{1,40}\S[^\n]{0,20000}(?:\n|\Z))+)", re.MULTILINE
)
_ENTRY = re.compile(r"^[ \t]{1,80}[\"']?[\w.-]{1,200}[\"']?:[ \t]{1,4}[\"']?([^\s\"'#|>{}]{8,20000})", re.MULTILINE)


def of_logins(text: str, lowered: str) -> Iterator[Finding]:
    """Passwords and tokens of every way of signing in.

    Args:
        lowered: the text in small letters, of the same length.
    """
    for way in _WAYS:
        at = lowered.find(way.hint)
        while at >= 0:
            match = way.pattern.match(text, at)
            if match and way.holds(match[1]):
                yield Finding(*match.span(1), way.kind)
            at = lowered.find(way.hint, at + len(way.hint))
    yield from _of_addresses(text)
    if "kind:" in text:
        yield from _of_secret_objects(text)


def _of_addresses(text: str) -> Iterator[Finding]:
    """The password in an address, and a key in the place of its user; a user of SSH has none."""
    at = text.find("://")
    while at >= 0:
        match = _ADDRESS.match(text, at)
        if match and not _NO_HOST.search(match["host"]):
            if len(match["user"]) > 15 and _is_token(match["user"]) and not text.endswith("ssh", 0, at):
                yield Finding(*match.span("user"), "password in a url")
            if match["password"] and _is_password(match["password"]):
                yield Finding(*match.span("password"), "password in a url")
        at = text.find("://", at + 3)


def _of_secret_objects(text: str) -> Iterator[Finding]:
    """The values of Kubernetes' Secret objects, in base64 or plain."""
    ends = [0, *(match.start() for match in _END_OF_OBJECT.finditer(text)), len(text)]
    for start, stop in pairwise(ends):
        if not _SECRET_OBJECT.search(text, start, stop):
            continue
        for data in _DATA.finditer(text, start, stop):
            for match in _ENTRY.finditer(text, *data.span(2)):
                if _is_password(decoded(match[1]) or match[1]):
                    yield Finding(*match.span(1), "password")
