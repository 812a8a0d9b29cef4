"""A run on data behind a signed address or a password: neither is shown or kept, and the run goes on without it."""

from __future__ import annotations

import base64
import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from tiny_llama import write_model

import localft
from localft.cli.data.check import run_command as check
from localft.data.reading.sources import find_sources
from localft.errors import ConfigError, DatasetError, LocalftError
from localft.events import Step, json_line

SECRET, OTHER, PASSWORD = "5f3aSECRETc0ffee", "77aaSECRETbeef11", "hunter2SECRET"
ROWS = "".join(json.dumps({"prompt": f"say {i}?", "completion": f" it is {i * i}."}) + "\n" for i in range(24)).encode()
LOGIN = "Basic " + base64.b64encode(f"me:{PASSWORD}".encode()).decode()


class Store(BaseHTTPRequestHandler):
    """Gives rows to who has a signature or the password; `/to/…` leads to another host's address of the same."""

    asked: list[tuple[str, str]] = []  # noqa: RUF012
    other = ""

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers.get("Authorization", "")))
        where = urlsplit(self.path)
        signed = parse_qs(where.query).get("X-Amz-Signature", [""])[0] in (SECRET, OTHER)
        moved = where.path.startswith(("/to/", "/here/"))
        self.send_response(302 if moved else 200 if signed or self.headers.get("Authorization") == LOGIN else 403)
        if moved:
            place = self.other if where.path.startswith("/to/") else f"http://{self.headers['Host']}"
            self.send_header("Location", f"{place}/rows.jsonl")
        body = ROWS if signed or self.headers.get("Authorization") == LOGIN else b""
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def store() -> Iterator[str]:
    """Its host and port; a second server is `Store.other`."""
    Store.asked.clear()
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), Store) for _ in range(2)]
    threads = [threading.Thread(target=each.serve_forever, kwargs={"poll_interval": 0.01}) for each in servers]
    for thread in threads:
        thread.start()
    Store.other = f"http://127.0.0.1:{servers[1].server_port}"
    yield f"127.0.0.1:{servers[0].server_port}"
    for server, thread in zip(servers, threads, strict=True):
        server.shutdown()
        thread.join()
        server.server_close()


def signed(store: str, signature: str, name: str = "rows.jsonl") -> str:
    more = f"X-Amz-Credential=AK{signature}%2Fs3&X-Amz-Security-Token={signature}&X-Amz-Expires=60"
    return f"http://{store}/{name}?v=1&{more}&X-Amz-Signature={signature}"


def kept(*folders: Path) -> bytes:
    """The names and contents of everything in the folders."""
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return b"".join(str(path).encode() + path.read_bytes() for path in files)


def test_a_run_on_a_signed_address_goes_on_without_it(
    store: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path / "base.gguf")
    login = f"http://me:{PASSWORD}@{store}/val/rows.jsonl"
    limits = {"lr": 0.01, "threads": 1, "lora_rank": 4, "batch_size": 4, "on_leak": "warn", "checkpoint_every": 2}
    first = list(
        localft.finetune("base.gguf", f"{signed(store, SECRET)}:2", out="run", val_data=login, max_steps=4, **limits)
    )
    said = "\n".join(map(json_line, first))
    assert f"http://{store}/rows.jsonl?v=1:2" in said
    assert b"SECRET" not in kept(tmp_path, home)
    assert "SECRET" not in said
    settings = json.loads((tmp_path / "run/config.json").read_text())["settings"]
    assert settings["data"]["value"] == [f"http://{store}/rows.jsonl?v=1:2"]
    n_asked = len(Store.asked)

    # from the cache, the weight kept; an address that is signed anew is the same
    again = list(localft.finetune(resume="run", max_steps=6, data=[f"{signed(store, OTHER)}:2"]))
    assert [event.step for event in again if isinstance(event, Step)] == [5, 6]
    assert len(Store.asked) == n_asked

    shutil.rmtree(home / "data")
    with pytest.raises(DatasetError, match="is not on this machine any more") as caught:
        list(localft.finetune(resume="run", max_steps=8))
    assert caught.value.hint == (
        f"fetch it with `localft data check 'http://{store}/rows.jsonl?v=1'`; where it had a signature or a password, "
        "give it with a valid one: those are not kept"
    )
    for address in (signed(store, OTHER), login):
        with pytest.raises(SystemExit):
            check((address,), None, False, True)
    assert "SECRET" not in "".join(capsys.readouterr())
    assert [event.step for event in localft.finetune(resume="run", max_steps=8) if isinstance(event, Step)] == [7, 8]
    assert b"SECRET" not in kept(tmp_path, home)


def test_sentences_about_signed_addresses(store: str) -> None:
    for address in (
        signed(store, "wrongSECRET"),
        f"http://me:wrongSECRET@{store}/rows.jsonl",
        signed("127.0.0.1:9", SECRET),
        f"http://me:{PASSWORD}/{PASSWORD}@{store}/rows.jsonl",
        signed(store, SECRET, "download"),
        signed(store, SECRET) + ":0",
    ):
        with pytest.raises(LocalftError) as caught:
            find_sources([address])
        assert "SECRET" not in f"{caught.value} {caught.value.hint}"
    with pytest.raises(DatasetError, match="the server answers 403") as refused:
        find_sources([signed(store, "wrongSECRET")])
    assert "a signed address is good for a while only" in str(refused.value.hint)
    with pytest.raises(ConfigError, match="differ only in what is not kept"):
        find_sources([signed(store, SECRET), signed(store, OTHER)])


def test_a_password_goes_to_its_own_host_alone(store: str) -> None:
    find_sources([f"http://me:{PASSWORD}@{store}/here/rows.jsonl"])
    assert [login for _, login in Store.asked] == [LOGIN, LOGIN]
    Store.asked.clear()
    with pytest.raises(DatasetError, match="the server answers 403"):
        find_sources([f"http://me:{PASSWORD}@{store}/to/rows.jsonl"])
    assert [login for _, login in Store.asked] == [LOGIN, ""]
