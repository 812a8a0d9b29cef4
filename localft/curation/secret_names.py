"""Values that stand behind a telling name, such as `api_key` or `password`, however they are written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from localft.curation.secret_values import is_made_up, is_passphrase, is_typed


class Finding(NamedTuple):
    """Where in a text a secret stands, and which kind it is."""

    start: int
    stop: int
    kind: str


_TAIL = r"(?![a-z])(?P<tail>[\w-]{0,30})"
# what a name has in small letters, and the whole name from there on
_NAMES = tuple(
    (core, re.compile(rf"(?i:{name}){_TAIL}"), kind)
    for core, name, kind in (
        ("pass", r"pass(?:w(?:or)?[dt]|phrase|code)?", "password"),
        ("pwd", r"pwd", "password"),
        ("pw", r"(?:(?<![a-z])|(?<=bind)|(?<=root))pw", "password"),
        ("psk", r"(?<![a-z])psk", "password"),
        ("masterauth", r"masterauth", "password"),
        ("contrase", r"contrase(?:n|ñ)a", "password"),
        ("token", r"token(?:value)?", "token or key"),
        ("secret", r"secret(?:key|access)?", "token or key"),
        ("credential", r"credentials?", "token or key"),
        ("key", r"key", "token or key"),
    )
)
_KEY_OF = re.compile(
    r"(?:api|auth|access|account|admin|app|application|client|consumer|database|db|deploy|encryption|licen[cs]e|master"
    r"|priv|private|project|recaptcha|secret|server|service|session|shared|sign|signing|storage|subscription|webhook)"
    r"[_. -]?$|(?-i:\b[A-Z][A-Z0-9_]*_$)",
    re.IGNORECASE,
)
# names of what is no secret itself, such as a token's type or the file that holds a password
_ABOUT = re.compile(
    r"(?:name|file|path|dir|ur[li]|endpoint|type|ids?|field|prefix|suffix|len(?:gth)?|size|count|index|hash|digest|regex"
    r"|pattern|format|expir\w*|ttl|version|arn|header|store|ref|policy|class\w*|provider|alg\w*|label|hint|config|model|layer)s?$",
    re.IGNORECASE,
)
# what everybody may know, what ties a form or a request to a page or makes it one of a kind (AWS's ClientToken), names
# of resources, and other words with "pass"
_OPEN = re.compile(
    r"(?:(?:public|[cx]srf|next|page|pagination|continuation|change|lock|idempotency|sync)[_. -]?(?:key[_. -]?)?"
    r"|(?-i:(?:\b|_)(?:Client|(?:Client)?Request))|[\w-]:|\b(?:buy|by|com|sur|tres|over))$",
    re.IGNORECASE,
)
_LEAST = {"password": 8, "token or key": 12}
# what closes a name: the quote or the bracket that it stands in
_CLOSED = r"\\{0,3}[\"'`\])]{0,3}"
_TYPE = r"(?::[ \t]{0,4}[\w&<>\[\].?* ]{1,30})?"
_ASSIGNED = rf"{_TYPE}(?:[:=!]?={{1,3}}>?|:-?|,|\(|\|\||\?\?)[\s(\\]{{0,80}}"
# `"name": "API_KEY", "value": …`, and what a call makes of the value
_VALUE = r"(?:[\"']?[vV]alue[\"']?[ \t]{0,4}[:=][ \t]{0,4})?(?:[\w.:!]{1,40}\()?"
_BELOW = r"\n[ \t]{0,80}value:[ \t]{0,20}|\{[^{}]{0,200}?default\s{0,9}=\s{0,9}"
_QUOTED = re.compile(
    rf"{_CLOSED}[ \t]{{0,20}}(?:{_ASSIGNED}{_VALUE}|(?:is|was)[ \t]|value=|{_BELOW})?[rbufL@]{{0,2}}"
    r"\\{0,3}(?P<quote>[\"'`])(?P<value>[^\s\"'`\\<>]{8,4000})\\{0,3}(?P=quote)"
)
# what stands between a name and the value that it is set to
_SET = re.compile(rf"{_CLOSED}[ \t]{{0,20}}(?::[ \t]{{0,4}}\w{{1,20}}[ \t]{{0,4}})?(?::=|=>|[:=])[ \t]{{0,20}}[rbuf]?")
_CONTINUED = re.compile(
    r"[ \t]{0,40}(?:[+.\\][ \t]{0,40})?\n?[ \t]{0,40}(?:[+.][ \t]{0,40})?[\"'](?P<value>[^\s\"'`\\<>]{6,4000})[\"']"
)
_BARE = re.compile(
    rf"{_CLOSED}(?:(?:</key|[^<>\n]{{0,60}})>\s{{0,80}}<(?:string|value)>"
    r"|[ \t]{0,20}(?::=|=>|:-|[:=])[ \t]{0,20}(?:[>|][-+]?[ \t]{0,20})?(?:\\?\n[ \t]{0,80})?"
    r"|>|[ \t]{1,20}(?:(?:is|was)[ \t])?|\n[ \t]{0,80}(?=value:))(?:value:[ \t]{0,4})?"
    # looked ahead at, so that it is never tried shorter than it is
    r"(?=(?P<value>[^\s\"'`\\<>,;&|(){}\[\]]{8,400}))"
)
_REST = re.compile(r"[^\s\"'`\\<>,;&|(){}\[\]]{0,8000}")


def by_name(text: str, lowered: str) -> Iterator[Finding]:
    """Values behind a telling name that look made up.

    Args:
        lowered: the text in small letters, of the same length.
    """
    for core, name, kind in _NAMES:
        at = lowered.find(core)
        while at >= 0:
            found = name.match(text, at)
            if found and _is_telling(core, text[max(0, at - 24) : at], found["tail"]):
                is_password = not found["tail"] and found[0].lower().endswith(("password", "passwd", "pwd"))
                yield from _quoted(text, found.end(), kind, is_password)
                yield from _bare(text, found.end(), kind)
            at = lowered.find(core, at + len(core))


def _is_telling(core: str, before: str, tail: str) -> bool:
    """Whether a name is one of secrets: "key" says too little, and a secret's type or file is none."""
    return (core != "key" or bool(_KEY_OF.search(before))) and not _ABOUT.search(tail) and not _OPEN.search(before)


def _quoted(text: str, at: int, kind: str, is_password: bool) -> Iterator[Finding]:
    """A value in quotes, or the parts of one that is written in several.

    Args:
        is_password: the name says that it is one, so that what it is set to may be words.
    """
    match = _QUOTED.match(text, at)
    if not match:
        return
    spans, more = [match.span("value")], _CONTINUED.match(text, match.end())
    while more and len(spans) < 100:
        spans.append(more.span("value"))
        more = _CONTINUED.match(text, more.end())
    value = "".join(text[start:stop] for start, stop in spans)
    words = is_password and _SET.fullmatch(text, at, match.start("quote")) and is_passphrase(value)
    if words or _holds(value, kind, n_odd=3):
        for start, stop in spans:
            yield Finding(start, stop, kind)


def _holds(value: str, kind: str, n_odd: int) -> bool:
    return (kind == "password" and is_typed(value)) or (len(value) >= _LEAST[kind] and is_made_up(value, n_odd))


def _bare(text: str, at: int, kind: str) -> Iterator[Finding]:
    """A value without quotes, up to what cannot be in it; where a bracket follows, it is the name of a function."""
    match = _BARE.match(text, at)
    if not match or text[match.end("value") : match.end("value") + 1] in ("(", "["):
        return
    if _holds(match["value"].rstrip(".:!?*"), kind, n_odd=4) and (kind == "password" or len(match["value"]) > 15):
        rest = _REST.match(text, match.end("value"))
        whole = match["value"] + (rest[0] if rest else "")
        yield Finding(match.start("value"), match.start("value") + len(whole.rstrip(".:!?*")), kind)
