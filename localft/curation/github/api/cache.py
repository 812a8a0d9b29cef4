"""What was fetched, on disk: a second run asks only for what changed, and an interrupted one goes on."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from localft.curation.github.raw_item import PARTS
from localft.curation.github.repository import Repository
from localft.files import atomic_path, open_file
from localft.json_text import parse_json

LARGEST_NUMBER = 10**12
_FORMAT = 1
_MOST_BYTES = 1 << 28


@dataclass(frozen=True)
class Page:
    """One page of a list as the API gave it.

    Attributes:
        address: what was asked for.
        etag: to ask with again, or "".
        next: address of the next page, or "".
        values: the page's records.
    """

    address: str
    etag: str
    next: str
    values: list[Any]


@dataclass(frozen=True)
class StoredItem:
    """A pull request or an issue: its record in the list, and the pages of its parts as of that record."""

    record: dict[str, Any]
    parts: dict[str, list[Page]]


@dataclass
class Cache:
    """A folder for one repository: `lists/` has pages of the list, `items/` a file for each pull request and issue.

    A file that is damaged counts as one that is not there.
    """

    folder: Path

    def page(self, address: str) -> Page | None:
        """A page of the list of issues."""
        value = _read(self._list_file(address))
        page = _page(value.get("page")) if value else None
        return page if page and page.address == address else None

    def save_page(self, page: Page) -> None:
        self._save(self._list_file(page.address), {"page": asdict(page)})

    def item(self, number: int) -> StoredItem | None:
        value = _read(self._item_file(number))
        if value is None or not isinstance(value.get("record"), dict) or not isinstance(value.get("parts"), dict):
            return None
        parts: dict[str, list[Page]] = {}
        for name, pages in value["parts"].items():
            read = [_page(page) for page in pages] if isinstance(pages, list) else [None]
            if name not in PARTS or None in read:
                return None
            parts[name] = [page for page in read if page]
        return StoredItem(value["record"], parts)

    def save_item(self, number: int, item: StoredItem) -> None:
        parts = {name: [asdict(page) for page in pages] for name, pages in item.parts.items()}
        self._save(self._item_file(number), {"record": item.record, "parts": parts})

    def numbers(self) -> list[int]:
        """Of all items that are there, the newest first."""
        names = (path.name.split(".")[0] for path in (self.folder / "items").glob("*.json.gz"))
        return sorted((int(name) for name in names if re.fullmatch(r"[0-9]{1,12}", name)), reverse=True)

    def items(self) -> Iterator[StoredItem]:
        """All items that can be read, the newest first."""
        for number in self.numbers():
            item = self.item(number)
            if item:
                yield item

    def _list_file(self, address: str) -> Path:
        return self.folder / "lists" / f"{hashlib.sha256(address.encode()).hexdigest()[:32]}.json.gz"

    def _item_file(self, number: int) -> Path:
        return self.folder / "items" / f"{number}.json.gz"

    def _save(self, file: Path, value: Mapping[str, Any]) -> None:
        data = json.dumps({"format": _FORMAT, **value}, separators=(",", ":")).encode()
        with atomic_path(file) as temporary:
            temporary.write_bytes(gzip.compress(data, 6, mtime=0))


def open_cache(home: Path, host: str, repository: Repository) -> Cache:
    """The cache of one repository under localft's home; others may not read it, for private repositories are in it."""
    top = home / "github"
    top.mkdir(parents=True, exist_ok=True, mode=0o700)
    place = re.sub(r"[^\w.-]", "-", host.lower())
    return Cache(top / place / repository.owner.lower() / repository.name.lower())


def _read(file: Path) -> dict[str, Any] | None:
    try:
        with open_file(file) as packed, gzip.open(packed) as stream:
            data = stream.read(_MOST_BYTES + 1)
        value = parse_json(data) if len(data) <= _MOST_BYTES else None
    except (OSError, zlib.error, EOFError, ValueError):
        return None
    return value if isinstance(value, dict) and value.get("format") == _FORMAT else None


def _page(value: Any) -> Page | None:
    if not isinstance(value, dict) or not isinstance(value.get("values"), list):
        return None
    address, etag, following = (_sendable(value.get(name)) for name in ("address", "etag", "next"))
    if address is None or etag is None or following is None:
        return None
    return Page(address, etag, following, value["values"])


def _sendable(value: Any) -> str | None:
    return value if isinstance(value, str) and re.fullmatch(r"[\x21-\x7e]*", value) else None
