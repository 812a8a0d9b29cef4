"""Documents of a source's files: its code as files, its docs as pages."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from localft.curation.chunking.outline import front_matter
from localft.curation.document import Document, Layout, Line, odd_name, shown_name, to_lines, trimmed
from localft.curation.file_rules import (
    TOO_LARGE,
    Globs,
    page_format,
    reason_by_content,
    reason_by_name,
    reason_no_page,
)
from localft.curation.repository import git
from localft.curation.repository.folder import LINK, UNREADABLE, read_inside
from localft.curation.repository.ledger import File, Ledger
from localft.curation.repository.source import Source

COPY, NO_TEXT = "copy of another file", "without text"


@dataclass(frozen=True)
class Choice:
    """What is wanted of a source's files.

    Attributes:
        kinds: "repo", "docs" or both, see `as_page`.
        keep: reasons of the rules that do not count.
        max_bytes: of one file.
        own: absolute path of the file that is being written, and how its temporary files begin: no documents.
    """

    kinds: Collection[str]
    globs: Globs
    keep: frozenset[str]
    max_bytes: int
    own: tuple[str, str]

    def as_page(self, path: str) -> bool:
        """Whether a file is read as a page: with both kinds every page is, but for HTML, which is code there."""
        form = page_format(path)
        return "docs" in self.kinds and bool(form) and (form != "html" or "repo" not in self.kinds)


def documents(source: Source, choice: Choice, ledger: Ledger) -> Iterator[Document]:
    """A document for each file that is wanted, in the order of their paths; the others go into the ledger."""
    blobs = git.Blobs(source.repository) if source.from_commit and source.repository else None
    try:
        for file in ledger.files():
            path = os.fsdecode(file.path)
            here = str(source.top / path)
            if here == choice.own[0] or here.startswith(choice.own[1]):
                continue
            reason, content = odd_name(path), b""
            if not reason:
                reason = _unwanted(path, file, choice)
            if not reason:
                content, reason = _read(source, file, path, choice.max_bytes, blobs)
            reason = reason or reason_by_name(path, len(content), choice.keep)
            reason = reason or reason_by_content(path, content, choice.keep)
            if not reason and not ledger.is_new(hashlib.sha256(content).digest()[:16]):
                reason = COPY
            if not reason:
                try:
                    yield _document(source, file, path, content.decode("utf-8-sig"), choice)
                except ValueError as error:
                    reason = str(error)
            if reason:
                ledger.skip(reason, shown_name(path))
    finally:
        if blobs:
            blobs.close()


def _unwanted(path: str, file: File, choice: Choice) -> str:
    """Why a file is not even read."""
    reason = choice.globs.reason(path)
    if not reason and ("repo" not in choice.kinds or choice.as_page(path)):
        reason = reason_no_page(path)
    return reason or reason_by_name(path, file.size, choice.keep)


def _read(source: Source, file: File, path: str, limit: int, blobs: git.Blobs | None) -> tuple[bytes, str]:
    """Content, or the reason why there is none."""
    if blobs is None:
        return read_inside(source.top, path, limit)
    if file.mode == "120000":
        return b"", LINK
    if file.size > limit:
        return b"", TOO_LARGE
    content = blobs.read(file.blob, limit)
    if content is None:
        partial = source.repository is not None and source.repository.is_partial
        return b"", UNREADABLE.format(
            "not fetched by a partial clone" if partial else "the repository lacks its content"
        )
    return content, ""


def _document(source: Source, file: File, path: str, text: str, choice: Choice) -> Document:
    if choice.as_page(path):
        return _page(source, path, text, file.date)
    form = page_format(path)
    layout: Layout = "text" if form else "code"
    kind = {
        "kind": "file",
        "repository": source.name,
        "revision": source.revision if file.clean else None,
        "path": path,
        "date": file.date,
    }
    return Document(f"{source.name}:{path}", kind, path, f"File: {path}", layout, to_lines(text), form)


def _page(source: Source, path: str, text: str, date: str | None) -> Document:
    """A page.

    Args:
        date: of the last commit that changed it.

    Raises:
        ValueError: HTML that cannot be read.
    """
    form, numbered, lines = page_format(path), True, []
    if form == "html":
        from localft.curation.chunking.html import to_markdown

        text, title = to_markdown(text)
        form, numbered = "markdown", False
        lines = to_lines(text if text.lstrip().startswith("#") or not title else f"# {title}\n\n{text}")
    elif form == "markdown":
        text, n_front, title = front_matter(text.replace("\r\n", "\n"))
        lines = [Line(line.number + n_front, line.text) for line in to_lines(text)]
        if title and not text.lstrip().startswith("#"):
            first, _ = trimmed(lines, 0, len(lines))
            lines = [Line(n_front + 1, f"# {title}\n"), Line(n_front + 1, "\n"), *lines[first:]]
    else:
        lines = to_lines(text)
    kind = {"kind": "page", "site": source.name, "path": path, "date": date}
    form = form if form in ("markdown", "rst") else ""
    return Document(f"{source.name}:{path}", kind, path, f"Page: {path}", "page", lines, form, numbered)
