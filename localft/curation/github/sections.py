"""One pull request or issue to sections of readable text."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from localft.curation.file_rules import reason_by_name
from localft.curation.github.people import prose, roles, word_for
from localft.curation.github.records import Change, Item, Remark
from localft.curation.github.repository import Repository
from localft.curation.redaction import redact_text

_HUNK_LINES = 4
_HIDDEN = dict.fromkeys([*range(9), *range(11, 32), 127], None)


@dataclass(frozen=True)
class Section:
    """What belongs together.

    Attributes:
        heading: its first line.
        body: what stands below.
        name: what it is called where it goes on in another text.
        patch: it is a file's patch, which is divided between its lines.
    """

    heading: str
    body: str
    name: str
    patch: bool = False


@dataclass
class Treated:
    """What was in an item's texts: secrets by kind, and patches that were left out by reason."""

    secrets: Counter[str] = field(default_factory=Counter)
    patches: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class ItemWording:
    """How items are worded.

    Attributes:
        repository: named in the first line.
        logins: people by their logins in place of their roles.
        keep_secrets: count them and leave them in every text that somebody wrote.
    """

    repository: Repository
    logins: bool = False
    keep_secrets: bool = False

    def sections(self, item: Item, treated: Treated) -> list[Section]:
        """The head with the description, then what was said in order of time, then the files.

        Args:
            treated: what is done to the texts is added to it.
        """
        words = roles(item, self.logins)

        def body(text: str) -> str:
            return self._tidy(prose(_plain(text), words, self.logins), treated)

        title = self._tidy(_line(item.title), treated).strip()
        heading = f"{item.noun.capitalize()} #{item.number} in {self.repository}: {title}"
        about = "\n".join(_about(item, word_for(item.by, words) if self.logins else ""))
        sections = [Section(heading, f"{about}\n\n{body(item.body) or '(no description)'}", "Description")]
        for remark in item.remarks:
            hunk = "" if remark.reply else self._hunk(remark, treated)
            name = _said(remark, word_for(remark.by, words))
            sections.append(Section(f"{name}:", hunk + body(remark.body), name))
        for change in item.changes:
            name = _file(change)
            sections.append(Section(name, self._patch(change, treated), name, patch=True))
        return sections

    def _hunk(self, remark: Remark, treated: Treated) -> str:
        """The last lines of the diff that a comment stands under, marked as quoted."""
        # cut last: of a secret that began above, nothing would tell
        lines = self._tidy(_plain(remark.hunk), treated, diff=True).rstrip("\n").split("\n")
        return "".join(f"> {line}\n" for line in lines[-_HUNK_LINES:]) + "\n" if remark.hunk else ""

    def _patch(self, change: Change, treated: Treated) -> str:
        reason = reason_by_name(change.path, -1, ()) if change.patch else ""
        if reason:
            treated.patches[reason] += 1
            return f"(the patch is left out: {reason})"
        return self._tidy(_plain(change.patch), treated, diff=True)

    def _tidy(self, text: str, treated: Treated, diff: bool = False) -> str:
        clean, found = redact_text(text, diff)
        treated.secrets.update(found)
        return text if self.keep_secrets else clean


def _plain(text: str) -> str:
    """Text with one kind of line end and without control characters but tabs."""
    return text.replace("\r\n", "\n").translate(_HIDDEN)


def _line(text: str) -> str:
    return _plain(text).replace("\n", " ")


def _about(item: Item, login: str) -> list[str]:
    parts = [item.state + (f" on {item.closed[:10]}" if item.closed and item.state != "open" else "")]
    if item.created:
        parts.append(f"opened on {item.created[:10]}" + (f" by {login}" if login else ""))
    lines = ["State: " + ", ".join(parts)]
    if item.labels:
        lines.append("Labels: " + ", ".join(_line(label) for label in item.labels))
    return lines


def _said(remark: Remark, who: str) -> str:
    kind = "Review comment" if remark.kind == "review_comment" else remark.kind.capitalize()
    kind = "Reply" if remark.reply else kind
    when = f" on {remark.at[:10]}" if remark.at else ""
    verdict = f", {remark.verdict}" if remark.verdict else ""
    line = f", line {remark.line}" if remark.line is not None else ""
    place = f", on {_line(remark.path)}{line}" if remark.path else ""
    return f"{kind} by {who}{when}{verdict}{place}"


def _file(change: Change) -> str:
    status = f"{change.status} from {_line(change.previous)}" if change.previous else change.status
    return f"File: {_line(change.path)} ({status}, +{change.additions} -{change.deletions})"
