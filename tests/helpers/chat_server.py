"""A server on this machine that speaks /v1/chat/completions as the test tells it to."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Respond = Callable[[int, dict[str, Any]], "tuple[int, Any, dict[str, str]]"]


def completion(content: str | None, usage: tuple[int, int] | None = (100, 20)) -> tuple[int, Any, dict[str, str]]:
    """A response with an answer."""
    body: dict[str, Any] = {"choices": [{"message": {"role": "assistant", "content": content}}]}
    if usage:
        body["usage"] = {"prompt_tokens": usage[0], "completion_tokens": usage[1]}
    return 200, body, {}


def refusal(status: int, message: str = "", **headers: str) -> tuple[int, Any, dict[str, str]]:
    """An error as OpenAI's API words it."""
    return status, {"error": {"message": message}}, {name.replace("_", "-"): value for name, value in headers.items()}


@dataclass
class ChatServer:
    """Keeps every request: its body, and its headers."""

    url: str
    respond: Respond
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)


@contextmanager
def chat_server(respond: Respond) -> Iterator[ChatServer]:
    """Answer each request with `respond(how many came before, its body)`: status, body (JSON or bytes), headers."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                n = len(found.bodies)
                found.bodies.append(body)
                found.headers.append(dict(self.headers))
                found.paths.append(self.path)
            status, value, headers = found.respond(n, body)
            data = value if isinstance(value, bytes) else json.dumps(value).encode()
            self.send_response(status)
            for name, text in headers.items():
                self.send_header(name, text)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    found = ChatServer(f"http://127.0.0.1:{server.server_port}/v1", respond)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
