"""A server on 127.0.0.1 that answers with raw bytes, whatever HTTP says about them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# What a connection is sent: bytes, and seconds to wait between them.
Script = list[bytes | float]


def answer(body: bytes = b"", *headers: str, status: str = "200 OK", length: int | None = None) -> bytes:
    """An answer with its length, or with another one."""
    n_bytes = len(body) if length is None else length
    head = [f"HTTP/1.1 {status}", f"Content-Length: {n_bytes}", "Content-Type: application/json", *headers]
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body


class HostileServer:
    """Answers every request with the same script, `url` in it replaced; repeats its last bytes where `endless`."""

    def __init__(self) -> None:
        self.script: Script = []
        self.endless = False
        self.asked: list[bytes] = []
        self.stopped = threading.Event()
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.threads = [threading.Thread(target=self._accept, daemon=True)]
        self.threads[0].start()

    def _accept(self) -> None:
        while not self.stopped.is_set():
            with suppress(OSError):
                connection, _ = self.socket.accept()
                self.threads.append(threading.Thread(target=self._serve, args=(connection,), daemon=True))
                self.threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            asked = b""
            while b"\r\n\r\n" not in asked:
                asked += connection.recv(1 << 16) or b"\r\n\r\n"
            self.asked.append(asked)
            for part in self.script:
                self._send(connection, part)
            while self.endless and not self.stopped.is_set():
                for part in self.script[1:]:
                    self._send(connection, part)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 16):
                pass

    def _send(self, connection: socket.socket, part: bytes | float) -> None:
        if isinstance(part, bytes):
            connection.sendall(part)
        else:
            self.stopped.wait(part)

    def stop(self) -> None:
        self.stopped.set()
        # accept() does not see that its socket is closed
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        for thread in self.threads:
            thread.join(5)


@contextmanager
def hostile_server() -> Iterator[HostileServer]:
    server = HostileServer()
    try:
        yield server
    finally:
        server.stop()
