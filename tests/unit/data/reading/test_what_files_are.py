"""A data file is what its bytes say: rows under any name, folders that hold them, and what is no data at all."""

from __future__ import annotations

import datetime
import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
import vocabs

from localft.data.dataset import prepare
from localft.data.reading.data_format import data_format
from localft.data.reading.sources import find_sources
from localft.data.rows.reader import read_file
from localft.data.rows.row import Message
from localft.data.tokens import tokenize_on_disk
from localft.errors import DatasetError
from localft.inspect.check.check import check
from localft.settings.data_settings import DataSettings
from localft.settings.train_config import TrainConfig

ROW = {"prompt": "q", "completion": "a"}
LINE = json.dumps(ROW) + "\n"
TURNS = (Message("user", "q"), Message("assistant", "a"))
LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
BOM = "\ufeff"


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refusal(path: Path, **options: Any) -> DatasetError:
    with pytest.raises(DatasetError) as caught:
        read_file(path, **options)
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows", LINE * 2),
        ("rows.jsonl.bak", LINE * 2),
        ("rows.jsonl.txt", LINE * 2),
        ("rows.md", f"[{LINE},{LINE}]"),
        ("rows.csv", LINE * 2),
        ("rows.bin", gzip.compress(LINE.encode() * 2, mtime=0)),
        ("rows.jsonl", gzip.compress(LINE.encode() * 2, mtime=0)),
        ("rows.jsonl.gz", LINE * 2),
        ("table", "prompt,completion\nq,a\nq,a\n"),
        ("table.old", "prompt\tcompletion\nq\ta\nq\ta\n"),
        ("table.gz", gzip.compress(b"prompt,completion\nq,a\nq,a\n", mtime=0)),
        ("marks.jsonl", BOM * 2 + LINE + BOM + LINE),
        ("marks.json", BOM * 2 + f"[{LINE},{LINE}]"),
        ("marks.csv", BOM * 2 + "prompt,completion\nq,a\nq,a\n"),
    ],
)
def test_rows_are_found_whatever_the_name(tmp_path: Path, name: str, content: str | bytes) -> None:
    found = read_file(write(tmp_path / name, content))
    assert [row.messages for row in found.rows] == [TURNS, TURNS]


def test_rows_in_parquet_under_another_name(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    pyarrow = pytest.importorskip("pyarrow")
    for name in ("rows.json", "0000", "rows.txt"):
        parquet.write_table(pyarrow.table({"prompt": ["q"], "completion": ["a"]}), tmp_path / name)
        assert [row.messages for row in read_file(tmp_path / name).rows] == [TURNS]


@pytest.mark.parametrize("text", ["One, two.\nThree, four.\n", "{curly} words\n", "a,b\n", '{"a": 1} is JSON\n'])
def test_texts_stay_texts(tmp_path: Path, text: str) -> None:
    for name in ("x.txt", "x", "x.md", "x.rst"):
        (row,) = read_file(write(tmp_path / name, BOM + text)).rows
        assert (row.kind, row.text) == ("text", text)


def test_a_table_named_as_text_is_said(tmp_path: Path) -> None:
    found = read_file(write(tmp_path / "x.txt", "prompt,completion\nq,a\n"))
    assert found.notes == ["`x.txt` looks like a table and is read as text: name it .csv or .tsv to have its rows"]


@pytest.mark.parametrize(
    ("name", "content", "message", "hint"),
    [
        ("x.jsonl", LFS, "`{}` is a Git LFS pointer", "git lfs pull"),
        ("x.txt", LFS, "`{}` is a Git LFS pointer", "git lfs pull"),
        ("x.parquet", LFS, "`{}` is a Git LFS pointer", "git lfs pull"),
        ("x", LFS, "`{}` is a Git LFS pointer", "git lfs pull"),
        ("x.jsonl.gz", LFS, "`{}` is a Git LFS pointer", "git lfs pull"),
        ("x.jsonl", "<!doctype html><html>", "`{}` is a web page", "address of the file itself"),
        ("x.csv", "<html><body>", "`{}` is a web page", "address of the file itself"),
        ("x.txt", "<!DOCTYPE HTML>", "`{}` is a web page", "address of the file itself"),
        ("x.jsonl", b"PK\3\4" + bytes(40), "`{}` is a zip archive", "unpack it"),
        ("x.txt", b"%PDF-1.4\n", "`{}` is a PDF", "pdftotext"),
        ("x.arrow", b"ARROW1\0\0", "`{}` is an Arrow file", "to_parquet"),
        ("x.jsonl", b"GGUF\3\0\0\0" + bytes(20), "`{}` is a model (GGUF)", "--model"),
        ("x.txt", '{"a": "é"}'.encode("utf-16-le"), "`{}` is UTF-16, expected UTF-8", "save the file as UTF-8"),
        ("x.gz", gzip.compress(b"%PDF-1.4\n", mtime=0), "`{}` is a PDF", "pdftotext"),
        ("x.ipynb", '{"cells": [\n {"cell_type": "code"}\n]}', "`{}` is a Jupyter notebook", "nbconvert"),
        ("x.json", f'{{"data": [{LINE}]}}', '`{}` is one JSON object that holds its rows under "data"', "'.data[]'"),
        (
            "x.json",
            f'{{"v": 1,\n "rows": [\n{LINE}]}}',
            '`{}` is one JSON object that holds its rows under "rows"',
            "jq",
        ),
        ("x.jsonl", f'{{"train": [{LINE}]}}', '`{}` is one JSON object that holds its rows under "train"', "jq"),
        ("x.jsonl", json.dumps(ROW, indent=1) * 2, "line 1 of `{}` is not JSON: an object goes on over", "jq -c ."),
        ("x.json", json.dumps(ROW, indent=1), "line 1 of `{}` is not JSON: an object goes on over", "jq -c ."),
        ("x.txt", json.dumps(ROW, indent=1), "line 1 of `{}` is not JSON: an object goes on over", "jq -c ."),
    ],
)
def test_what_is_no_data_is_named(tmp_path: Path, name: str, content: str | bytes, message: str, hint: str) -> None:
    path = write(tmp_path / name, content)
    error = refusal(path)
    assert error.message.startswith(message.format(path))
    assert hint in error.hint


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ('{"prompt": "q", "completion": "a",}', "remove the comma"),
        ('{"messages": [1, 2,]}', "remove the comma"),
        ('{"prompt": "q", "completion": "a"},', "remove the commas between the lines"),
        (f"{LINE.strip()},\n{LINE.strip()},", "remove the commas between the lines"),
        (LINE.strip() * 2, "put each object on a line of its own"),
        ('{"prompt": "q"', "goes on in the next line"),
        ("{'prompt': 'q'}", "json.dumps(row)"),
        ('{"prompt": None}', "json.dumps(row)"),
        ('{prompt: "q"}', "double quotes"),
        ('{"prompt": "q", // a comment', "no comments"),
        ('{"prompt": "one\ntwo"}', "a line break in it is written"),
        ('{"prompt": "one\ttwo"}', "a tab"),
        (r'{"prompt": "C:\data"}', "a backslash is written twice"),
        ("prompt,completion", "a table is named .csv"),
        ("Once upon a time", "a text .txt"),
    ],
)
def test_mistakes_in_json_have_a_way_out_of_their_own(tmp_path: Path, text: str, hint: str) -> None:
    error = refusal(write(tmp_path / "x.jsonl", text + "\n"))
    assert "is not JSON: " in error.message
    assert hint in error.hint
    assert ("double quotes" in error.hint) == (hint in ("json.dumps(row)", "double quotes")), "quotes are not to blame"


@pytest.mark.parametrize(
    ("text", "hint"),
    [(f"[{LINE},\n]", "remove the comma"), (f"[{LINE}, {{", "ends in the middle"), ("[{'a': 1}]", "json")],
)
def test_mistakes_in_an_array(tmp_path: Path, text: str, hint: str) -> None:
    assert hint in refusal(write(tmp_path / "x.json", text)).hint


def test_a_large_file_of_spread_objects_is_judged_by_its_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "x.jsonl", (json.dumps({"prompt": "q" * 99, "completion": "a"}, indent=1) + "\n") * 3000)
    monkeypatch.setattr(tokenize_on_disk, "MIN_BYTES", 1)
    for read in (lambda: read_file(path), lambda: prepare(path, vocabs.bpe(tmp_path), DataSettings())):
        with pytest.raises(DatasetError, match="an object goes on over several lines"):
            read()


def test_line_ends_of_windows_are_not_learned(tmp_path: Path) -> None:
    cells = [["prompt", "completion"], ['"a\r\nb"', '"c\r\n\r\nd"'], ['"e\rf"', "g"]]
    for name, mark in (("x.csv", ","), ("x.tsv", "\t"), ("x", ",")):
        path = write(tmp_path / name, "".join(mark.join(row) + "\r\n" for row in cells))
        found = [[message.content for message in row.messages] for row in read_file(path).rows]
        assert found == [["a\nb", "c\n\nd"], ["e\nf", "g"]]
    (row,) = read_file(write(tmp_path / "x.jsonl", '{"text": "a\\r\\nb"}\r\n')).rows
    assert row.text == "a\r\nb", "JSON says so itself"


@pytest.mark.parametrize(
    "rows",
    [
        {"rows.jsonl": LINE},
        {"data/train-00000-of-00001.parquet": "PAR1"},
        {"data/train-00000-of-00001.parquet": LFS},
        {"en/pairs.csv": "prompt,completion\nq,a\n"},
        {"rows.json": f"[{LINE}]"},
        {"rows.txt": LINE * 2},
        {"all.jsonl.gz": gzip.compress(LINE.encode(), mtime=0)},
        {"squad.json": f'{{"data": [{LINE}]}}'},
        {"data-00000-of-00001.arrow": "ARROW1"},
    ],
)
def test_a_folder_with_rows_under_other_names_never_trains_on_its_texts(
    tmp_path: Path, rows: dict[str, str | bytes]
) -> None:
    """Every cloned data set has a README, which was all that was learned."""
    folder = tmp_path / "set"
    for name, content in {"README.md": "# A data set\n", "notes.txt": "It is.\n", **rows}.items():
        write(folder / name, content)
    with pytest.raises(DatasetError) as caught:
        find_sources([folder])
    (name,) = rows
    assert caught.value.message == f"`{folder}` has no train file, and rows under other names: `{name}`"
    assert f"--data {folder / name}" in caught.value.hint


@pytest.mark.parametrize(
    "names",
    [["README.md"], ["readme.txt"], ["README", "README.md", "LICENSE.txt"], ["README.md", "a/README.md", "a/x.py"]],
)
def test_a_readme_alone_is_never_trained_on(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        write(tmp_path / "set" / name, "words")
    with pytest.raises(DatasetError, match=r"no text but .*, which tells of the rest") as caught:
        find_sources([tmp_path / "set"])
    assert "localft data build" in caught.value.hint


def test_texts_without_rows_are_read_as_before(tmp_path: Path) -> None:
    files = {"README.md": "r", "a.txt": "a", "package.json": '{\n "name": "x"\n}', "tsconfig.json": "{}\n", "x.py": "1"}
    for name, content in files.items():
        write(tmp_path / "set" / name, content)
    (part,) = find_sources([tmp_path / "set"]).parts
    assert [path.name for path in part.files] == ["README.md", "a.txt"]


@pytest.mark.parametrize(
    ("files", "message", "hint"),
    [
        ({"dataset_dict.json": "{}", "README.md": "x"}, "is a data set that `save_to_disk`", "to_json"),
        ({"state.json": "{}", "dataset_info.json": "{}", "data-0.arrow": "x"}, "`save_to_disk`", "to_parquet"),
        ({"config.json": '{"fingerprint": 1}', "a.txt": "x"}, "is the folder of a run", "localft chat --lora"),
        ({"config.json": '{"model_type": "llama"}', "README.md": "x"}, "is the folder of a model", "--model"),
        ({"adapter_config.json": '{"peft_type": "LORA"}', "README.md": "x"}, "is the folder of a PEFT", "merge"),
    ],
)
def test_folders_that_are_no_data(tmp_path: Path, files: dict[str, str], message: str, hint: str) -> None:
    for name, content in files.items():
        write(tmp_path / "x" / name, content)
    with pytest.raises(DatasetError) as caught:
        find_sources([tmp_path / "x"])
    assert message in caught.value.message
    assert hint in caught.value.hint
    write(tmp_path / "x" / "train.jsonl", LINE)
    assert find_sources([tmp_path / "x"]).train == [tmp_path / "x" / "train.jsonl"]


def test_pipes_are_refused_by_name(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.jsonl")
    os.mkfifo(tmp_path / "x.csv")
    ends = os.pipe()
    for name in (str(tmp_path / "x.jsonl"), str(tmp_path / "x.csv"), f"/dev/fd/{ends[0]}", "-"):
        with pytest.raises(DatasetError, match="and a run reads its data again") as caught:
            find_sources([name])
        assert "`-`" in caught.value.hint
    for end in ends:
        os.close(end)
    assert "is a pipe" in refusal(tmp_path / "x.jsonl").message
    assert data_format(tmp_path / "x.jsonl").rows == "json"


def test_columns_of_times_that_python_does_not_have(tmp_path: Path) -> None:
    """Nanoseconds, and years after 9999, ended in a traceback though nobody asked for them."""
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    day = datetime.date(2020, 1, 1)
    odd = {
        "ns": pyarrow.array([1], pyarrow.timestamp("ns")),
        "far": pyarrow.array([1 << 60], pyarrow.timestamp("us")),
        "zone": pyarrow.array([1], pyarrow.timestamp("us", "Nowhere/Nothing")),
        "time": pyarrow.array([1], pyarrow.time64("ns")),
        "span": pyarrow.array([1], pyarrow.duration("ns")),
        "inside": pyarrow.array([[{"at": 1}]], pyarrow.list_(pyarrow.struct([("at", pyarrow.timestamp("ns"))]))),
        "day": pyarrow.array([day]),
    }
    path = tmp_path / "x.parquet"
    parquet.write_table(pyarrow.table({"prompt": ["q"], "completion": ["a"], **odd}), path)
    found = read_file(path)
    assert [row.messages for row in found.rows] == [TURNS]
    assert set(found.unknown_keys) == set(odd)
    parquet.write_table(pyarrow.table({"prompt": ["q"], "completion": odd["ns"]}), path)
    assert (
        refusal(path).message
        == f'"completion" in row 1 of `{path}` is a value of the type timestamp[ns], expected text'
    )


@pytest.mark.parametrize(
    "content",
    [
        b'[{"text": "\xff"}]',
        b'[{"text": "\xff"}]\n',
        b'\n[{"text": "a\xe9"}]',
        b"[\xff",
        b'["\xff", {"text": "' + b"w" * 300_000 + b'"}]',
    ],
)
def test_an_array_that_is_not_utf8_has_its_sentence(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path / "x.json", content)
    assert "is not UTF-8: byte 0x" in refusal(path).message
    found = check(TrainConfig().with_values("flag", {"data": (str(path),)}))
    assert "is not UTF-8: byte 0x" in found.errors[0].message
