"""Secrets taken out of a text, or of the lines of a document, and counted by kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from localft.curation.document import Line
from localft.curation.secrets import find_secrets


def redact_text(text: str, diff: bool = False) -> tuple[str, Counter[str]]:
    """Put `[redacted: kind]` in the place of every secret.

    Args:
        text: as somebody wrote it.
        diff: see `find_secrets`.

    Returns:
        the text, and how many secrets of each kind were in it.
    """
    pieces, at = [], 0
    found: Counter[str] = Counter()
    for finding in find_secrets(text, diff):
        found[finding.kind] += 1
        pieces += [text[at : finding.start], f"[redacted: {finding.kind}]"]
        at = finding.stop
    return "".join(pieces) + text[at:], found


def redact_lines(lines: Sequence[Line], diff: bool = False) -> tuple[list[Line], Counter[str], set[int]]:
    """Put `[redacted: kind]` in the place of every secret.

    A private key goes as a whole block: its first line keeps what stands before it, the lines that it filled go, and
    the others keep their numbers.

    Args:
        lines: of one document; not modified.
        diff: see `find_secrets`.

    Returns:
        the lines, how many secrets of each kind there were, and the numbers of the lines that had one.
    """
    text = "".join(line.text for line in lines)
    findings = find_secrets(text, diff)
    if not findings:
        return list(lines), Counter(), set()
    found, hit, at, cut = [], set(), 0, 0
    for line in lines:
        kept, stop, position = [], at + len(line.text), at
        while cut < len(findings) and findings[cut].start < stop:
            secret = findings[cut]
            if secret.start >= at:
                kept += [text[position : secret.start], f"[redacted: {secret.kind}]"]
            hit.add(line.number)
            position = min(secret.stop, stop)
            if secret.stop > stop:
                break
            cut += 1
        rest = "".join(kept) + text[position:stop]
        if position == stop and kept:
            rest += "\n"
        # of a block's later lines only what follows it stays
        if rest and (kept or position == at or rest.strip()):
            found.append(Line(line.number, rest))
        at = stop
    return found, Counter(finding.kind for finding in findings), hit
