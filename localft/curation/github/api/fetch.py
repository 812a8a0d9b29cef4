"""The API, by way of the cache, to pull requests and issues as GitHub words them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from localft.curation.github.api.cache import LARGEST_NUMBER, Cache, Page, StoredItem
from localft.curation.github.api.client import Client
from localft.curation.github.api.trouble import GitHubError
from localft.curation.github.raw_item import RawItem
from localft.curation.github.repository import Repository, repository_named
from localft.curation.github.selection import NOUNS, Kind, Selection, kind_and_state
from localft.report import Report

_GONE = (404, 410, 422, 451)
_OUTAGE = 3
_PER_PAGE = 100
# GitHub's largest repositories have some hundred thousand issues, the longest talks some ten thousand comments
_MOST_PAGES, _MOST_PART_PAGES = 10_000, 1_000
_NOT_GITHUB = "check --api-url: it must be the address of GitHub's REST API"


@dataclass
class Fetcher:
    """Lists what a repository has, then fetches what is not in the cache as the list says it is now.

    Attributes:
        n_listed: pull requests and issues in the pages of the list that were read.
        n_unchanged: those of the wanted that needed no request.
        left_out: of those that are wanted, which were not had, by reason.
        n_failed: those of them that GitHub would not give.
        renamed: the repository's present name, where it is not the one asked for.
    """

    client: Client
    cache: Cache
    repository: Repository
    selection: Selection
    progress: Report
    n_listed: int = field(default=0, init=False)
    n_unchanged: int = field(default=0, init=False)
    left_out: Counter[str] = field(default_factory=Counter, init=False)
    n_failed: int = field(default=0, init=False)
    renamed: str = field(default="", init=False)

    def items(self) -> Iterator[RawItem]:
        """Those that are wanted, the newest first.

        Raises:
            GitHubError: the list, or three items in a row, cannot be had.
        """
        pages = self._list()
        total, done, outages = sum(len(numbers) for _, numbers in pages), 0, 0
        for address, numbers in pages:
            page = self.cache.page(address)
            for record in page.values if page else ():
                if record["number"] not in numbers:
                    continue
                done += 1
                self.progress(f"#{record['number']}", done, total)
                try:
                    item = self._item(record)
                except GitHubError as error:
                    outages = outages + 1 if error.status >= 500 else 0
                    if outages >= _OUTAGE or not (error.status >= 500 or error.status in _GONE):
                        raise
                    self.n_failed += 1
                    self.left_out[f"{NOUNS[kind_and_state(record)[0]]}s, for which GitHub answered {error.status}"] += 1
                    continue
                outages = 0
                yield item

    def _list(self) -> list[tuple[str, set[int]]]:
        """Each page's address, and the numbers on it that are wanted."""
        pages: list[tuple[str, set[int]]] = []
        seen: set[int] = set()
        listed: set[int] = set()
        address = self._list_address()
        while address and address not in (before for before, _ in pages):
            self.progress(f"listing, page {len(pages) + 1}", 0, 0)
            page = self._page(address, self.cache.page(address))
            self.cache.save_page(page)
            wanted: set[int] = set()
            n_before = len(listed)
            for record in page.values:
                number, updated = self._checked(record, address)
                listed.add(number)
                if number in seen or len(seen) == self.selection.limit:
                    continue
                self.n_listed += 1
                kind, state = kind_and_state(record)
                if self.selection.takes(kind, state, updated) and not self._left_out(kind, record):
                    wanted.add(number)
                    seen.add(number)
            pages.append((address, wanted))
            if page.next and (len(listed) == n_before or len(pages) == _MOST_PAGES):
                raise GitHubError(f"`{self.client.host}` lists issues without end", _NOT_GITHUB)
            address = "" if len(seen) == self.selection.limit else page.next
        return pages

    def _left_out(self, kind: Kind, record: dict[str, Any]) -> bool:
        reason = self.selection.leaves_out(kind, record)
        self.left_out.update([reason] if reason else [])
        return bool(reason)

    def _list_address(self) -> str:
        state = "open" if self.selection.state == "open" else "closed" if self.selection.state else "all"
        query = {"state": state, "sort": "created", "direction": "desc", "per_page": str(_PER_PAGE)}
        if self.selection.since:
            query["since"] = self.selection.since
        return self.client.address(f"/repos/{self.repository}/issues", **query)

    def _checked(self, record: Any, address: str) -> tuple[int, str]:
        """A listed record's number and the time when it changed last."""
        if isinstance(record, dict):
            number, updated = record.get("number"), record.get("updated_at")
            if type(number) is int and 0 < number <= LARGEST_NUMBER and isinstance(updated, str):
                self._note_name(record.get("repository_url"))
                return number, updated
        raise GitHubError(f"the answer for `{address}` is no list of issues", _NOT_GITHUB)

    def _note_name(self, url: Any) -> None:
        name = repository_named(url.rpartition("/repos/")[2]) if isinstance(url, str) else None
        if name and str(name).lower() != str(self.repository).lower():
            self.renamed = str(name)

    def _item(self, record: dict[str, Any]) -> RawItem:
        """One item with its parts: from the cache as it is where the list says that it has not changed."""
        number = record["number"]
        stored = self.cache.item(number)
        if stored and stored.record.get("updated_at") == record["updated_at"]:
            self.n_unchanged += 1
        else:
            old = {page.address: page for pages in stored.parts.values() for page in pages} if stored else {}
            paths = self._paths(record)
            stored = StoredItem(record, {part: self._part(path, old) for part, path in paths.items()})
            self.cache.save_item(number, stored)
        return raw_item(StoredItem(record, stored.parts))

    def _paths(self, record: dict[str, Any]) -> dict[str, str]:
        """Where each part of an item is."""
        top = f"/repos/{self.renamed or self.repository}"
        number = record["number"]
        paths = {} if record.get("comments") == 0 else {"comments": f"{top}/issues/{number}/comments"}
        if kind_and_state(record)[0] == "pull_request":
            pull = f"{top}/pulls/{number}"
            paths |= {"reviews": f"{pull}/reviews", "review_comments": f"{pull}/comments", "files": f"{pull}/files"}
        return paths

    def _part(self, path: str, old: dict[str, Page]) -> list[Page]:
        pages: list[Page] = []
        address = self.client.address(path, per_page=str(_PER_PAGE))
        while address and address not in (page.address for page in pages):
            pages.append(self._page(address, old.get(address)))
            address = pages[-1].next
            if address and (not pages[-1].values or len(pages) == _MOST_PART_PAGES):
                raise GitHubError(f"`{self.client.host}` goes on with `{path}` without end", _NOT_GITHUB)
        return pages

    def _page(self, address: str, old: Page | None) -> Page:
        # a full page that was the last may have got a next one without a change of its own
        ask = old and (old.next or len(old.values) < _PER_PAGE)
        answer = self.client.get(address, old.etag if old and ask else "")
        if not answer.changed and old:
            return replace(old, next=answer.next or old.next)
        if not isinstance(answer.value, list):
            raise GitHubError(f"the answer for `{address}` is no list", _NOT_GITHUB)
        return Page(address, answer.etag, answer.next, answer.value)


def cached_items(cache: Cache, selection: Selection, left_out: Counter[str]) -> Iterator[RawItem]:
    """Those of the cache that are wanted, the newest first; no request is made. Counts in `left_out`, by reason."""
    n = 0
    for stored in cache.items():
        if n == selection.limit:
            return
        kind, state = kind_and_state(stored.record)
        if not selection.takes(kind, state, str(stored.record.get("updated_at") or "")):
            continue
        if reason := selection.leaves_out(kind, stored.record):
            left_out[reason] += 1
            continue
        n += 1
        yield raw_item(stored)


def raw_item(stored: StoredItem) -> RawItem:
    """An item's parts without their pages."""
    kind, _ = kind_and_state(stored.record)
    parts = {name: [value for page in pages for value in page.values] for name, pages in stored.parts.items()}
    return RawItem(kind, stored.record, parts, f"{NOUNS[kind]} #{stored.record.get('number')} as GitHub gave it")
