"""Data files from http(s) addresses: downloaded once, whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import re
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from localft.addresses import without_secrets
from localft.connection import REDIRECTS, Answer, Connection, NoAnswerError
from localft.data.reading.data_format import data_suffix
from localft.errors import DatasetError
from localft.files import atomic_path
from localft.home import localft_home
from localft.report import Report
from localft.units import file_size
from localft.visible import one_line

KNOWN = (".jsonl", ".json", ".ndjson", ".csv", ".tsv", ".parquet", ".txt", ".md")
_HEADERS = {"User-Agent": "localft", "Accept-Encoding": "identity", "Accept": "*/*"}
_MOST_REDIRECTS = 10
_MOST_BYTES = 64 << 30
_SPARE_BYTES = 1 << 30


def download(url: str, report: Report | None = None) -> Path:
    """The file at `url`, kept in localft's home, and fetched where it is not there yet.

    It is kept under the hash of its address without its secrets: one that is signed anew is the same file.

    Args:
        report: called as report(stage, bytes that are there, bytes in all or 0).

    Raises:
        DatasetError: no network, an error from the server, less than it promised or more than there is room for, a
            web page in place of data, a redirect to elsewhere, a name that says nothing of the format, a full disk.
    """
    target = kept_at(url)
    if target.is_file():
        return target
    try:
        with atomic_path(target) as temporary, temporary.open("wb") as file:
            for chunk in _read(url, target.name, report, _room(target.parent)):
                file.write(chunk)
    except OSError as error:
        why = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror
        raise DatasetError(
            f"cannot keep `{url}` in `{target.parent}`: {why}", "free some space, or set LOCALFT_HOME to another disk"
        ) from None
    return target


def kept_at(url: str) -> Path:
    """Where the file of an address is kept.

    Raises:
        DatasetError: its name does not say how it is to be read.
    """
    try:
        parts = urlsplit(url)
        name = re.sub(r"[^\w.-]", "_", unquote(parts.path).rpartition("/")[2])[-100:]
        _ = parts.port
    except ValueError:
        raise DatasetError(f"`{url}` is no address", "expected https://HOST/PATH") from None
    if data_suffix(Path(name)) not in KNOWN:
        hint = f"download it and give it a name with one of {', '.join(KNOWN)}"
        raise DatasetError(f"`{url}` does not end in the name of a data file", hint)
    digest = hashlib.sha256(without_secrets(url).encode("utf-8", "surrogateescape")).hexdigest()
    return localft_home() / "data" / "web" / digest[:16] / name


def _read(url: str, name: str, report: Report | None, room: int) -> Iterator[bytes]:
    """The body, chunk by chunk; errors of the network as sentences, those of the disk are not met here.

    Args:
        room: bytes that it may have at most.
    """
    done = total = 0
    try:
        with closing(Connection(_HEADERS)) as connection, _final(connection, url) as answer:
            _check(url, name, answer)
            total = int(answer.headers.get("content-length", 0))
            _check_room(url, total, room)
            for chunk in answer.chunks(raw=True):
                done += len(chunk)
                _check_room(url, done, room)
                if report:
                    report(f"downloading {name}", done, total)
                yield chunk
    except NoAnswerError as error:
        if error.late:
            hint = "try again, or download it with a program that goes on where it stopped, and name the file"
            raise DatasetError(f"`{url}` is too slow: {done:,} bytes came before it was given up", hint) from None
        if done < total:
            raise DatasetError(f"`{url}` broke off after {done:,} of {total:,} bytes", "try again") from None
        hint = "check the address and the network"
        raise DatasetError(f"`{url}` cannot be reached: {one_line(error.reason)}", hint) from None


@contextmanager
def _final(connection: Connection, url: str) -> Iterator[Answer]:
    """The answer at the end of all redirects.

    Raises:
        DatasetError: they do not end, or one leads to where none may.
    """
    where = url
    for _ in range(_MOST_REDIRECTS + 1):
        with connection.request("GET", where) as answer:
            if answer.status not in REDIRECTS:
                yield answer
                return
            where = _redirected(url, where, answer.headers.get("location", ""))
    raise DatasetError(f"`{url}` redirects without end", "give the address of the file itself")


def _redirected(url: str, where: str, target: str) -> str:
    """Where a redirect leads. A name and a password in the address are sent to its own host alone.

    Raises:
        DatasetError: to nowhere, to another scheme, or from https to http.
    """
    try:
        here, there = urlsplit(where), urlsplit(urljoin(where, target))
        same = (here.scheme, here.hostname, here.port) == (there.scheme, there.hostname, there.port)
    except ValueError:
        target = ""
    if not target or not there.hostname or there.scheme not in ("https", here.scheme):
        message = f"`{url}` redirects to `{one_line(target)}`, which is not followed"
        raise DatasetError(message, "only http and https are, and none of both that is less safe: name the file itself")
    user = here.netloc.rpartition("@")[0]
    host = there.netloc.rpartition("@")[2]
    return urlunsplit(there._replace(netloc=f"{user}@{host}" if user and same else host))


def _check(url: str, name: str, answer: Answer) -> None:
    """Refuse an answer that is not the file.

    Raises:
        DatasetError: says what it is.
    """
    if answer.status != 200:
        words = one_line(f"{answer.status} {answer.reason}", 60)
        raise DatasetError(f"the server answers {words} for `{url}`", _hint(answer.status))
    if answer.headers.get("content-type", "").partition(";")[0].strip().lower() == "text/html":
        hint = "give the address of the file itself, on GitHub that of its `Raw` button"
        raise DatasetError(f"`{url}` is a web page, expected a data file", hint)
    packed = answer.headers.get("content-encoding", "identity").strip().lower()
    # some servers say so of a file that is compressed itself
    if packed != "identity" and not (packed in ("gzip", "x-gzip") and name.lower().endswith(".gz")):
        message = f"`{url}` comes compressed ({one_line(packed, 40)}), though it was asked for as it is"
        raise DatasetError(message, "download it and name the file")


def _hint(status: int) -> str:
    if status in (401, 403):
        return "a signed address is good for a while only: get a new one; or download it and name the file"
    return "check the address"


def _room(folder: Path) -> int:
    """Bytes that a download may have: what the disk has, less some to spare."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    return min(_MOST_BYTES, free - min(_SPARE_BYTES, free // 10))


def _check_room(url: str, n_bytes: int, room: int) -> None:
    if n_bytes > room:
        size = file_size(room)
        hint = "free some space, set LOCALFT_HOME to another disk, or download what you need of it and name the file"
        raise DatasetError(f"`{url}` is larger than the {size} that there is room for", hint)
