"""One request over http(s) and its answer, within limits of time: a server that stalls or trickles cannot hold us up.

What it opens is the address that it is given: no redirect is followed here.
"""

from __future__ import annotations

import functools
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from socket import SHUT_RDWR
from ssl import SSLContext
from typing import TYPE_CHECKING, Any
from urllib import request
from urllib.parse import urlsplit

import httpx2

from localft.addresses import without_secrets

if TYPE_CHECKING:
    import httpcore2

CONNECT_SECONDS = 10
SILENT_SECONDS = 30
# Of a body without a limit in seconds, this many bytes have to come in this many seconds.
STRIDE_BYTES, STRIDE_SECONDS = 1 << 16, 60
REDIRECTS = (301, 302, 303, 307, 308)
_LATE = "it takes too long"


class NoAnswerError(Exception):
    """There is no answer, or not all of it.

    Attributes:
        reason: why, in a few words, some of which may be the server's.
        late: it took too long.
    """

    def __init__(self, reason: str, late: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.late = reason, late


class TooLargeError(Exception):
    """The body is larger than it may be."""


@dataclass(frozen=True)
class Answer:
    """What a server answers.

    Attributes:
        status, reason: HTTP's, such as 404 and "Not Found".
        headers: by their names in lower case.
        next: the address of its Link header's rel="next", or "".
    """

    status: int
    reason: str
    headers: Mapping[str, str]
    next: str
    _response: httpx2.Response = field(repr=False)
    _watch: _Watch = field(repr=False)

    def chunks(self, raw: bool = False) -> Iterator[bytes]:
        """The body, piece by piece as it comes.

        Args:
            raw: as it was sent, where it is compressed for the way.

        Raises:
            NoAnswerError: it breaks off, or takes too long.
        """
        for chunk in self._response.iter_raw() if raw else self._response.iter_bytes():
            self._watch.saw(len(chunk))
            yield chunk
        if self._watch.late:  # a body without a length ends where the connection does
            raise NoAnswerError(_LATE, late=True)

    def body(self, most: int) -> bytes:
        """All of the body, decompressed.

        Raises:
            TooLargeError: it has more than `most` bytes.
        """
        found = bytearray()
        for chunk in self.chunks():
            found += chunk
            if len(found) > most:
                raise TooLargeError
        return bytes(found)


class Connection:
    """Makes requests, from several threads if need be.

    Args:
        headers: of every request.
        silent: seconds without a byte.
        total: seconds until the last byte; None: as long as bytes keep coming, see `STRIDE_BYTES`.
        keep: connections that are kept open for the next request.
    """

    def __init__(
        self, headers: Mapping[str, str], silent: float = SILENT_SECONDS, total: float | None = None, keep: int = 0
    ) -> None:
        self.total = total
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=keep)
        waits = httpx2.Timeout(silent, connect=min(silent, CONNECT_SECONDS), pool=None)

        def client(proxies: bool) -> httpx2.Client:
            return httpx2.Client(
                headers=dict(headers),
                timeout=waits,
                limits=limits,
                follow_redirects=False,
                verify=_certificates(),
                trust_env=proxies,
            )

        self._direct, self._trouble = client(False), ""
        try:
            self._http = client(True)
        # a proxy of the environment: SOCKS without its package, or what is no address
        except (ImportError, ValueError, httpx2.InvalidURL) as error:
            self._http, self._trouble = self._direct, _words(error)
        self._streams: dict[int, httpcore2.NetworkStream] = {}

    def close(self) -> None:
        self._http.close()
        self._direct.close()

    @contextmanager
    def request(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Iterator[Answer]:
        """The answer to one request, whose body is read inside the block.

        Raises:
            NoAnswerError: none came, or it broke off, also while the block read the body.
        """
        here = is_here(url)
        if self._trouble and not here:
            raise NoAnswerError(f"{self._trouble}{through_proxy(url)}")
        watch = _Watch(self.total, self._streams.get(threading.get_ident()))

        def note(event: str, facts: Mapping[str, Any]) -> None:
            if event.endswith(("connect_tcp.complete", "start_tls.complete")):
                watch.stream = self._streams[threading.get_ident()] = facts["return_value"]

        asked = (self._direct if here else self._http).stream(
            method, url, headers=headers, content=body, extensions={"trace": note}
        )
        try:
            with watch, asked as response:
                given = {name.lower(): value for name, value in response.headers.items()}
                following = response.links.get("next", {}).get("url", "")
                yield Answer(response.status_code, response.reason_phrase, given, following, response, watch)
        except httpx2.InvalidURL:
            # whose words would quote a password that is taken for a port
            raise NoAnswerError("it is no address") from None
        except httpx2.HTTPError as error:
            late = watch.late or isinstance(error, httpx2.TimeoutException)
            raise NoAnswerError(f"{_LATE if late else _words(error)}{through_proxy(url)}", late) from None


def is_here(url: str) -> bool:
    """Whether an address is of this machine, which a proxy would look for on its own."""
    try:
        return urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")
    except ValueError:
        return False


def through_proxy(url: str) -> str:
    """The proxy that the environment names for `url`, as " (through the proxy …)"; "" where there is none."""
    try:
        parts = urlsplit(url)
        if is_here(url) or request.proxy_bypass(parts.hostname or ""):
            return ""
    except ValueError:
        return ""
    proxies = request.getproxies()
    name = next((name for name in (parts.scheme, "all") if name in proxies), None)
    return f" (through the proxy `{without_secrets(proxies[name])}` that {name.upper()}_PROXY names)" if name else ""


@functools.cache
def _certificates() -> SSLContext:
    """Those that this system trusts; reading them takes longer than a request to this machine."""
    return httpx2.create_ssl_context()


class _Watch:
    """Hangs up once time is over, wherever the request stands: in its headers, or between two bytes of a chunk's."""

    def __init__(self, total: float | None, stream: httpcore2.NetworkStream | None) -> None:
        self.stream = stream
        self.late = False
        self._deadline = time.monotonic() + (STRIDE_SECONDS if total is None else total)
        self._total, self._n_bytes = total, 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._wait, daemon=True)

    def saw(self, n_bytes: int) -> None:
        """Bytes have come."""
        self._n_bytes += n_bytes
        if self._total is None and self._n_bytes >= STRIDE_BYTES:
            self._n_bytes, self._deadline = 0, time.monotonic() + STRIDE_SECONDS

    def _wait(self) -> None:
        while (left := self._deadline - time.monotonic()) > 0:
            if self._done.wait(left):
                return
        self.late = True
        # again and again: it may be about to connect
        while not self._done.wait(0.05):
            with suppress(OSError, AttributeError):
                self.stream.get_extra_info("socket").shutdown(SHUT_RDWR)  # type: ignore[union-attr]

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


def _words(error: Exception) -> str:
    return re.sub(r"^\[Errno -?\d+\] ", "", str(error)) or type(error).__name__
