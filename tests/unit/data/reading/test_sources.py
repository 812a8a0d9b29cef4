"""What --data names: weights and colons, folders of texts, addresses on this machine, data sets of the hub."""

from __future__ import annotations

import errno
import gzip
import json
import os
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import vocabs

from localft.data.dataset import prepare
from localft.data.reading import web
from localft.data.reading.sources import find_sources, split_weight
from localft.errors import ConfigError, DatasetError
from localft.settings.data_settings import DataSettings
from localft.settings.setting import split_share


def write(path: Path, content: str | bytes = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.jsonl", ("a.jsonl", None)),
        ("a.jsonl:2", ("a.jsonl", 2.0)),
        ("a.jsonl:.5", ("a.jsonl", 0.5)),
        ("a.jsonl:two", ("a.jsonl:two", None)),
        ("a.jsonl:-1", ("a.jsonl:-1", None)),
        ("notes:3", ("notes:3", None)),
        ("notes:3:2", ("notes:3", 2.0)),
        ("notes:4", ("notes", 4.0)),
        (r"C:\data\a.jsonl", (r"C:\data\a.jsonl", None)),
        (r"C:\data\a.jsonl:2", (r"C:\data\a.jsonl", 2.0)),
        ("C:2", ("C:2", None)),
        ("d:2", ("d", 2.0)),
        ("http://127.0.0.1:8000", ("http://127.0.0.1:8000", None)),
        ("http://127.0.0.1:8000/a.jsonl", ("http://127.0.0.1:8000/a.jsonl", None)),
        ("http://127.0.0.1:8000/a.jsonl:2", ("http://127.0.0.1:8000/a.jsonl", 2.0)),
        ("hf:owner/name", ("hf:owner/name", None)),
        ("hf:owner/name:0.5", ("hf:owner/name", 0.5)),
    ],
)
def test_weights_and_other_colons(tmp_path: Path, text: str, expected: tuple[str, float | None]) -> None:
    write(tmp_path / "notes:3")
    write(tmp_path / "d")
    assert split_weight(text, tmp_path) == expected


@pytest.mark.parametrize("text", ["a.jsonl:0", "a.jsonl:0.0", "a.jsonl:1001"])
def test_weights_that_are_none(text: str) -> None:
    with pytest.raises(ConfigError, match="the weight is"):
        split_weight(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("w:0.2", ("w", 0.2)), ("w.txt:20%", ("w.txt", 0.2)), (r"C:\w:.5", (r"C:\w", 0.5)), ("a:b:1%", ("a:b", 0.01))],
)
def test_shares(text: str, expected: tuple[str, float]) -> None:
    assert split_share(text) == expected


@pytest.mark.parametrize(
    "text", ["w.txt", "w.txt:", ":0.2", "w.txt:0", "w.txt:1", "w.txt:100%", "w.txt:20", "C:\\w.txt"]
)
def test_shares_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="expected a share between 0 and 1"):
        split_share(text)


def test_a_path_is_never_parted(tmp_path: Path) -> None:
    assert find_sources([tmp_path / "a:2"]).parts[0].files == (tmp_path / "a:2",)
    found = find_sources(["a.jsonl:2", "b.jsonl"], root=tmp_path)
    assert [(part.name, part.files, part.weight) for part in found.parts] == [
        ("a.jsonl", (tmp_path / "a.jsonl",), 2.0),
        ("b.jsonl", (tmp_path / "b.jsonl",), None),
    ]


def test_a_folder_of_texts_is_a_document_each(tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    for name in ("b.md", "a.txt", "deep/c.txt", "deep/.hidden.txt", ".git/d.txt", "e.py"):
        write(folder / name, f"the {name}")
    write(folder / "empty.txt", "")
    write(folder / "z.txt.gz", gzip.compress(b"the z"))
    found = find_sources([str(folder)])
    assert found.notes == [
        f"`{folder}`: 1 other file is no text (.txt, .md) and not read; `localft data build` makes rows of code"
    ]
    (part,) = found.parts
    assert part.docs == tuple(f"notes:{name}" for name in ("a.txt", "b.md", "deep/c.txt", "empty.txt", "z.txt.gz"))
    assert part.files[2] == folder / "deep" / "c.txt"
    data = prepare([str(folder)], vocabs.bpe(tmp_path), DataSettings(no_val=True))
    assert (len(data.train), data.summary.dropped) == (4, {"empty text": 1})
    assert data.summary.files == (f"{folder} (5 texts)",)
    assert prepare(folder, vocabs.bpe(tmp_path), DataSettings(val_split=0.25)).summary.val_reason == (
        "1 of 4 rows: 1 of 4 documents, chosen with seed 42"
    )


@pytest.mark.parametrize("within", [".", "deep"])
def test_a_folder_that_may_not_be_read_says_what_to_do(
    tmp_path: Path, within: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The superuser, as whom tests may run, may read everything."""
    write(tmp_path / "my notes/a.txt")
    write(tmp_path / "my notes/deep/b.txt")
    closed, scandir = tmp_path / "my notes" / within, os.scandir

    def denied(path: Path) -> Any:
        if Path(path) == closed:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denied)
    with pytest.raises(DatasetError) as caught:
        find_sources([tmp_path / "my notes"])
    assert caught.value.message == f"cannot read the folder `{closed}`: Permission denied"
    assert f"`chmod u+rx '{closed}'`" in (caught.value.hint or "")


def test_what_is_validated_on_is_not_called_unread(tmp_path: Path) -> None:
    for name in ("train.jsonl", "valid.jsonl", "test.jsonl"):
        write(tmp_path / name)
    kept = f"`{tmp_path / 'test.jsonl'}` is kept for testing and not read"
    assert find_sources([tmp_path]).notes == [kept]
    assert kept not in find_sources([tmp_path], tmp_path / "test.jsonl").notes


def test_a_folder_with_a_link_to_itself_ends(tmp_path: Path) -> None:
    write(tmp_path / "notes/a.txt")
    (tmp_path / "notes/loop").symlink_to(tmp_path / "notes")
    (tmp_path / "notes/dead.txt").symlink_to(tmp_path / "nowhere")
    (part,) = find_sources([tmp_path / "notes"]).parts
    assert [path.name for path in part.files] == ["a.txt", "dead.txt"]


def test_a_folder_with_valid_or_test_alone_has_no_train_file(tmp_path: Path) -> None:
    write(tmp_path / "valid.txt")
    write(tmp_path / "notes.txt")
    with pytest.raises(DatasetError, match="has no train file"):
        find_sources([tmp_path])


def test_folders_with_tables_and_compressed_files(tmp_path: Path) -> None:
    for name in ("train.csv", "train.parquet", "valid.jsonl.gz", "test.tsv"):
        write(tmp_path / name)
    found = find_sources([tmp_path])
    assert [path.name for path in [*found.train, *found.val]] == ["train.csv", "train.parquet", "valid.jsonl.gz"]
    assert found.notes == [f"`{tmp_path / 'test.tsv'}` is kept for testing and not read"]
    write(tmp_path / "train.jsonl.zst")
    write(tmp_path / "train.jsonl.gz")
    assert [path.name for path in find_sources([tmp_path]).train] == ["train.jsonl.gz"], "the same rows once"
    write(tmp_path / "train.jsonl")
    assert [path.name for path in find_sources([tmp_path]).train] == ["train.jsonl"]


def test_columns_that_no_row_has_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", '{"text": "t"}\n{"text": "u"}\n')
    with pytest.raises(ConfigError, match=r"no row has `question` \(--prompt-column\)"):
        prepare(path, vocabs.bpe(tmp_path), DataSettings(prompt_column="question"))


def test_replay_brings_no_validation_file(tmp_path: Path) -> None:
    for name in ("own/train.jsonl", "own/valid.jsonl", "wiki/train.txt", "wiki/valid.txt"):
        write(tmp_path / name)
    found = find_sources(["own:2"], replay="wiki:10%", root=tmp_path)
    assert found.replay
    assert (found.replay.files, found.replay_share) == ((tmp_path / "wiki/train.txt",), 0.1)
    assert found.val == [tmp_path / "own/valid.jsonl"]
    assert found.files == [tmp_path / name for name in ("own/train.jsonl", "own/valid.jsonl", "wiki/train.txt")]


def test_a_name_of_the_hub_without_its_mark_is_pointed_out(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no data file `owner/name`") as error:
        prepare(["owner/name"], vocabs.bpe(tmp_path), DataSettings())
    assert "`hf:owner/name`" in (error.value.hint or "")


ROWS = b'{"text": "one"}\n{"text": "two"}\n'


class Handler(BaseHTTPRequestHandler):
    """Serves ROWS, and what goes wrong with servers."""

    asked: list[str] = []  # noqa: RUF012

    def do_GET(self) -> None:
        self.asked.append(self.path)
        name = self.path.partition("?")[0].rpartition("/")[2]
        if name == "missing.jsonl":
            self.send_error(404)
            return
        if name == "moved.jsonl":
            self.send_response(302)
            self.send_header("Location", "/rows.jsonl")
            self.end_headers()
            return
        body = gzip.compress(ROWS) if name.endswith(".gz") else ROWS
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8" if name == "page.jsonl" else "text/plain")
        self.send_header("Content-Length", str(len(body) + 100 * (name == "cut.jsonl")))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    Handler.asked.clear()
    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{made.server_port}"
    made.shutdown()
    thread.join()
    made.server_close()


def test_an_address_is_downloaded_once(server: str, home: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    url = f"{server}/some/rows.jsonl?v=1"
    found = find_sources([f"{url}", f"{server}/rows.jsonl.gz:2"], report=lambda *what: told.append(what))
    first, second = found.train
    assert first.read_bytes() == ROWS
    assert (first.name, second.name, found.parts[1].weight) == ("rows.jsonl", "rows.jsonl.gz", 2.0)
    assert first.parent.parent == home / "data" / "web"
    assert told[0] == ("downloading rows.jsonl", len(ROWS), len(ROWS))
    assert found.notes[0] == f"`{url}` is kept in `{first}`: delete that to fetch it anew"
    assert find_sources([url]).train == [first]
    assert Handler.asked == ["/some/rows.jsonl?v=1", "/rows.jsonl.gz"]
    assert len(prepare([url], vocabs.bpe(tmp_path), DataSettings(no_val=True)).train) == 2
    assert find_sources([f"{server}/moved.jsonl"]).train[0].read_bytes() == ROWS


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.jsonl", "the server answers 404 Not Found for `{}`"),
        ("cut.jsonl", "`{}` broke off after 32 of 132 bytes"),
        ("page.jsonl", "`{}` is a web page, expected a data file"),
        ("download?id=3", "`{}` does not end in the name of a data file"),
        ("", "`{}` does not end in the name of a data file"),
    ],
)
def test_addresses_that_give_no_data(server: str, home: Path, name: str, message: str) -> None:
    url = f"{server}/{name}"
    with pytest.raises(DatasetError) as error:
        find_sources([url])
    assert error.value.message == message.format(url)
    assert error.value.hint
    assert not [path for path in home.rglob("*") if path.is_file()], "whole or not at all"


@pytest.mark.parametrize(
    ("where", "target", "expected"),
    [
        ("http://h/a", "https://i/b", "https://i/b"),
        ("https://h/a/c", "../b?x=1", "https://h/b?x=1"),
        ("https://h/a", "//i:8/b", "https://i:8/b"),
        ("https://me:pw@h/a", "/b", "https://me:pw@h/b"),
        ("https://me:pw@h/a", "https://h/b", "https://me:pw@h/b"),
        ("https://me:pw@h/a", "https://h:8/b", "https://h:8/b"),
        ("http://me:pw@h/a", "https://h/b", "https://h/b"),
        ("https://h/a", "http://h/b", ""),
        ("https://h/a", "HTTP://h/b", ""),
        ("http://h/a", "file:///etc/passwd", ""),
        ("http://h/a", "ftp://h/a", ""),
        ("http://h/a", "data:,x", ""),
        ("http://h/a", "http://h:x/", ""),
        ("http://h/a", "", ""),
    ],
)
def test_where_a_redirect_may_lead(where: str, target: str, expected: str) -> None:
    if expected:
        assert web._redirected(where, where, target) == expected
        return
    with pytest.raises(DatasetError, match="which is not followed"):
        web._redirected(where, where, target)


def test_no_server_and_no_disk_are_told_apart(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DatasetError, match=r"cannot be reached: .*refused"):
        find_sources(["http://127.0.0.1:9/rows.jsonl"])
    with pytest.raises(DatasetError, match=r"cannot be reached|is no address"):
        find_sources(["http://[127.0.0.1/rows.jsonl"])
    monkeypatch.setattr(web, "localft_home", lambda: Path("/proc/none"))
    with pytest.raises(DatasetError, match="cannot keep `http"):
        find_sources([f"{server}/rows.jsonl"])


class Library(SimpleNamespace):
    """Stands in for `datasets`: what is asked of it, and what it gives."""

    def load_dataset(self, name: str, configuration: str | None) -> dict[str, list[dict[str, object]]]:
        self.asked.append((name, configuration))
        if name == "owner/none":
            raise ValueError("Dataset 'owner/none' doesn't exist on the Hub\nand more")
        if name == "owner/odd":
            return {"all": []}
        rows: list[dict[str, object]] = [{"prompt": f"q{i}", "completion": "é", "label": None} for i in range(4)]
        return {"train": rows, "validation": rows[:1], "test": rows[:2], "more": rows}


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    made = Library(asked=[])
    monkeypatch.setitem(sys.modules, "datasets", made)  # type: ignore[arg-type]
    return made


def test_a_data_set_of_the_hub(library: Library, home: Path) -> None:
    found = find_sources(["hf:owner/name/main:2", "hf:plain"])
    folder = home / "data" / "hub" / "owner--name--main"
    assert found.parts[0].files == (folder / "train.jsonl",)
    assert (found.parts[0].name, found.parts[0].weight) == ("hf:owner/name/main", 2.0)
    assert found.val[0] == folder / "valid.jsonl"
    assert json.loads((folder / "train.jsonl").read_text(encoding="utf-8").splitlines()[0]) == {
        "prompt": "q0",
        "completion": "é",
    }
    assert sorted(path.name for path in folder.iterdir()) == ["test.jsonl", "train.jsonl", "valid.jsonl"]
    assert f"`hf:plain` is kept in `{home / 'data/hub/plain'}`: delete that to fetch it anew" in found.notes
    find_sources(["hf:owner/name/main"])
    assert library.asked == [("owner/name", "main"), ("plain", None)]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("owner/none", "`hf:owner/none` cannot be fetched: Dataset 'owner/none' doesn't exist on the Hub"),
        ("owner/odd", "`hf:owner/odd` has no train rows, but all"),
        ("../up", "`hf:../up` names no data set"),
        ("a/b/c/d", "`hf:a/b/c/d` names no data set"),
    ],
)
def test_data_sets_that_cannot_be_had(library: Library, home: Path, name: str, message: str) -> None:
    with pytest.raises((DatasetError, ConfigError)) as error:
        find_sources([f"hf:{name}"])
    assert error.value.message == message
    assert error.value.hint
    assert not [path for path in home.rglob("*") if path.is_file()]


def test_a_folder_of_the_same_name_is_not_taken_for_the_hub(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "owner/name/train.jsonl")
    with pytest.raises(DatasetError, match="is here too"):
        find_sources(["hf:owner/name"])
    assert library.asked == []


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DatasetError, match="which is not installed") as error:
        find_sources(["hf:owner/name"])
    assert "pip install 'localft[datasets]'" in (error.value.hint or "")
