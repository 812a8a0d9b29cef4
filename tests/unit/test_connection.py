"""A proxy that cannot be used is named with its cause, and none stands before this machine."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from localft.connection import Connection, NoAnswerError, is_here, through_proxy

ELSEWHERE = "http://data.invalid/x"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


@pytest.fixture
def here() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"hi")

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def reason(url: str) -> str:
    with closing(Connection({})) as connection, pytest.raises(NoAnswerError) as caught:  # noqa: SIM117
        with connection.request("GET", url):
            pass
    return caught.value.reason


@pytest.mark.parametrize(
    ("name", "proxy", "cause"),
    [
        ("HTTP_PROXY", "socks5://127.0.0.1:9", "'socksio' package is not installed"),
        ("ALL_PROXY", "socks5h://127.0.0.1:9", "'socksio' package is not installed"),
        ("http_proxy", "http://127.0.0.1:9", "Connection refused"),
        ("ALL_PROXY", "http://127.0.0.1:9", "Connection refused"),
        ("HTTP_PROXY", "x://y", "Unknown scheme"),
    ],
)
def test_a_proxy_that_does_not_do_is_named(
    name: str, proxy: str, cause: str, here: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the package for SOCKS there was a traceback; a proxy that refused read as if the server had."""
    monkeypatch.setenv(name, proxy)
    said = reason(ELSEWHERE)
    assert cause in said
    assert said.endswith(f" (through the proxy `{proxy}` that {name.upper()} names)")
    with closing(Connection({})) as connection, connection.request("GET", here) as answer:
        assert answer.body(9) == b"hi"


def test_a_password_of_a_proxy_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://me:word@127.0.0.1:9")
    assert "word" not in reason(ELSEWHERE)
    assert through_proxy(ELSEWHERE) == " (through the proxy `http://127.0.0.1:9` that HTTP_PROXY names)"


def test_no_proxy_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "data.invalid")
    assert through_proxy(ELSEWHERE) == ""
    assert through_proxy("https://other.invalid/") == "", "that is for http alone"


@pytest.mark.parametrize(
    ("url", "is_so"),
    [("http://localhost:8/", True), ("http://[::1]/", True), ("http://127.0.0.1.example/", False), ("http://[", False)],
)
def test_what_is_here(url: str, is_so: bool) -> None:
    assert is_here(url) is is_so
