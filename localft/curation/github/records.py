"""GitHub's JSON to plain records: one reader for the REST API's keys and for those of `gh … --json`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from localft.addresses import without_secrets
from localft.curation.github.accounts import is_bot
from localft.curation.github.fields import Fields
from localft.curation.github.raw_item import RawItem
from localft.curation.github.repository import Repository
from localft.curation.github.selection import NOUNS, Kind, State

_PAGE = re.compile(r"https?://\S+\Z")
_HIDDEN = ("spam", "abuse", "off-topic")
_VERDICTS = {"APPROVED": "approved", "CHANGES_REQUESTED": "changes requested", "DISMISSED": "dismissed"}

RemarkKind = Literal["comment", "review", "review_comment"]


@dataclass(frozen=True)
class Person:
    """An account; `login` is "" where it was deleted."""

    login: str
    bot: bool = False


@dataclass(frozen=True)
class Remark:
    """Something that somebody said.

    Attributes:
        kind: a comment on the whole, a review, or a comment on lines of a file.
        by, at, body: who, when ("" where nothing says), what.
        verdict: of a review: "approved", "changes requested", "dismissed" or "".
        path, line, hunk: of a review comment: the file, the line (None where it is outdated), the diff above it.
        reply: a review comment that answers another.
        hidden: why nobody sees it ("spam", "abuse", "off-topic"), "" where it is seen.
    """

    kind: RemarkKind
    by: Person
    at: str
    body: str
    verdict: str = ""
    path: str = ""
    line: int | None = None
    hunk: str = ""
    reply: bool = False
    hidden: str = ""


@dataclass(frozen=True)
class Change:
    """One file of a pull request; `patch` is "" where GitHub gives none (binary, too large, only renamed)."""

    path: str
    status: str
    previous: str
    additions: int
    deletions: int
    patch: str


@dataclass(frozen=True)
class Item:
    """A pull request or an issue. Times as GitHub writes them, "" where there is none; remarks in order of time."""

    kind: Kind
    number: int
    title: str
    state: State
    created: str
    closed: str
    url: str
    labels: tuple[str, ...]
    by: Person
    body: str
    remarks: tuple[Remark, ...]
    changes: tuple[Change, ...]

    @property
    def noun(self) -> str:
        return NOUNS[self.kind]


def read_item(raw: RawItem, repository: Repository) -> Item:
    """Read one item.

    Args:
        raw: its JSON.
        repository: for its address, where the JSON has none.

    Raises:
        DatasetError: something in it is of another type than it should be; says where.
    """
    fields = Fields(raw.record, raw.where)
    number = fields.number("number") or 0
    url = next((url for url in map(fields.text, ("html_url", "url")) if _PAGE.match(url) and "/repos/" not in url), "")
    page = "pull" if raw.kind == "pull_request" else "issues"
    return Item(
        kind=raw.kind,
        number=number,
        title=fields.text("title", default=None),
        state=_state(fields, raw.kind),
        created=fields.time("created_at", "createdAt"),
        closed=fields.time("closed_at", "closedAt"),
        url=without_secrets(url) or f"https://github.com/{repository}/{page}/{number}",
        labels=tuple(_label(label, raw.where) for label in fields.items("labels")),
        by=_person(fields.find("user", "author"), raw.where),
        body=fields.text("body"),
        remarks=_remarks(raw),
        changes=tuple(
            _change(Fields(value, f"file {n} of {raw.where}")) for n, value in enumerate(raw.parts.get("files", ()), 1)
        ),
    )


def _state(fields: Fields, kind: Kind) -> State:
    pull = fields.value.get("pull_request")
    merged = fields.find("merged_at", "mergedAt") or (isinstance(pull, dict) and pull.get("merged_at"))
    state = fields.text("state", default="merged" if merged else None).lower()
    if kind == "pull_request" and (merged or state == "merged"):
        return "merged"
    if state in ("open", "closed"):
        return state  # type: ignore[return-value]
    raise fields.wrong("state", state, "open, closed or merged")


def _person(value: Any, where: str) -> Person:
    if value is None:
        return Person("")
    fields = Fields(value, f"the author in {where}")
    return Person(fields.text("login"), is_bot(value))


def _label(value: Any, where: str) -> str:
    value = {"name": value} if isinstance(value, str) else value
    return Fields(value, f"a label of {where}").text("name")


def _remarks(raw: RawItem) -> tuple[Remark, ...]:
    remarks = []
    for part, read in (("reviews", _review), ("review_comments", _review_comment), ("comments", _comment)):
        for n, value in enumerate(raw.parts.get(part, ()), 1):
            fields = Fields(value, f"{part.replace('_', ' ').removesuffix('s')} {n} of {raw.where}")
            remark = read(fields)
            if remark:
                remarks.append(remark)
    return tuple(sorted(remarks, key=lambda remark: remark.at))


def _comment(fields: Fields) -> Remark:
    by = _person(fields.find("user", "author"), fields.where)
    return Remark("comment", by, fields.time("created_at", "createdAt"), fields.text("body"), hidden=_hidden(fields))


def _hidden(fields: Fields) -> str:
    """Why a maintainer has hidden a remark; what is only outdated, resolved or a duplicate was said all the same."""
    minimized = fields.value.get("minimized")
    reason = minimized.get("reason") if isinstance(minimized, dict) else fields.value.get("minimizedReason")
    if not minimized and fields.value.get("isMinimized") is not True:
        return ""
    reason = str(reason or "spam").lower().replace("_", "-")
    return "" if reason in ("outdated", "duplicate", "resolved") else reason if reason in _HIDDEN else "spam"


def _review(fields: Fields) -> Remark | None:
    """A review; None where it only holds comments together, or is not submitted yet."""
    state, body = fields.text("state").upper(), fields.text("body")
    verdict = _VERDICTS.get(state, "")
    if state == "PENDING" or not (body.strip() or verdict):
        return None
    by = _person(fields.find("user", "author"), fields.where)
    return Remark("review", by, fields.time("submitted_at", "submittedAt"), body, verdict, hidden=_hidden(fields))


def _review_comment(fields: Fields) -> Remark:
    return Remark(
        kind="review_comment",
        by=_person(fields.find("user", "author"), fields.where),
        at=fields.time("created_at", "createdAt"),
        body=fields.text("body"),
        path=fields.text("path"),
        line=fields.number("line", "original_line"),
        hunk=fields.text("diff_hunk", "diffHunk"),
        reply=fields.number("in_reply_to_id") is not None,
        hidden=_hidden(fields),
    )


def _change(fields: Fields) -> Change:
    return Change(
        path=fields.text("filename", "path", default=None),
        status=fields.text("status", "changeType", default="modified").lower(),
        previous=fields.text("previous_filename"),
        additions=fields.number("additions") or 0,
        deletions=fields.number("deletions") or 0,
        patch=fields.text("patch"),
    )
