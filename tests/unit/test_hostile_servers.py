"""Whatever a server answers, who asks it ends soon and with a sentence: GitHub's API, an endpoint, a file's address."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hostile_server import HostileServer, Script, answer, hostile_server

from localft import connection
from localft.curation.github.api import client
from localft.curation.github.export import Options, export
from localft.curation.github.repository import Repository
from localft.curation.github.selection import Selection
from localft.curation.synthetic.model import openai
from localft.curation.synthetic.model.ask_model import Asking
from localft.curation.synthetic.model.openai import Endpoint
from localft.curation.synthetic.synth import Request, synth
from localft.data.reading import web
from localft.data.reading.sources import find_sources
from localft.errors import LocalftError

TOKEN = "ghp_" + "x1" * 18
MOST = 1 << 20
ROW = {"text": "Page: a.md\n\nSome text.\n", "doc": "n:a.md", "source": {"kind": "page", "site": "n", "path": "a.md"}}
ISSUE = {"number": 1, "title": "T", "state": "open", "updated_at": "2024-03-01T10:00:00Z", "comments": 0, "body": "B"}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HostileServer]:
    """With limits that are reached soon."""
    monkeypatch.setattr(connection, "STRIDE_SECONDS", 0.2)
    monkeypatch.setattr(client, "_MAX_SECONDS", 0.2)
    monkeypatch.setattr(client, "_MAX_BYTES", MOST)
    monkeypatch.setattr(client, "TRIES", 1)
    monkeypatch.setattr(openai, "_MAX_REPLY", MOST)
    monkeypatch.setattr(web, "_MOST_BYTES", MOST)
    with hostile_server() as server:
        yield server


def github(server: HostileServer, folder: Path) -> None:
    options = Options(Repository("owner", "name"), Selection(), api_url=server.url, max_wait=0.1)
    export(options, folder / "out.jsonl", lambda _: None, lambda *_: None)


def endpoint(server: HostileServer, folder: Path) -> None:
    (folder / "rows.jsonl").write_text(json.dumps(ROW) + "\n")
    asking = Asking(Endpoint(f"{server.url}/v1/chat/completions", "m", TOKEN, timeout=0.2), 3, 1, retries=0)
    synth(Request((folder / "rows.jsonl",), phrasings=0), folder / "out.jsonl", asking)


def address(server: HostileServer, folder: Path) -> None:
    find_sources([f"{server.url}/rows.jsonl"], root=folder)


ASK: dict[str, Callable[[HostileServer, Path], None]] = {"github": github, "endpoint": endpoint, "address": address}
START = b"HTTP/1.1 200 OK\r\n"
CHUNKED = START + b"Transfer-Encoding: chunked\r\n\r\n"


def bomb(size: int, *, layers: int = 1) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    body = b"".join(packer.compress(bytes(1 << 20)) for _ in range(size >> 20)) + packer.flush()
    for _ in range(layers - 1):
        body = gzip.compress(body)
    return answer(body, f"Content-Encoding: {', '.join(['gzip'] * layers)}")


# A name, what is sent, whether its end is sent again and again.
TRANSPORT: list[tuple[str, Script, bool]] = [
    ("no answer", [], False),
    ("silence", [5.0], False),
    ("a status line without an end", [b"HTTP/1.1 200 O", b"K", 0.05], True),
    ("a header without an end", [START + b"A: ", b"b", 0.05], True),
    ("headers without an end", [START, b"A: " + b"b" * 1000 + b"\r\n"], True),
    ("go on, go on", [b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.001], True),
    ("a body without an end", [START + b"\r\n", b" " * 65536], True),
    ("a body without a length that trickles", [START + b"\r\n", b" ", 0.05], True),
    ("a body with a length that trickles", [answer(b"[", length=999), b" ", 0.05], True),
    ("chunks without an end", [CHUNKED, b"10000\r\n" + b" " * 65536 + b"\r\n"], True),
    ("a chunk's line without an end", [CHUNKED + b"1;", b"a", 0.05], True),
    ("a chunk that is too large", [CHUNKED + b"f" * 15 + b"\r\n" + b" " * 99], False),
    ("a chunk that is none", [CHUNKED + b"-1\r\n"], False),
    ("too little", [answer(b"[]", length=999)], False),
    ("a length that is none", [START + b"Content-Length: -5\r\n\r\n[]"], False),
    ("a length of many digits", [START + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n[]"], False),
    ("two lengths", [START + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n[]"], False),
    ("a length that is too large", [answer(b"[", length=10**18)], False),
    ("a bomb", [bomb(64 << 20)], False),
    ("a bomb in a bomb", [bomb(64 << 20, layers=2)], False),
    ("many layers", [answer(b"x", "Content-Encoding: " + ", ".join(["gzip"] * 50))], False),
    ("no gzip at all", [answer(b"[]", "Content-Encoding: gzip")], False),
    ("no HTTP", [b"SSH-2.0-OpenSSH_9\r\n" * 9], False),
    ("another status", [b"HTTP/1.1 99999 OK\r\n\r\n"], False),
    ("bytes in headers", [START + b"X-\xff: \xfe\x00\r\n\r\n"], False),
    ("another protocol", [b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"], False),
    *[
        (f"a redirect to {to}", [answer(b"", f"Location: {to}", status=f"{status} Found")], False)
        for to in ("file:///etc/passwd", "ftp://127.0.0.1/a.jsonl", "data:,x", "gopher://h/", "//", "http://[", "")
        for status in (301, 307)
    ],
    ("a redirect in a circle", [answer(b"", "Location: rows.jsonl", status="302 Found")], False),
    ("an error of many words", [answer(b'{"message": "' + b"a\x1b[31m" * 9000 + b'"}', status="400 Bad")], False),
    ("an error without an end", [b"HTTP/1.1 500 No\r\n\r\n", b"a" * 65536], True),
    ("a reason with escapes", [answer(b"{}", status="418 \x1b[31m" + "a" * 500)], False),
]


@pytest.mark.parametrize("ask", ASK)
@pytest.mark.parametrize(("script", "endless"), [each[1:] for each in TRANSPORT], ids=[each[0] for each in TRANSPORT])
def test_an_answer_that_is_none(
    server: HostileServer, tmp_path: Path, home: Path, ask: str, script: Script, endless: bool
) -> None:
    server.script, server.endless = script, endless
    tracemalloc.start()
    try:
        with pytest.raises(LocalftError) as caught:
            ASK[ask](server, tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()
    error = caught.value
    assert len(error.message) < 400
    assert error.hint
    assert "\x1b" not in error.message
    assert not [path for path in (home / "data").rglob("*") if path.is_file()], "whole or not at all"
    assert not (tmp_path / "out.jsonl").exists()


JSON: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"<html>",
    "half": b'[{"number": 1',
    "500 deep": b"[" * 500 + b"]" * 500,
    "100,000 deep": b"[" * 100_000 + b"]" * 100_000,
    "objects 500 deep": b'{"a":' * 500 + b"1" + b"}" * 500,
    "never closed": b'{"a":' * 100_000,
    "infinity": b"[Infinity]",
    "NaN": b'{"choices": NaN}',
    "a number that is too large": b"[1e999]",
    "5,000 digits": b"[" + b"9" * 5000 + b"]",
    "no UTF-8": b'["\xff\xfe"]',
    "UTF-16": '[{"number": 1}]'.encode("utf-16"),
    "NUL": b"\0" * 99,
    "a text": b'"text"',
    "null": b"null",
    "a list of lists": b"[[[]]]",
    "an error": b'{"message": "no", "error": {"message": "no"}}',
}


@pytest.mark.parametrize("ask", ["github", "endpoint"])
@pytest.mark.parametrize("name", JSON)
def test_json_that_is_no_answer(server: HostileServer, tmp_path: Path, ask: str, name: str) -> None:
    server.script = [answer(JSON[name])]
    with pytest.raises(LocalftError) as caught:
        ASK[ask](server, tmp_path)
    assert caught.value.hint
    assert len(caught.value.message) < 400
    assert not (tmp_path / "out.jsonl").exists()


VALUES = [None, True, -1, 0, 10**18, 1.5, "", "x", "\ud800", "a\0b\x1b[31m", [], [1], {}, {"a": 1}, [[]], "9" * 400]
VALUES += [{"login": []}, {"login": "\ud800", "type": 3}, [{"name": {}}], "2024-03-01T10:00:00Z" + "x" * 99]


def mutated(value: object) -> Iterator[object]:
    """The value with each of its parts replaced by each of `VALUES`, or left out."""
    yield from VALUES
    if isinstance(value, dict):
        for key in value:
            yield {name: each for name, each in value.items() if name != key}
            yield from ({**value, key: other} for other in mutated(value[key]))
    elif isinstance(value, list):
        for i, each in enumerate(value):
            yield from ([*value[:i], other, *value[i + 1 :]] for other in mutated(each))


def survives(ask: Callable[[], None], out: Path) -> None:
    """It ends with rows or a sentence."""
    out.unlink(missing_ok=True)
    try:
        ask()
    except LocalftError as error:
        said = (error.message, error.hint)
    else:
        said = ("written", "whole")
        for line in out.read_text(encoding="utf-8").splitlines():
            json.loads(line)
    assert said[1], said
    assert len(said[0]) < 400, said


def test_completions_of_other_types(server: HostileServer, tmp_path: Path) -> None:
    pair = {"question": "What is it?", "answer": "Some text."}
    usage = {"prompt_tokens": 3, "completion_tokens": 4}
    good = {"choices": [{"message": {"content": json.dumps({"pairs": [pair]})}}], "usage": usage}
    bodies = [*mutated(good)]
    for content in mutated({"pairs": [pair]}):
        bodies.append({"choices": [{"message": {"content": json.dumps(content)}}]})
    for body in bodies:
        server.script = [answer(json.dumps(body).encode())]
        (tmp_path / "out.jsonl.journal").unlink(missing_ok=True)
        survives(lambda: endpoint(server, tmp_path), tmp_path / "out.jsonl")


def test_issues_of_other_types(server: HostileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = {
        **ISSUE,
        "labels": [{"name": "bug"}],
        "user": {"login": "kim"},
        "repository_url": "https://api.github.com/repos/new/name",
        "html_url": "https://github.com/owner/name/issues/1",
        "created_at": "2024-03-01T10:00:00Z",
    }
    for number, body in enumerate([[full], *mutated([full])]):
        server.script = [answer(json.dumps(body).encode())]
        monkeypatch.setenv("LOCALFT_HOME", str(tmp_path / f"home{number}"))
        survives(lambda: github(server, tmp_path), tmp_path / "out.jsonl")
        if number == 0:
            assert json.loads((tmp_path / "out.jsonl").read_text())["doc"] == "owner/name#1"
