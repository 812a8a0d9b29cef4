"""The client of GitHub's API against a server of our own: limits, failures, redirects, and where the token goes."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import pytest
from github_server import NOW, Clock, Fault, GitHub

from localft.curation.github.api import client as module
from localft.curation.github.api.access import Token, find_token, without_token
from localft.curation.github.api.client import Client
from localft.curation.github.api.limits import Pause, asked_pause
from localft.curation.github.api.trouble import GitHubError
from localft.errors import ConfigError

SECRET = "ghp_" + "x1" * 18
SPENT = {"x-ratelimit-remaining": "0"}
LIST = "`/repos/owner/name/issues`"
OPEN: list[Client] = []


@pytest.fixture
def github() -> Iterator[GitHub]:
    github = GitHub()
    github.issue(1, "First")
    yield github
    while OPEN:
        OPEN.pop().close()
    github.stop()


@pytest.fixture
def clock(github: GitHub, monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock(github)
    monkeypatch.setattr(module, "time", clock)
    return clock


class Asking:
    """A client with what it said."""

    def __init__(self, github: GitHub, token: Token | None = None, max_wait: float = 3600) -> None:
        self.said: list[str] = []
        self.client = Client(github.url, token, max_wait, self.said.append)
        OPEN.append(self.client)

    def get(self, path: str = "/repos/owner/name/issues") -> list[int]:
        return [record["number"] for record in self.client.get(self.client.address(path)).value]

    def error(self, path: str = "/repos/owner/name/issues") -> GitHubError:
        with pytest.raises(GitHubError) as caught:
            self.client.get(self.client.address(path))
        assert SECRET not in f"{caught.value.message} {caught.value.hint} {self.said} {self.client!r}"
        return caught.value


def test_the_primary_limit_is_waited_for_until_its_reset(github: GitHub, clock: Clock) -> None:
    github.remaining, github.reset = 0, NOW + 192
    asking = Asking(github)
    assert asking.get() == [1]
    assert clock.waits == [193]
    assert [ask.status for ask in github.asked] == [403, 200]
    assert asking.said[0].startswith("GitHub's rate limit: waiting 3:13, until ")


def test_no_request_is_made_that_would_be_refused(github: GitHub, clock: Clock) -> None:
    """The answer before said that nothing remains: GitHub bans clients that go on asking."""
    github.remaining, github.reset = 1, NOW + 60
    asking = Asking(github)
    asking.get()
    asking.get()
    assert [ask.status for ask in github.asked] == [200, 200]
    assert clock.waits == [61]


def test_a_clock_that_is_wrong_does_not_change_the_wait(github: GitHub, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(github, ahead=7200)
    monkeypatch.setattr(module, "time", clock)
    github.remaining, github.reset = 0, NOW + 100
    Asking(github).get()
    assert clock.waits == [101]


def test_a_secondary_limit_says_how_long(github: GitHub, clock: Clock) -> None:
    body = b'{"message": "You have exceeded a secondary rate limit"}'
    github.faults.append(Fault("issues", 403, body, {"Retry-After": "17"}))
    asking = Asking(github)
    assert asking.get() == [1]
    assert clock.waits == [17]
    assert asking.said[0].startswith("GitHub's secondary rate limit: waiting 0:17")


def test_a_secondary_limit_that_does_not_say_is_waited_for_longer_each_time(github: GitHub, clock: Clock) -> None:
    github.faults.append(Fault("issues", 429, b'{"message": "slow down"}', times=3))
    assert Asking(github).get() == [1]
    assert clock.waits == [60, 120, 240]


def test_a_limit_that_holds_for_good_is_an_error(github: GitHub, clock: Clock) -> None:
    github.faults.append(Fault("issues", 429, times=9))
    error = Asking(github).error()
    assert error.message == "GitHub's secondary rate limit still holds after 4 waits"
    assert clock.waits == [60, 120, 240, 480]


def test_a_wait_that_is_too_long_is_an_error_with_what_to_do(github: GitHub, clock: Clock) -> None:
    github.remaining, github.reset = 0, NOW + 1799
    error = Asking(github, max_wait=900).error()
    assert error.message.startswith("GitHub's rate limit asks to wait 30:00, until ")
    assert error.message.endswith(", and --max-wait allows 15 minutes")
    assert error.hint is not None
    assert error.hint.startswith("set GITHUB_ENTERPRISE_TOKEN: with a token GitHub allows 5,000 requests an hour")
    error = Asking(github, Token(SECRET, "GH_TOKEN"), max_wait=900).error()
    assert error.hint is not None
    assert error.hint.endswith("or give `--max-wait 31`")
    assert "`--offline`" in error.hint
    assert clock.waits == []


@pytest.mark.parametrize(
    ("status", "headers", "message", "expected"),
    [
        (403, {}, "Resource not accessible by integration", None),
        (403, {"x-ratelimit-remaining": "4999", "x-ratelimit-reset": "1"}, "Must have admin rights", None),
        (403, SPENT | {"x-ratelimit-reset": "soon"}, "", None),
        (403, {}, "You have exceeded a secondary rate limit", Pause(120.0, "secondary rate limit")),
        (429, {"retry-after": "-5"}, "", Pause(120.0, "secondary rate limit")),
        (429, {"retry-after": "9" * 400}, "", Pause(120.0, "secondary rate limit")),
        (429, {"retry-after": "0"}, "", Pause(0, "secondary rate limit")),
        (403, SPENT | {"x-ratelimit-reset": "900"}, "", Pause(1.0, "rate limit")),
        (403, SPENT | {"x-ratelimit-reset": "1100", "date": "nonsense"}, "", Pause(101, "rate limit")),
        (200, {"retry-after": "5"}, "", None),
    ],
)
def test_what_headers_ask_for(status: int, headers: dict[str, str], message: str, expected: Pause | None) -> None:
    assert asked_pause(status, headers, message, 1, 1000.0) == expected


def test_failures_are_tried_again_with_longer_pauses(github: GitHub, clock: Clock) -> None:
    github.faults += [
        Fault("issues", 502, b"<html>"),
        Fault("issues", drop=True),
        Fault("issues", body=b'[{"number": 1}]' * 50, cut=True),
        Fault("issues", body=b'[{"number": 1'),
    ]
    asking = Asking(github)
    assert asking.get() == [1]
    assert clock.waits == [1, 2, 4, 8]
    assert asking.said[0] == "GitHub answered 502; try 2 of 5 in 1 s"
    assert asking.said[3] == "the answer is broken off; try 5 of 5 in 8 s"


@pytest.mark.parametrize(
    ("fault", "message", "hint"),
    [
        (
            Fault("issues", 500, b'{"message": "Oh no"}', times=9),
            f"GitHub answered 500 for {LIST}: Oh no",
            "goes on where",
        ),
        (Fault("issues", body=b"[", times=9), f"the answer for {LIST} is no JSON but application/json", "/api/v3"),
        (Fault("issues", drop=True, times=9), "`127.0.0.1` cannot be reached: ", "`--offline`"),
    ],
)
def test_failures_for_good(github: GitHub, clock: Clock, fault: Fault, message: str, hint: str) -> None:
    github.faults.append(fault)
    error = Asking(github).error()
    assert error.message.startswith(message)
    assert error.hint is not None
    assert hint in error.hint
    assert len(github.asked) == 5


def test_no_network(github: GitHub, clock: Clock) -> None:
    github.url = "http://127.0.0.1:9"
    error = Asking(github).error()
    assert error.message.startswith("`127.0.0.1` cannot be reached: ")
    assert "check the network" in str(error.hint)
    assert clock.waits == [1, 2, 4, 8]


def test_a_page_in_place_of_the_api_is_not_asked_for_again(github: GitHub, clock: Clock) -> None:
    github.faults.append(Fault("issues", body=b"<html>", headers={"Content-Type": "text/html"}, times=9))
    assert "is no JSON but text/html" in Asking(github).error().message
    assert len(github.asked) == 1


@pytest.mark.parametrize(
    ("status", "headers", "message", "hint"),
    [
        (401, {}, "GitHub refused the token in GH_TOKEN (401: No)", "make a new one"),
        (404, {}, "GitHub has no `/repos/owner/name/issues`, or does not show it (404)", "may read it (GH_TOKEN)"),
        (403, {}, "GitHub does not allow to read `/repos/owner/name/issues` (403: No)", "what the token may read"),
        (403, {"X-Accepted-GitHub-Permissions": "issues=read"}, "GitHub does not allow", "the token needs issues=read"),
        (403, {"X-GitHub-SSO": "required; url=https://x"}, "GitHub does not allow", "single sign-on"),
        (451, {}, "GitHub answered 451 for `/repos/owner/name/issues`: No", "check"),
    ],
)
def test_refusals(github: GitHub, status: int, headers: dict[str, str], message: str, hint: str) -> None:
    github.faults.append(Fault("issues", status, b'{"message": "No"}', headers))
    error = Asking(github, Token(SECRET, "GH_TOKEN")).error()
    assert error.message.startswith(message)
    assert error.hint is not None
    assert hint in error.hint
    assert len(github.asked) == 1


def test_a_server_cannot_write_on_the_terminal(github: GitHub) -> None:
    said = json.dumps({"message": "a\x1b[31m\nb" + "c" * 5000}).encode()
    github.faults.append(Fault("issues", 422, said))
    message = Asking(github).error().message
    assert message.isprintable()
    assert len(message) < 300


def test_pages_follow_the_link_header(github: GitHub) -> None:
    for number in (2, 3):
        github.issue(number, "More")
    github.page_size = 2
    client = Asking(github).client
    first = client.get(client.address("/repos/owner/name/issues", state="all", per_page="100"))
    second = client.get(first.next)
    assert [[r["number"] for r in answer.value] for answer in (first, second)] == [[3, 2], [1]]
    assert second.next == ""


def test_an_etag_makes_the_second_time_free(github: GitHub) -> None:
    client = Asking(github).client
    address = client.address("/repos/owner/name/issues")
    first = client.get(address)
    assert client.get(address, first.etag).changed is False
    assert (client.n_requests, client.n_not_modified, client.remaining) == (2, 1, 4999)
    github.issue(2, "New")
    assert client.get(address, first.etag).changed is True


def test_the_token_is_sent_and_nothing_else_is(github: GitHub) -> None:
    github.token = SECRET
    Asking(github, Token(SECRET, "GH_TOKEN")).get()
    headers = github.asked[0].headers
    assert headers["authorization"] == f"Bearer {SECRET}"
    assert headers["x-github-api-version"] == "2022-11-28"
    assert headers["user-agent"].startswith("localft/")
    assert "cookie" not in headers


BASIC = base64.b64encode(f"x-access-token:{SECRET}".encode()).decode()


@pytest.mark.parametrize("echo", [SECRET, "".join(f"%{ord(char):02X}" for char in SECRET), BASIC])
def test_a_token_that_a_server_says_is_masked(github: GitHub, clock: Clock, echo: str) -> None:
    """Its words become messages, and its values rows and files of the cache."""
    asking = Asking(github, Token(SECRET, "GH_TOKEN"))
    said = json.dumps({"message": f"Bad {echo}"}).encode()
    for status in (401, 403, 422, 500, 502):
        github.faults[:] = [Fault("issues", status, said, times=9)]
        error = asking.error()
        assert echo[-12:] not in f"{error.message} {error.hint} {asking.said}"
    headers = {"Link": f'<{github.url}/repos/owner/name/issues?t={echo}>; rel="next"', "ETag": f'"{echo}"'}
    github.faults[:] = [Fault("issues", 200, json.dumps([{echo: [f"<{echo}>"]}]).encode(), headers)]
    answer = asking.client.get(asking.client.address("/repos/owner/name/issues"))
    assert echo[-12:] not in f"{answer}"
    github.faults[:] = [Fault("issues", 302, b"", {"Location": f"https://elsewhere/{echo}"})]
    assert echo[-12:] not in asking.error().message


def test_an_etag_that_cannot_be_sent_back_is_forgotten(github: GitHub) -> None:
    client = Asking(github).client
    for etag in ('"\xe9"', '"' + "a" * 500 + '"', '"a b"'):
        github.faults.append(Fault("issues", 200, b"[]", {"ETag": etag}))
        assert client.get(client.address("/repos/owner/name/issues")).etag == ""


def test_a_redirect_on_the_same_host_is_followed(github: GitHub) -> None:
    github.issue(7, "Moved", "new/place")
    github.moved["owner/old"] = "new/place"
    assert Asking(github).get("/repos/owner/old/issues") == [7]


@pytest.mark.parametrize("way", ["redirect", "link"])
def test_the_token_never_leaves_for_another_host(github: GitHub, way: str) -> None:
    """Another port is another host: whoever answers there is not who the token is for."""
    other = GitHub()
    try:
        elsewhere = f"{other.url}/repos/owner/name/issues"
        headers = {"Location": elsewhere} if way == "redirect" else {"Link": f'<{elsewhere}>; rel="next"'}
        github.faults.append(Fault("issues", 302 if way == "redirect" else 200, b"[]", headers))
        error = Asking(github, Token(SECRET, "GH_TOKEN")).error()
        assert f"another place, `{elsewhere}`, which is not followed" in error.message
        assert other.asked == []
    finally:
        other.stop()


def test_an_address_from_elsewhere_is_not_asked_at_all(github: GitHub) -> None:
    with pytest.raises(GitHubError, match="another place"):
        Asking(github, Token(SECRET, "GH_TOKEN")).client.get("https://example.com/repos")


def test_redirects_end(github: GitHub) -> None:
    github.faults.append(Fault("issues", 301, b"", {"Location": "/repos/owner/name/issues"}, times=99))
    assert "redirects without end" in Asking(github).error().message
    assert len(github.asked) == 6
    github.faults[:] = [Fault("issues", 301)]
    assert "or to nowhere" in Asking(github).error().message
    github.faults[:] = [Fault("issues", 301, b"", {"Location": "http://host:x"})]
    assert "another place" in Asking(github).error().message


def test_a_token_is_not_sent_unencrypted() -> None:
    with pytest.raises(ConfigError, match="would send the token unencrypted"):
        Client("http://github.example.com/api/v3", Token(SECRET, "GH_TOKEN"), 1, print)


@pytest.mark.parametrize("url", ["github.com", "ftp://host", "https://", "https://host/?a=b", "http://host:x", ""])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(ConfigError, match="is no address of an API"):
        Client(url, None, 1, print)


def test_a_password_in_the_address_is_not_printed() -> None:
    with pytest.raises(ConfigError) as caught:
        Client(f"https://me:{SECRET}@host/", None, 1, print)
    assert SECRET not in str(caught.value)


def test_tokens_are_for_one_kind_of_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", SECRET)
    assert find_token("api.github.com") == Token(SECRET, "GITHUB_TOKEN")
    assert find_token("api.acme.ghe.com") == Token(SECRET, "GITHUB_TOKEN")
    for host in ("127.0.0.1", "github.com.example.com", "notgithub.com"):
        assert find_token(host) is None
    expected = "GITHUB_TOKEN is for github.com and not sent to ghe.example.com; GITHUB_ENTERPRISE_TOKEN would be"
    assert without_token("ghe.example.com") == expected
    monkeypatch.setenv("GH_TOKEN", " other ")
    assert find_token("api.github.com") == Token("other", "GH_TOKEN")
    monkeypatch.setenv("GH_ENTERPRISE_TOKEN", SECRET)
    assert find_token("ghe.example.com") == Token(SECRET, "GH_ENTERPRISE_TOKEN")
    monkeypatch.setenv("GH_TOKEN", "two words")
    with pytest.raises(ConfigError) as caught:
        find_token("api.github.com")
    assert "two words" not in str(caught.value)
