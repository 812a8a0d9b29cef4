"""GitHub's REST API over HTTP: what is asked, tried again, waited for, and where the token may go."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from json import JSONDecodeError
from typing import Any

import httpx2

from localft import __version__
from localft.connection import REDIRECTS, Connection, NoAnswerError, TooLargeError
from localft.curation.github.api import trouble
from localft.curation.github.api.access import Token
from localft.curation.github.api.limits import Pause, asked_pause, spent_pause, wait_words
from localft.curation.masking import Mask
from localft.errors import ConfigError
from localft.json_text import parse_json
from localft.visible import one_line

TRIES = 5
LIMIT_TRIES = 4
_MAX_BYTES = 64 << 20
_MAX_SECONDS = 120
_MAX_REDIRECTS = 5
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_BROKEN = object()
_NOT_GITHUB = "check --api-url: it must be the address of GitHub's REST API"
_HEADERS = {
    "Accept": "application/vnd.github+json",
    "X-GitHub-Api-Version": "2022-11-28",
    "User-Agent": f"localft/{__version__}",
}


@dataclass(frozen=True)
class Answer:
    """One page of the API.

    Attributes:
        value: the JSON value; None where `changed` is False.
        changed: False after 304: what the ETag was asked with is still so.
        etag: to ask with the next time, or "".
        next: address of the next page, or "".
    """

    value: Any
    changed: bool
    etag: str = ""
    next: str = ""


@dataclass(frozen=True)
class _Response:
    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes
    next: str


@dataclass
class Client:
    """Requests, one after the other, with GitHub's limits kept and failures tried again.

    Attributes:
        api_url: address of the API, such as "https://api.github.com".
        token: sent to that address only; None asks without one.
        max_wait: the longest wait, seconds; a longer one is an error.
        say: told a line about every wait.
        n_requests, n_not_modified: answers so far, and those of them that cost nothing (304).
        remaining: requests left this hour as GitHub last said, or None.
    """

    api_url: str
    token: Token | None
    max_wait: float
    say: Callable[[str], None]
    n_requests: int = field(default=0, init=False)
    n_not_modified: int = field(default=0, init=False)
    remaining: int | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._base = parse_api_url(self.api_url)
        self.host = self._base.host
        if self.token and self._base.scheme == "http" and self.host not in _LOOPBACK:
            hint = f"give an https address, or unset {self.token.variable}"
            raise ConfigError(f"`--api-url {self.api_url}` would send the token unencrypted", hint)
        self._free_at = 0.0
        # before anything else sees it: a server may say the token that it was sent
        self._mask = Mask(self.token.value if self.token else "", "[token]")
        self._http = Connection(_HEADERS, total=_MAX_SECONDS, keep=1)

    def close(self) -> None:
        self._http.close()

    def address(self, path: str, **query: str) -> str:
        """The whole address of "/repos/…", with a query."""
        url = self._base.copy_with(raw_path=(self._base.path.rstrip("/") + path).encode())
        return str(url.copy_merge_params(query) if query else url)

    def get(self, address: str, etag: str = "") -> Answer:
        """One page.

        Args:
            address: as `address` or an answer's `next` gives it.
            etag: of the copy that is there already, or "".

        Raises:
            GitHubError: refused, failed for good, a wait too long, another host, or no JSON.
        """
        self._ours(address, address, "continues at")
        failures = limits = redirects = 0
        while True:
            self._wait_until_free()
            response = self._send(address, etag)
            if isinstance(response, str):
                failures += 1
                self._again(failures, f"no answer: {response}", trouble.unreachable(self.host, response))
                continue
            pause = self._limited(response, limits)
            if pause:
                self._wait(pause, limits)
                limits += 1
            elif response.status in REDIRECTS:
                redirects += 1
                address = self._redirected(address, response, redirects)
            elif response.status >= 500:
                failures += 1
                self._again(failures, f"GitHub answered {response.status}", self._refused(address, response))
            elif response.status == 304 and etag:
                self.n_not_modified += 1
                return Answer(None, False, etag, self._next(address, response))
            elif response.status == 200:
                value = self._value(address, response)
                if value is not _BROKEN:
                    return Answer(value, True, _etag(response), self._next(address, response))
                failures += 1
                self._again(failures, "the answer is broken off", self._no_json(address, response))
            else:
                raise self._refused(address, response)

    def _value(self, address: str, response: _Response) -> Any:
        """The JSON value, or _BROKEN."""
        if "json" not in response.headers.get("content-type", "json"):
            raise self._no_json(address, response)
        try:
            return self._mask.value(parse_json(response.body))
        except (JSONDecodeError, UnicodeDecodeError):
            return _BROKEN
        except ValueError as error:
            raise trouble.GitHubError(f"the answer for `{_path(address)}` is not read: {error}", _NOT_GITHUB) from None

    def _send(self, address: str, etag: str) -> _Response | str:
        """The answer, or in a few words why there is none."""
        headers = {"If-None-Match": etag} if etag else {}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token.value}"
        try:
            with self._http.request("GET", address, headers) as answer:
                body = answer.body(_MAX_BYTES)
        except TooLargeError:
            raise trouble.GitHubError(f"the answer for `{_path(address)}` is larger than 64 MiB", _NOT_GITHUB) from None
        except NoAnswerError as error:
            words = self._mask.text(error.reason)
            if "CERTIFICATE_VERIFY_FAILED" in words:
                raise trouble.unreachable(self.host, words) from None
            return words
        self.n_requests += 1
        values = {name: self._mask.text(value) for name, value in answer.headers.items()}
        response = _Response(answer.status, values, body, self._mask.text(answer.next))
        self._note_allowance(response)
        return response

    def _note_allowance(self, response: _Response) -> None:
        left = response.headers.get("x-ratelimit-remaining", "")
        if left.isdecimal():
            self.remaining = int(left[:12])
        spent = spent_pause(response.headers, time.time())
        self._free_at = time.time() + spent.seconds if spent else 0.0

    def _limited(self, response: _Response, n_before: int) -> Pause | None:
        message = self._said(response)
        return asked_pause(response.status, response.headers, message, n_before, time.time())

    def _wait_until_free(self) -> None:
        """No request is made of which GitHub said beforehand that it would refuse it."""
        left = self._free_at - time.time()
        if left > 0:
            self._free_at = 0.0
            self._wait(Pause(left, "rate limit"))

    def _wait(self, pause: Pause, n_before: int = 0) -> None:
        if n_before >= LIMIT_TRIES or pause.seconds > self.max_wait:
            raise trouble.too_long(pause, n_before, self.max_wait, time.time(), self.token, self.host)
        self._free_at = 0.0
        self.say(f"GitHub's {pause.reason}: waiting {wait_words(pause.seconds, time.time())}")
        time.sleep(pause.seconds)

    def _again(self, failures: int, reason: str, error: trouble.GitHubError) -> None:
        """Wait a while before the next try, or raise after the last."""
        if failures >= TRIES:
            raise error from None
        seconds = 2 ** (failures - 1)
        self.say(f"{one_line(reason)}; try {failures + 1} of {TRIES} in {seconds} s")
        time.sleep(seconds)

    def _redirected(self, address: str, response: _Response, redirects: int) -> str:
        target = response.headers.get("location", "")
        if not target or redirects > _MAX_REDIRECTS:
            raise trouble.GitHubError(f"`{_path(address)}` redirects without end or to nowhere", "check --api-url")
        return self._ours(address, target, "redirects to")

    def _next(self, address: str, response: _Response) -> str:
        return self._ours(address, response.next, "continues at") if response.next else ""

    def _ours(self, address: str, target: str, does: str) -> str:
        """Refuse a target elsewhere: no other host's answer is wanted, and none gets the token."""
        try:
            url = httpx2.URL(address).join(target)
        except httpx2.InvalidURL:
            url = httpx2.URL("")
        if (url.scheme, url.host, url.port) != (self._base.scheme, self._base.host, self._base.port):
            raise trouble.GitHubError(
                f"`{self.host}` {does} another place, `{one_line(target)}`, which is not followed",
                "check --api-url: it must be the API's own address",
            )
        return str(url)

    def _refused(self, address: str, response: _Response) -> trouble.GitHubError:
        message = self._said(response)
        return trouble.refused(response.status, message, response.headers, _path(address), self.token, self.host)

    def _said(self, response: _Response) -> str:
        return trouble.message_of(response.body, self._mask)

    def _no_json(self, address: str, response: _Response) -> trouble.GitHubError:
        kind = one_line(response.headers.get("content-type", "nothing that says what it is"))
        hint = "check --api-url: for GitHub Enterprise Server it ends in /api/v3"
        return trouble.GitHubError(f"the answer for `{_path(address)}` is no JSON but {kind}", hint)


def parse_api_url(text: str) -> httpx2.URL:
    """The address of an API.

    Raises:
        ConfigError: it is no http or https address, or carries a password or a query.
    """
    try:
        url = httpx2.URL(text.strip())
    except httpx2.InvalidURL:
        url = httpx2.URL("")
    if url.scheme not in ("http", "https") or not url.host or url.userinfo or url.query or url.fragment:
        hint = "such as https://api.github.com, or https://HOST/api/v3 for GitHub Enterprise Server"
        shown = "--api-url" if url.userinfo else f"--api-url {text}"
        raise ConfigError(f"`{shown}` is no address of an API", hint)
    return url


def _etag(response: _Response) -> str:
    """What may be sent back as it is, "" where it may not."""
    etag = response.headers.get("etag", "")
    return etag if re.fullmatch(r"[\x21-\x7e]{1,200}", etag) else ""


def _path(address: str) -> str:
    return one_line(httpx2.URL(address).path)
