"""Shared fixtures: a temporary home for every test, no network but loopback, and the development data where it is."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

# A shell starts what it puts into the background with Ctrl-C ignored, nohup with SIGHUP; children inherit that, and
# tests send both.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A LOCALFT_HOME of the test's own, and no Hugging Face cache but one inside it."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("LOCALFT_HOME", str(folder))
    monkeypatch.setenv("HF_HOME", str(folder / "hf"))
    monkeypatch.setenv("NO_COLOR", "1")
    return folder


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail any connection that leaves the machine."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        host = address[0] if isinstance(address, tuple) else "unix"
        if host not in ("127.0.0.1", "localhost", "::1", "unix"):
            raise AssertionError(f"a test tried to reach {host!r}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(autouse=True)
def no_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process is started to try a GGUF first; a test of that has a fixture of this name of its own."""
    monkeypatch.setattr("localft.model.probe._try", lambda *_: None)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of development data; the test is skipped where LOCALFT_SHARED is not set."""
    value = os.environ.get("LOCALFT_SHARED")
    if not value:
        pytest.skip("LOCALFT_SHARED is not set")
    return Path(value).resolve()
