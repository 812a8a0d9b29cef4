"""Secrets in texts, by the detector of `localft data build`; a diff's markers do not hide them from it."""

from __future__ import annotations

from collections import Counter

from localft.curation.secrets import find_secrets


def redact(text: str, path: str, diff: bool) -> tuple[str, Counter[str]]:
    """Put `[redacted: kind]` in the place of every secret.

    Args:
        text: as somebody wrote it.
        path, diff: see `find_secrets`.

    Returns:
        the text, and how many secrets of each kind were in it.
    """
    pieces, at = [], 0
    found: Counter[str] = Counter()
    for finding in find_secrets(text, path, diff):
        found[finding.kind] += 1
        pieces += [text[at : finding.start], f"[redacted: {finding.kind}]"]
        at = finding.stop
    return "".join(pieces) + text[at:], found
