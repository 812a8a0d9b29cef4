"""Small files that hold a great deal: refused unless they are asked for, and never unpacked to be counted."""

from __future__ import annotations

import gzip
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pytest
from click.testing import CliRunner
from pyarrow import parquet

from localft.cli import cli
from localft.data.dataset import prepare
from localft.data.reading import expansion
from localft.data.reading.expansion import refuse_expansion
from localft.data.reading.sources import find_sources
from localft.data.rows.reader import read_file
from localft.errors import DatasetError
from localft.settings.data_settings import DataSettings

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ROW = (json.dumps({"text": "the same words again and again", "doc": "a", "source": {"kind": "page"}}) + "\n").encode()


def gz(data: bytes) -> bytes:
    return gzip.compress(data, 9)


def members(data: bytes) -> bytes:
    """Several gzip members, one behind the other."""
    return b"".join(gz(data[at : at + len(data) // 8 + 1]) for at in range(0, len(data), len(data) // 8 + 1))


def with_garbage(data: bytes) -> bytes:
    return gz(data) + b"\0garbage"


def table(data: bytes) -> bytes:
    """A column in which one text stands once, and is meant very often."""
    file = io.BytesIO()
    texts = [row.decode() for row in data.splitlines()]
    parquet.write_table(pyarrow.table({"text": texts}), file)
    return file.getvalue()


def nested(data: bytes) -> bytes:
    file = io.BytesIO()
    turns = [[{"role": "user", "content": row.decode()}] for row in data.splitlines()]
    parquet.write_table(pyarrow.table({"messages": turns}), file)
    return file.getvalue()


PACKED: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("x.jsonl.gz", gz),
    ("x.txt.gz", gz),
    ("x.csv.gz", members),
    ("x.jsonl.gz", with_garbage),
    ("x.jsonl.zst", zstd.compress),
    ("x.parquet", table),
    ("x.parquet", nested),
    ("x.parquet.gz", lambda data: gz(table(data))),
]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """64 MiB would take long to pack."""
    monkeypatch.setattr(expansion, "FREE_BYTES", 1 << 20)


@pytest.mark.parametrize(("name", "pack"), PACKED)
def test_what_holds_too_much_is_refused_by_name_and_size(
    name: str, pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(pack(ROW * 40_000))
    with pytest.raises(DatasetError, match="holds more than 100 times as much: over 1 MiB") as caught:
        find_sources([path])
    assert str(path) in caught.value.message
    assert "--allow-expansion" in str(caught.value.hint)
    assert find_sources([path], allow_expansion=True).train == [path]


@pytest.mark.parametrize(("name", "pack"), PACKED)
def test_what_holds_little_is_read_however_it_is_packed(
    name: str, pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(pack(ROW * 2000))
    refuse_expansion(path)


def test_a_ratio_below_a_hundred_is_read_however_large(tmp_path: Path) -> None:
    path = tmp_path / "x.txt.gz"
    path.write_bytes(gzip.compress(bytes(range(32, 127)) * 40_000, 0))
    refuse_expansion(path)


def test_real_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    path = tmp_path / "x.jsonl.gz"
    for n, refused in ((63 << 20, False), (65 << 20, True)):
        path.write_bytes(gzip.compress(bytes(n), 1))
        if refused:
            with pytest.raises(DatasetError, match="over 64 MiB"):
                refuse_expansion(path)
        else:
            refuse_expansion(path)


def test_damage_is_left_to_the_reader(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(gz(ROW)[:-9])
    refuse_expansion(path)
    refuse_expansion(tmp_path / "missing.jsonl.gz")
    with pytest.raises(DatasetError, match="is no whole gzip file"):
        read_file(path)


@pytest.mark.parametrize(
    "command",
    [
        "data check x.jsonl.gz",
        "data check small.jsonl --val-data x.jsonl.gz",
        "data show x.jsonl.gz --model demo",
        "data split x.jsonl.gz -o out",
        "data synth x.jsonl.gz -o out.jsonl",
        "finetune --model demo --data x.jsonl.gz --dry-run",
        "finetune --model demo --data small.jsonl --replay x.jsonl.gz:0.2 --dry-run",
    ],
)
def test_every_command_that_reads_data_refuses_it(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.jsonl.gz").write_bytes(gz(ROW * 40_000))
    Path("small.jsonl").write_bytes(ROW * 3)
    done = CliRunner().invoke(cli, command.split())
    assert isinstance(done.exception, DatasetError), done.output
    assert "holds more than 100 times" in done.exception.message
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small.jsonl", "x.jsonl.gz"]


@pytest.mark.parametrize(
    "command", ["data check x.jsonl.gz", "data split x.jsonl.gz more.jsonl -o out", "data show x.jsonl.gz --model demo"]
)
def test_with_allow_expansion_it_is_read(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.jsonl.gz").write_bytes(gz(ROW * 12_000))
    Path("more.jsonl").write_text("".join(json.dumps({"text": f"row {i}"}) + "\n" for i in range(9)))
    done = CliRunner().invoke(cli, [*command.split(), "--allow-expansion"])
    assert done.exit_code == 0, done.output


def test_the_python_function_takes_the_setting_too(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(gz(ROW * 40_000))
    with pytest.raises(DatasetError, match="holds more than 100 times"):
        prepare(path, None, DataSettings())  # type: ignore[arg-type]
