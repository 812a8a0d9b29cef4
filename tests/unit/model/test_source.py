"""`--model` values, and downloads from a hub of our own on 127.0.0.1: each failure has its own sentence."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from checkpoints import write_checkpoint

from localft.errors import LocalftError, ModelError
from localft.home import localft_home
from localft.model.huggingface import needed_files
from localft.model.source import resolve_model

SHA = "a" * 40


class Repo(NamedTuple):
    folder: Path
    answer: str = "open"  # "gated", "broken"


class Hub:
    """As much of the Hugging Face hub as its client asks for; counts what is fetched."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.fetched: list[str] = []
        self.cut: set[str] = set()  # files whose next answer breaks off half-way
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                hub.answer(self, body=True)

            def do_HEAD(self) -> None:
                hub.answer(self, body=False)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def answer(self, request: BaseHTTPRequestHandler, body: bool) -> None:
        path = request.path.split("?")[0].removeprefix("/api/models/").strip("/")
        repo_id = "/".join(path.split("/")[:2])
        repo = self.repos.get(repo_id)
        if repo is None:
            self.send(request, 404, {"X-Error-Code": "RepoNotFound"}, b"{}")
        elif repo.answer == "gated" and "/resolve/" in request.path:
            self.send(request, 403, {"X-Error-Code": "GatedRepo"}, b"{}")
        elif repo.answer == "broken":
            self.send(request, 500, {}, b"{}")
        elif "/resolve/" in request.path:
            self.file(request, repo.folder / path.split("/", 4)[4], body)
        else:
            files = [{"rfilename": p.name, "size": p.stat().st_size} for p in sorted(repo.folder.iterdir())]
            info = {"id": repo_id, "modelId": repo_id, "sha": SHA, "siblings": files, "tags": [], "downloads": 0}
            self.send(request, 200, {"Content-Type": "application/json"}, json.dumps(info).encode())

    def file(self, request: BaseHTTPRequestHandler, path: Path, body: bool) -> None:
        if not path.is_file():
            self.send(request, 404, {"X-Error-Code": "EntryNotFound"}, b"")
            return
        data = path.read_bytes()
        headers = {"X-Repo-Commit": SHA, "ETag": f'"{hashlib.sha256(data).hexdigest()}"', "Accept-Ranges": "bytes"}
        start = 0
        if body:
            wanted = request.headers.get("Range")
            start = int(wanted.removeprefix("bytes=").split("-")[0]) if wanted else 0
            self.fetched.append(f"{path.name}@{start}" if start else path.name)
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        if not body:
            headers["Content-Length"] = str(len(data))
        if body and path.name in self.cut:
            self.cut.remove(path.name)
            self.send(request, 200, headers | {"Content-Length": str(len(data))}, data[: len(data) // 2])
            request.close_connection = True
            return
        self.send(request, 206 if start else 200, headers, data[start:] if body else b"")

    def send(self, request: BaseHTTPRequestHandler, code: int, headers: dict[str, str], data: bytes) -> None:
        request.send_response(code)
        for key, value in ({"Content-Length": str(len(data))} | headers).items():
            request.send_header(key, value)
        request.end_headers()
        request.wfile.write(data)


@pytest.fixture
def hub() -> Iterator[Hub]:
    hub = Hub()
    thread = threading.Thread(target=hub.server.serve_forever, daemon=True)
    thread.start()
    yield hub
    hub.server.shutdown()
    hub.server.server_close()
    thread.join()


class Outcome(NamedTuple):
    path: str | None
    error: str
    hint: str


SCRIPT = """
import json, sys
from localft.errors import LocalftError
from localft.model.source import fetch_checkpoint, resolve_model
exec(sys.argv[2])
try:
    path, error, hint = str(fetch_checkpoint(resolve_model(sys.argv[1]))), "", ""
except LocalftError as problem:
    path, error, hint = None, problem.message, problem.hint or ""
print(json.dumps([path, error, hint]))
"""


def fetch(model: str, endpoint: str, before: str = "", **env: str) -> Outcome:
    """Fetch in a process of its own: huggingface_hub reads its endpoint and its cache's place when it is imported."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, model, before],
        env=dict(os.environ) | {"HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_XET": "1"} | env,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return Outcome(*json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture
def tiny(tmp_path: Path, hub: Hub) -> Path:
    folder = write_checkpoint(tmp_path / "tiny", vocabulary="llama3", n_shards=2)
    for name in ("README.md", "pytorch_model.bin", "model.onnx", "vocab.json"):
        (folder / name).write_bytes(b"x" * 10)
    (folder / "generation_config.json").write_text("{}")
    hub.repos["owner/tiny"] = Repo(folder)
    return folder


WANTED = [
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "generation_config.json",
    "model.safetensors.index.json",
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
]


def test_only_the_files_needed_are_fetched_once(tiny: Path, hub: Hub) -> None:
    first = fetch("owner/tiny", hub.url)
    assert hub.fetched == WANTED
    assert first.path is not None
    assert sorted(path.name for path in Path(first.path).iterdir()) == sorted(WANTED)
    assert fetch("owner/tiny", hub.url) == first
    assert hub.fetched == WANTED


def test_how_far_a_download_is(tiny: Path, hub: Hub, tmp_path: Path) -> None:
    """The library drew bars of its own, over the line that says how far the work is."""
    keep = (
        f"told = open({str(tmp_path / 'told')!r}, 'w', 1); real = fetch_checkpoint\n"
        "def fetch_checkpoint(source): return real(source, lambda *one: print(json.dumps(one), file=told))"
    )
    fetch("owner/tiny", hub.url, keep)
    told = [json.loads(line) for line in (tmp_path / "told").read_text().splitlines()]
    sizes = [(tiny / name).stat().st_size for name in WANTED]
    ends = [[name, sum(sizes[: i + 1]), sum(sizes)] for i, name in enumerate(WANTED)]
    assert [one for one in told if one in ends] == ends, told
    done = [done for _, done, _ in told]
    assert done == sorted(done)


def test_offline_uses_the_cache(tiny: Path, hub: Hub) -> None:
    first = fetch("owner/tiny", hub.url)
    assert fetch("owner/tiny", "http://127.0.0.1:9", HF_HUB_OFFLINE="1") == first
    assert fetch("owner/tiny", "http://127.0.0.1:9") == first


def test_offline_without_a_copy(hub: Hub, tiny: Path) -> None:
    outcome = fetch("owner/tiny", hub.url, HF_HUB_OFFLINE="1")
    assert outcome.error == "`owner/tiny` is not in the Hugging Face cache, and HF_HUB_OFFLINE forbids to download it"
    assert outcome.hint == "unset HF_HUB_OFFLINE for the first run"
    assert hub.fetched == []


def test_an_interrupted_download_is_no_complete_copy_and_goes_on(tiny: Path, hub: Hub) -> None:
    stop = (
        "import huggingface_hub as h; real = h.hf_hub_download\n"
        "def limited(repo, name, **options):\n"
        "    if 'model-00002' in name: raise OSError(28, 'No space left on device')\n"
        "    return real(repo, name, **options)\n"
        "h.hf_hub_download = limited"
    )
    outcome = fetch("owner/tiny", hub.url, stop)
    assert outcome.error == "the disk became full while `owner/tiny` was downloaded"
    assert "goes on where it stopped" in outcome.hint
    assert "forbids to download" in fetch("owner/tiny", hub.url, HF_HUB_OFFLINE="1").error
    assert hub.fetched == WANTED[:-1]
    assert fetch("owner/tiny", hub.url).path is not None
    assert hub.fetched == WANTED


def test_a_broken_connection_is_taken_up_again(tiny: Path, hub: Hub) -> None:
    hub.cut = {WANTED[-1]}
    folder = fetch("owner/tiny", hub.url).path
    assert [name.split("@")[0] for name in hub.fetched] == [*WANTED, WANTED[-1]]
    assert folder is not None
    assert (Path(folder) / WANTED[-1]).read_bytes() == (tiny / WANTED[-1]).read_bytes()


def test_no_network() -> None:
    outcome = fetch("owner/tiny", "http://127.0.0.1:9")
    words = "`owner/tiny` is not in the cache and the Hugging Face hub cannot be reached: Connection refused"
    assert outcome.error == words
    assert outcome.hint.startswith("check the network")


@pytest.mark.parametrize("endpoint", ["127.0.0.1:9", "hub.example", "ftp://127.0.0.1", "https://", "http://["])
def test_an_endpoint_that_is_no_address(endpoint: str) -> None:
    """It read as if the network was down."""
    outcome = fetch("owner/tiny", endpoint)
    assert outcome.error == f"HF_ENDPOINT is `{endpoint}`, which is no address"
    assert outcome.hint == "give it as https://HOST, or unset it"


@pytest.mark.parametrize("name", ["HTTP_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize("proxy", ["http://u:word@127.0.0.1:9", "socks5://127.0.0.1:9"])
def test_a_proxy_is_named_and_its_password_is_not(name: str, proxy: str) -> None:
    outcome = fetch("owner/tiny", "http://hub.invalid", **{name: proxy})
    shown = proxy.replace("u:word@", "")
    assert "cannot be reached: " in outcome.error
    assert f"(through the proxy `{shown}` that {name} names)" in outcome.error
    assert "word" not in outcome.error
    assert ("SOCKS" if "socks" in proxy else "refused") in outcome.error


def test_no_proxy_stands_before_this_machine(tiny: Path, hub: Hub) -> None:
    assert fetch("owner/tiny", hub.url, HTTP_PROXY="http://127.0.0.1:9").path is not None


def test_a_missing_repo(hub: Hub) -> None:
    outcome = fetch("owner/none", hub.url)
    assert outcome.error == "there is no model `owner/none` on the Hugging Face hub, or it is private"
    assert outcome.hint.startswith("check the spelling")


def test_a_gated_repo(tiny: Path, hub: Hub) -> None:
    hub.repos["owner/tiny"] = Repo(tiny, "gated")
    outcome = fetch("owner/tiny", hub.url)
    assert outcome.error == "`owner/tiny` is gated: its owner wants you to accept its terms first"
    assert "https://huggingface.co/owner/tiny" in outcome.hint
    assert "hf auth login" in outcome.hint


def test_a_broken_hub(tiny: Path, hub: Hub) -> None:
    hub.repos["owner/tiny"] = Repo(tiny, "broken")
    outcome = fetch("owner/tiny", hub.url)
    assert "500" in outcome.error or "cannot be reached" in outcome.error


def test_a_disk_too_small_is_seen_before_the_download(tiny: Path, hub: Hub) -> None:
    small = "import shutil, types; shutil.disk_usage = lambda path: types.SimpleNamespace(free=1000)"
    outcome = fetch("owner/tiny", hub.url, small)
    assert outcome.error.startswith("the disk is too full for `owner/tiny`: 0.0 GiB to download, 0.0 GiB free in `")
    assert "HF_HOME" in outcome.hint
    assert hub.fetched == []


def test_what_cannot_be_converted_is_refused_before_its_weights_are_fetched(tiny: Path, hub: Hub) -> None:
    config = json.loads((tiny / "config.json").read_text())
    (tiny / "config.json").write_text(json.dumps(config | {"architectures": ["FalconForCausalLM"]}))
    outcome = fetch("owner/tiny", hub.url)
    assert "`FalconForCausalLM`" in outcome.error
    assert hub.fetched == WANTED[:4]


def test_a_repo_without_a_checkpoint(tmp_path: Path, hub: Hub) -> None:
    (tmp_path / "gguf").mkdir()
    (tmp_path / "gguf" / "model-q4.gguf").write_bytes(b"GGUF")
    hub.repos["owner/gguf"] = Repo(tmp_path / "gguf")
    outcome = fetch("owner/gguf", hub.url)
    assert outcome.error == "the repo `owner/gguf` holds no checkpoint in safetensors or pytorch_model.bin"
    assert "GGUF files" in outcome.hint


def test_a_converted_model_needs_no_checkpoint_any_more(tiny: Path, hub: Hub, home: Path) -> None:
    convert = (
        "import sys; from localft.model.convert import convert; r = convert(sys.argv[1]); print(r.path, r.skipped)"
    )

    def run(endpoint: str) -> str:
        command = [sys.executable, "-c", convert, "owner/tiny"]
        env = dict(os.environ) | {"HF_ENDPOINT": endpoint}
        return subprocess.run(command, env=env, check=True, capture_output=True, text=True, timeout=120).stdout

    assert run(hub.url).split() == [str(home / "models" / "owner--tiny-q8_0.gguf"), "False"]
    shutil.rmtree(home / "hf")
    assert run("http://127.0.0.1:9").split()[1] == "True"


def test_files_chosen_from_a_repo() -> None:
    assert needed_files("a/b", ["config.json", "model.safetensors", "pytorch_model.bin", "tokenizer.model"]) == [
        "config.json",
        "tokenizer.model",
        "model.safetensors",
    ]
    parts = ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"]
    index = "pytorch_model.bin.index.json"
    assert needed_files("a/b", ["config.json", "consolidated.safetensors", index, *parts]) == [
        "config.json",
        index,
        *parts,
    ]


def test_a_card_a_repo_a_folder_and_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = resolve_model("tinyllama")
    assert (card.name, card.repo_id, card.revision) == ("tinyllama", "TinyLlama/TinyLlama-1.1B-Chat-v1.0", "main")
    by_repo = resolve_model("TinyLlama/TinyLlama-1.1B-Chat-v1.0")
    assert by_repo == card
    other = resolve_model("owner/name")
    assert (other.name, other.card, other.repo_id) == ("owner--name", None, "owner/name")
    folder = write_checkpoint(tmp_path / "tinyllama", weights="none")
    assert resolve_model(str(folder)).checkpoint == folder
    monkeypatch.chdir(tmp_path)
    assert resolve_model("tinyllama") == card
    assert resolve_model("./tinyllama").checkpoint == Path("tinyllama")
    file = tmp_path / "m.gguf"
    file.write_bytes(b"GGUF")
    assert resolve_model(str(file)).gguf == file
    demo = resolve_model("demo")
    assert demo.repo_id is None
    assert demo.checkpoint is not None
    assert demo.checkpoint.parts[-2:] == ("demo", "model")


@pytest.mark.parametrize(
    ("model", "message", "hint"),
    [
        ("tinymstral", "`tinymstral` is neither", "did you mean `tinymistral`?"),
        ("zzz", "`zzz` is neither", "cards: demo, "),
        ("", "no model was given", "demo"),
        ("missing.gguf", "the file `missing.gguf` does not exist", None),
        ("a/b/c", "`a/b/c` is neither", None),
        ("a.txt", "neither a folder nor a .gguf", None),
        ("empty", "the folder `empty` has no config.json", "checkpoint"),
        ("ggufs", "the folder `ggufs` has no config.json", "did you mean `ggufs/x.gguf`?"),
    ],
)
def test_names_that_lead_nowhere(
    model: str, message: str, hint: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "ggufs").mkdir()
    (tmp_path / "ggufs" / "x.gguf").write_bytes(b"GGUF")
    with pytest.raises(LocalftError) as caught:
        resolve_model(model)
    named = model in ("tinymstral", "zzz", "", "a/b/c")
    assert caught.value.exit_code == (2 if named else 1), "an unknown name is a mistake in the command line"
    assert message in caught.value.message
    assert hint is None or (caught.value.hint is not None and hint in caught.value.hint)


def test_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCALFT_HOME", "/somewhere")
    assert localft_home() == Path("/somewhere")
    monkeypatch.delenv("LOCALFT_HOME")
    assert localft_home().name == "localft"


def test_errno_of_a_full_disk() -> None:
    from localft.model.huggingface import _translate

    wrapped = RuntimeError("download failed")
    wrapped.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert isinstance(_translate("a/b", "main", wrapped), ModelError)
    assert "became full" in _translate("a/b", "main", wrapped).message
