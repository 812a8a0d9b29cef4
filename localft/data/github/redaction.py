"""Secrets in texts, by the detector of `localft data build`; a diff's markers do not hide them from it."""

from __future__ import annotations

import re
from collections import Counter

from localft.data.build.secrets import find_secrets

# A "+" would be a character of a key that stands at the start of a line.
_MARKER = re.compile(r"^(> )?[+-]", re.MULTILINE)


def redact(text: str, path: str, diff: bool) -> tuple[str, Counter[str]]:
    """Put `[redacted: kind]` in the place of every secret.

    Args:
        text: as somebody wrote it.
        path: of the file that it is from, "" for prose: tells configuration files, where values need no quotes.
        diff: lines begin with "+" or "-", behind "> " where they are quoted.

    Returns:
        the text, and how many secrets of each kind were in it.
    """
    seen = _MARKER.sub(lambda match: f"{match[1] or ''} ", text) if diff else text
    pieces, at = [], 0
    found: Counter[str] = Counter()
    for finding in find_secrets(seen, path):
        found[finding.kind] += 1
        pieces += [text[at : finding.start], f"[redacted: {finding.kind}]"]
        at = finding.stop
    return "".join(pieces) + text[at:], found
