"""JSON that `gh api`, `gh pr list --json` and `gh issue list --json` saved, to pull requests and issues."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from localft.curation.github.fields import kind_of
from localft.curation.github.raw_item import PARTS, RawItem
from localft.curation.github.repository import Repository
from localft.curation.github.selection import NOUNS, Kind, Selection
from localft.data.reading.data_file import read_chunks, read_text
from localft.errors import DatasetError
from localft.json_text import json_decoder, require_shallow
from localft.units import count, size
from localft.visible import one_line

MOST_BYTES = 128 << 20
_CHUNK = 1 << 20
_SUFFIXES = (".json", ".jsonl", ".ndjson")
_ADDRESS = re.compile(r"https?://[^/]+/(?:api/v3/)?(?:repos/)?([\w.-]+/[\w.-]+)/(pull|pulls|issues)/(\d{1,12})$")
# keys that only pull requests have, in the REST API's spelling and in gh's
_PULL_KEYS = (
    *("pull_request", "merged_at", "head", "base", "diff_url", "requested_reviewers", "mergedAt", "mergedBy", "files"),
    *("headRefName", "headRefOid", "baseRefName", "baseRefOid", "isDraft", "mergeCommit", "changedFiles", "reviews"),
    *("latestReviews", "reviewDecision", "reviewRequests", "isCrossRepository", "mergeable", "mergeStateStatus"),
)
_HINT = (
    "save pull requests and issues, their comments, reviews and files, as `gh api` or `gh pr list --json` print them; "
    "docs/github.md has the commands"
)


class Found(NamedTuple):
    """One object of a file; `where` names file and line."""

    value: dict[str, Any]
    path: Path
    where: str


@dataclass
class Saved:
    """What a folder or a file holds, gathered by number.

    Attributes:
        records: each pull request or issue; where several files have it, their keys together.
        wheres: the first place of each.
        parts: number → part → identity → what was saved of it.
    """

    repository: Repository
    records: dict[int, dict[str, Any]] = field(default_factory=dict)
    wheres: dict[int, str] = field(default_factory=dict)
    parts: dict[int, dict[str, dict[str, Any]]] = field(default_factory=dict)

    def items(self, selection: Selection, left_out: Counter[str]) -> Iterator[RawItem]:
        """Those that are wanted, the newest first. Counts in `left_out`, by reason.

        Raises:
            DatasetError: nothing says whether a record is a pull request or an issue, and the selection neither.
        """
        n = 0
        for number in sorted(self.records, reverse=True):
            record, where = self.records[number], self.wheres[number]
            kind = _kind(record) or selection.kind
            if kind is None:
                hint = "save its `url` too, or say `--kind pr` or `--kind issue`"
                raise DatasetError(f"nothing in {where} says whether #{number} is a pull request or an issue", hint)
            updated = record.get("updated_at") or record.get("updatedAt")
            updated = updated if isinstance(updated, str) else ""
            if n != selection.limit and selection.takes(kind, _state(record), updated):
                if reason := selection.leaves_out(kind, record):
                    left_out[reason] += 1
                    continue
                n += 1
                parts = {name: list(values.values()) for name, values in self.parts.get(number, {}).items()}
                yield RawItem(kind, record, parts, f"{NOUNS[kind]} #{number} in {where}")

    @property
    def n_stray(self) -> int:
        """Comments, reviews and files that belong to nothing that was saved."""
        return sum(
            len(values)
            for number, parts in self.parts.items()
            if number not in self.records
            for values in parts.values()
        )

    def missing(self) -> Counter[str]:
        """How many pull requests and issues have something that was not saved, by what it is."""
        found: Counter[str] = Counter()
        for number, record in self.records.items():
            parts = self.parts.get(number, {})
            if type(record.get("comments")) is int and record["comments"] > 0 and not parts.get("comments"):
                found["comments"] += 1
            if _kind(record) == "pull_request" and not any(
                isinstance(value, dict) and value.get("patch") for value in parts.get("files", {}).values()
            ):
                found["patches"] += 1
        return found

    def add(self, found: Found) -> None:
        """Sort one object in.

        Raises:
            DatasetError: it is none of what GitHub gives, or of another repository.
        """
        value = found.value
        if type(value.get("number")) is int and "title" in value:
            self._add_record(value["number"], found)
        elif "filename" in value or ("path" in value and "additions" in value):
            self._add_part(_number_in_name(found), "files", found)
        elif "pull_request_url" in value:
            part = "review_comments" if "diff_hunk" in value or "path" in value else "reviews"
            self._add_part(self._number_in_address(value["pull_request_url"], found), part, found)
        elif "issue_url" in value:
            self._add_part(self._number_in_address(value["issue_url"], found), "comments", found)
        elif isinstance(value.get("message"), str) and "documentation_url" in value:
            message = f"{found.where} is an error that GitHub answered: {one_line(value['message'])}"
            raise DatasetError(message, "save it again, once the command works")
        else:
            keys = one_line(", ".join(list(value)[:5]), 120) or "no keys"
            raise DatasetError(f"{found.where} is no pull request, issue, comment, review or file: {keys}", _HINT)

    def _add_record(self, number: int, found: Found) -> None:
        for name in ("html_url", "url"):
            self._number_in_address(found.value.get(name), found, wanted=False)
        old = self.records.setdefault(number, {})
        self.wheres.setdefault(number, found.where)
        for name, value in found.value.items():
            if name in PARTS and isinstance(value, list):
                for part in value:
                    self._add_part(number, name, found._replace(value=part))
            elif value is not None or name not in old:
                old[name] = value

    def _add_part(self, number: int, part: str, found: Found) -> None:
        """One comment, review or file; what was saved twice, by `gh api` and by `gh pr list`, becomes one."""
        values = self.parts.setdefault(number, {}).setdefault(part, {})
        value = found.value
        names = ("filename", "path") if part == "files" else ("node_id", "id")
        given = [value[name] for name in names if value.get(name)] if isinstance(value, dict) else []
        key = str(given[0]) if given else f"#{len(values)}"
        values[key] = {**values[key], **value} if key in values else value

    def _number_in_address(self, address: Any, found: Found, wanted: bool = True) -> int:
        match = _ADDRESS.match(address) if isinstance(address, str) else None
        if match and match[1].lower() != str(self.repository).lower():
            message = f"{found.where} belongs to `{match[1]}`, not to `{self.repository}`"
            raise DatasetError(message, f"give `{match[1]}`, or keep each repository's files in a folder of their own")
        if match is None and wanted:
            raise DatasetError(f"{found.where} does not say what it belongs to", _HINT)
        return int(match[3]) if match else 0


def read_saved(path: Path, repository: Repository) -> Saved:
    """Read a file, or all .json, .jsonl and .ndjson files of a folder.

    Raises:
        DatasetError: nothing there, too much, not JSON, or JSON that is not GitHub's; names the file and the line.
    """
    saved, files = Saved(repository), _files(path)
    _require_room(path, files)
    for file in files:
        for line, value in scan(file, read_text(file)):
            where = f"line {line} of `{file}`"
            if not isinstance(value, dict):
                raise DatasetError(f"{where} is {kind_of(value)}, expected an object", _HINT)
            saved.add(Found(value, file, where))
    return saved


def scan(path: Path, text: str) -> Iterator[tuple[int, Any]]:
    """Each object with the line that it starts on: of lists, lists of pages, lists one after the other, and lines.

    Raises:
        DatasetError: it is not JSON, or ends in the middle.
    """
    decoder = json_decoder()
    at, line, seen, depth = 0, 1, 0, 0
    gap = re.compile(r"[\s,]*")
    while True:
        at = gap.match(text, at).end()  # type: ignore[union-attr]
        line, seen = line + text.count("\n", seen, at), at
        if at == len(text):
            break
        if text[at] == "[" or (text[at] == "]" and depth):
            depth += 1 if text[at] == "[" else -1
            at += 1
            continue
        try:
            value, at = decoder.raw_decode(text, at)
            require_shallow(value)
        except (ValueError, RecursionError) as error:
            where = error.lineno if isinstance(error, json.JSONDecodeError) else line
            raise DatasetError(f"line {where} of `{path}` is not JSON: {_reason(error)}", _hint(text)) from None
        yield line, value
    if depth:
        hint = "it was saved only in part: save it again"
        raise DatasetError(f"`{path}` ends in the middle of {count(depth, 'list')}", hint)


def _reason(error: ValueError | RecursionError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return error.msg
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)


def _require_room(path: Path, files: list[Path]) -> None:
    """Refuse more than can be gathered in memory; compressed files are measured unpacked."""
    total = 0
    for chunk in chain.from_iterable(read_chunks(file, _CHUNK) for file in files):
        total += len(chunk)
        if total > MOST_BYTES:
            hint = "keep the pull requests and issues of some months in a folder of their own, and give one at a time"
            raise DatasetError(f"`{path}` holds more than {size(MOST_BYTES)}", hint)


def _hint(text: str) -> str:
    return "it is a page, not an answer of the API" if text.lstrip()[:1] == "<" else "save it again"


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in _SUFFIXES and file.is_file())
    if not files:
        raise DatasetError(f"`{path}` holds no .json, .jsonl or .ndjson file", _HINT)
    return files


def _number_in_name(found: Found) -> int:
    """Of a pull request, from the name of the file with its files: those do not say whose they are."""
    for name in (found.path.stem, found.path.parent.name):
        numbers = re.findall(r"\d{1,12}", name)
        if numbers:
            return int(numbers[-1])
    hint = "put the pull request's number into the file's name, such as `files-12.json`"
    raise DatasetError(f"nothing says which pull request {found.where} belongs to", hint)


def _kind(record: dict[str, Any]) -> Kind | None:
    addresses = [_ADDRESS.match(record[name]) for name in ("html_url", "url") if isinstance(record.get(name), str)]
    if record.get("pull_request") or any(match and match[2] != "issues" for match in addresses):
        return "pull_request"
    if any(match and match[2] == "issues" for match in addresses):
        return "issue"
    return "pull_request" if any(name in record for name in _PULL_KEYS) or record.get("state") == "MERGED" else None


def _state(record: dict[str, Any]) -> Any:
    pull = record.get("pull_request")
    merged = record.get("merged_at") or record.get("mergedAt") or (isinstance(pull, dict) and pull.get("merged_at"))
    return "merged" if merged else str(record.get("state")).lower()
