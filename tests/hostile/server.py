"""A server on this machine that gives whatever lies in a folder, as GitHub's API and as an endpoint that is asked."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_NAMES = (
    (r"/issues\?", "issues"),
    (r"/issues/\d+/comments", "comments"),
    (r"/pulls/\d+/files", "files"),
    (r"/pulls/\d+/comments", "review_comments"),
    (r"/pulls/\d+/reviews", "reviews"),
    (r"/pulls/\d+", "pull"),
    (r"/issues/\d+", "issue"),
    (r"/chat/completions", "reply"),
)


class Handler(BaseHTTPRequestHandler):
    """Bodies are files of the server's folder; "headers" there holds headers of every answer, a line each."""

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        name = next((name for pattern, name in _NAMES if re.search(pattern, self.path)), "other")
        folder = self.server.folder  # type: ignore[attr-defined]
        with suppress(OSError):
            self.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n")
            self.wfile.write(_held(folder / "headers") + b"\r\n" + _held(folder / f"{name}.json"))

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        pass


def _held(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a server that reads `folder` anew for each request."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.folder = folder  # type: ignore[attr-defined]
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
