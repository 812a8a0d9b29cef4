"""Files are read a few rows at a time: what comes of them does not depend on where they are cut."""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from localft.data.reading import lines, tables
from localft.data.reading import parquet as parquet_module
from localft.data.reading.json_array import array_values
from localft.data.reading.parquet import parquet_values
from localft.data.rows.reader import read_file
from localft.errors import DatasetError

VALUE = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=30)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)


def pieces(text: str, n: int) -> Iterator[str]:
    return (text[at : at + n] for at in range(0, len(text), n))


def read(text: str, n: int, most: int = 10_000) -> tuple[list[tuple[int, Any]], list[tuple[int, str]]]:
    told: list[tuple[int, str]] = []
    found = array_values(Path("x.json"), pieces(text, n), most, lambda at, error: told.append((at, error.message)))
    return list(found), told


@settings(max_examples=300, deadline=None)
@given(st.lists(VALUE, max_size=6), st.sampled_from([",", ",\n", " ,\r\n\t "]), st.booleans(), st.integers(1, 40))
def test_an_array_cut_anywhere_holds_the_same_values(values: list[Any], comma: str, plain: bool, n: int) -> None:
    text = "\n [" + comma.join(json.dumps(value, ensure_ascii=plain) for value in values) + " ]\n\n"
    found, told = read(text, n)
    assert ([value for _, value in found], told) == (values, [])
    assert found == read(text, len(text))[0], "the same lines"


@settings(max_examples=300, deadline=None)
@given(st.data(), st.integers(1, 30))
def test_a_mistake_is_the_same_wherever_the_array_is_cut(data: st.DataObject, n: int) -> None:
    rows = [{"text": "one"}, {"a": [1, 2.5, True]}, 12345, "words\nand", None]
    text = "[" + ",\n".join(json.dumps(row, indent=data.draw(st.sampled_from([None, 1]))) for row in rows) + "]"
    at = data.draw(st.integers(1, len(text)))
    text = text[: at - 1] + data.draw(st.sampled_from(["", "]", ",", "x", '"', "\\", "{", "\n"])) + text[at:]
    assert read(text, n) == read(text, len(text) + 1)


def test_a_value_without_an_end_is_told_before_all_of_it_is_read() -> None:
    taken = 0

    def endless() -> Iterator[str]:
        nonlocal taken
        yield '[{"text": "a"},\n"'
        while True:
            taken += 1
            yield "b" * 100

    told: list[str] = []
    found = array_values(Path("x.json"), endless(), 1000, lambda _, error: told.append(error.message))
    assert list(found) == [(1, {"text": "a"})]
    assert told == ["the row on line 2 of `x.json` is longer than 1,000 characters, which are the most"]
    assert taken < 50


@pytest.mark.parametrize("block", [4, 5, 64])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_table_cut_anywhere_has_the_same_rows(
    end: str, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [["prompt", "completion"], ["é,日", 'a "word"'], [f"two{end}lines", "x"], ["", "y\u2028z\x85"]]
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator=end).writerows(rows)
    (tmp_path / "x.csv").write_bytes(b"\xef\xbb\xbf" + file.getvalue().encode())
    monkeypatch.setattr(lines, "BLOCK", block)
    found = read_file(tmp_path / "x.csv").rows
    expected = [[field.replace(end, "\n") for field in row] for row in rows]
    assert [[message.content for message in row.messages] for row in found] == expected[1:]
    assert [row.line for row in found] == [2, 3, 5]


def test_a_quote_that_never_closes_does_not_swallow_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_LONGEST_FIELD", 1000)
    path = tmp_path / "x.csv"
    path.write_text('prompt,completion\na,b\nc,"' + "never closed\n" * 10_000)
    with pytest.raises(DatasetError, match=r"line 3 of .* is no CSV: field larger than field limit \(1000\)"):
        read_file(path)


def test_bytes_that_are_no_text_lose_only_their_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "BLOCK", 8)
    told: list[str] = []
    for name, data in (
        ("x.json", b'[{"text": "a"},\n{"text": "\xff"}\n{"text": "c"}]'),
        ("x.csv", b"text\na\nb\xff\nc\n"),
    ):
        (tmp_path / name).write_bytes(data)
        found = read_file(tmp_path / name, on_problem=lambda _, error: told.append(error.message))
        assert [row.text for row in found.rows] == ["a", "c"]
    assert [message.partition(": ")[0][:6] for message in told] == ["line 2", "line 3"]
    assert ["offset 26" in told[0], "offset 8" in told[1]] == [True, True]


def test_parquet_gives_what_pyarrow_does_in_one_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(3)
    words = ["", "a", "日本", "same" * 50]
    values = [
        {
            "text": rng.choice([*words, None]),
            "messages": [{"role": rng.choice(words), "content": str(i)}] * rng.randrange(3),
            "n": rng.choice([i, None]),
            "data": rng.choice(words).encode(),
            "score": i / 7,
            "tags": rng.choice([None, [], words]),
        }
        for i in range(300)
    ]
    table = pyarrow.Table.from_pylist(values)
    parquet.write_table(table, tmp_path / "x.parquet", row_group_size=70, data_page_size=200)
    monkeypatch.setattr(parquet_module, "_MOST_ROWS", 7)
    wanted = [{name: cell for name, cell in row.items() if cell is not None} for row in table.to_pylist()]
    assert list(parquet_values(tmp_path / "x.parquet")) == list(enumerate(wanted, 1))


def test_a_row_of_parquet_that_is_too_long_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_module, "MAX_LINE", 1000)
    turns = [[{"role": "user", "content": "a" * 90}] * n for n in (1, 20)]
    parquet.write_table(pyarrow.table({"messages": turns}), tmp_path / "x.parquet")
    with pytest.raises(DatasetError, match=r"row 2 of .* is 1,880 bytes long, at most 1,000 are read"):
        list(parquet_values(tmp_path / "x.parquet"))
