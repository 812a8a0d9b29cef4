"""Data files from http(s) addresses: downloaded once, whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import re
from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit
from urllib.request import Request, urlopen

from localft.data.reading.data_file import data_suffix
from localft.errors import DatasetError
from localft.files import atomic_path
from localft.home import localft_home
from localft.report import Report

KNOWN = (".jsonl", ".json", ".ndjson", ".csv", ".tsv", ".parquet", ".txt", ".md")
_TIMEOUT = 30
_CHUNK = 1 << 20


def download(url: str, report: Report | None = None) -> Path:
    """The file at `url`, kept in localft's home under the hash of its address, and fetched where it is not there yet.

    Args:
        report: called as report(stage, bytes that are there, bytes in all or 0).

    Raises:
        DatasetError: no network, an error from the server, less than it promised, a web page in place of data, a
            name that says nothing of the format, a full disk.
    """
    target = kept_at(url)
    if target.is_file():
        return target
    try:
        with atomic_path(target) as temporary, temporary.open("wb") as file:
            for chunk in _read(url, target.name, report):
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
        name = re.sub(r"[^\w.-]", "_", unquote(urlsplit(url).path).rpartition("/")[2])[-100:]
    except ValueError as error:
        raise DatasetError(f"`{url}` is no address: {error}", "expected https://HOST/PATH") from None
    if data_suffix(Path(name)) not in KNOWN:
        hint = f"download it and give it a name with one of {', '.join(KNOWN)}"
        raise DatasetError(f"`{url}` does not end in the name of a data file", hint)
    return localft_home() / "data" / "web" / hashlib.sha256(url.encode()).hexdigest()[:16] / name


def _read(url: str, name: str, report: Report | None) -> Iterator[bytes]:
    """The body, chunk by chunk; errors of the network as sentences, those of the disk are not met here."""
    try:
        request = Request(url, headers={"User-Agent": "localft", "Accept-Encoding": "identity"})
        response: HTTPResponse
        with urlopen(request, timeout=_TIMEOUT) as response:
            if response.headers.get_content_type() == "text/html":
                hint = "give the address of the file itself, on GitHub that of its `Raw` button"
                raise DatasetError(f"`{url}` is a web page, expected a data file", hint)
            total, done = int(response.headers.get("Content-Length") or 0), 0
            while chunk := response.read(_CHUNK):
                done += len(chunk)
                if report:
                    report(f"downloading {name}", done, total)
                yield chunk
            if done < total:
                raise DatasetError(f"`{url}` broke off after {done:,} of {total:,} bytes", "try again")
    except HTTPError as error:
        error.close()
        raise DatasetError(f"the server answers {error.code} {error.reason} for `{url}`", "check the address") from None
    except (HTTPException, OSError, ValueError) as error:
        reason = error.reason if isinstance(error, URLError) else error
        raise DatasetError(f"`{url}` cannot be reached: {reason}", "check the address and the network") from None
