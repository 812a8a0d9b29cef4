"""Addresses as they may be shown and kept: without names, passwords, tokens and signatures."""

from __future__ import annotations

import re

_SCHEME = re.compile(r"\b[a-z][a-z0-9+.-]{0,20}://", re.IGNORECASE)
_END = re.compile(r"[\s`'\"<>]")
# `:2` and `:20%` behind an address: how often its rows count
_WEIGHT = re.compile(r":(?:\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})%?\Z")
_PORT = re.compile(r"(?:\[[^\]]*\]|[^:@\[\]]*)(?::\d{0,5})?\Z")
_SECRET = re.compile(
    r"x-(?:amz|goog|oss|cos|obs|ms)-.*"
    r"|q-(?:sign|ak|key|header|url|signature).*"
    r"|.*(?:secret|passw|signature|credential).*|.*(?:token|api[-_]?key|access[-_]?key(?:[-_]?id)?|access[-_]?id|jwt)"
    r"|(?:.*[-_])?auth|auth[-_]?(?:key|code)|o?auth[-_].*|.*authorization|tempauth|(?:.*[-_])?sess(?:ion)?(?:[-_]?id)?"
    r"|sig|sign|hmac|pwd|pass|key|rlkey|hdnts|hdnea|__gda__",
    re.IGNORECASE,
)
# What only means something beside a signature: when it ends, what it allows, who made it.
_BESIDE = re.compile(
    r"expires?|policy|key-pair-id|algorithm|timestamp|ts|ex|is|hm"
    r"|s[verptisr]|spr|sip|srt|ses|ss|sdd|sce|sk(?:oid|tid|t|e|s|v)|saoid|suoid|scid",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"(?:%[0-9a-f]{2})+", re.IGNORECASE)
_SIGNATURE = re.compile(r".*signature|sig|sign|hm|hmac", re.IGNORECASE)


def without_secrets(text: str) -> str:
    """A text with all its addresses cut down to what is no secret; one without any stays as it is.

    User names and passwords go, and of queries and fragments the values that are tokens, keys or parts of a signature
    (of Amazon S3, CloudFront, Google Cloud, Azure, and what others call so). Doing it twice changes nothing.
    """
    found, done = [], 0
    for scheme in _SCHEME.finditer(text):
        if scheme.start() < done:
            continue
        end = _END.search(text, scheme.end())
        stop = end.start() if end else len(text)
        found += [text[done : scheme.end()], _public(text[scheme.end() : stop])]
        done = stop
    return "".join([*found, text[done:]])


def _public(rest: str) -> str:
    """What follows an address's `://`."""
    weight = _WEIGHT.search(rest) if re.search(r"[/?#]", rest) else None
    rest, weight_text = (rest[: weight.start()], weight[0]) if weight else (rest, "")
    host = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" in host:
        rest = rest[host.rindex("@") + 1 :]
    elif "@" in rest and not _PORT.fullmatch(host):
        rest = rest[rest.rindex("@") + 1 :]  # a password with a slash in it
    before, mark, query = re.split(r"([?#])", rest, maxsplit=1) if re.search("[?#]", rest) else (rest, "", "")
    return before + _kept(mark + query) + weight_text


def _kept(query: str) -> str:
    """Of "?a=1&b=2#c=3" what is no secret."""
    parts = re.findall(r"([?#&;])([^?#&;]*)", query)
    names = [_unquoted(part.partition("=")[0]).strip() for _, part in parts]
    signed = any(_SIGNATURE.fullmatch(name) for name in names)
    kept, first = "", ""
    for (mark, part), name in zip(parts, names, strict=True):
        # a mark that begins a query or a fragment is still needed where its first part goes
        first = mark if mark in "?#" else first
        if _SECRET.fullmatch(name) or (signed and _BESIDE.fullmatch(name)):
            continue
        plain = _unquoted(part)
        if plain != part and without_secrets(plain) != plain:
            continue
        kept += (first or mark) + part
        first = ""
    return kept


def _unquoted(text: str) -> str:
    return _QUOTED.sub(lambda match: bytes.fromhex(match[0].replace("%", "")).decode("utf-8", "replace"), text)
