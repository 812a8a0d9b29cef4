"""Rows in a temporary file are the rows that were put there."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import pytest

from localft.data.rows import normal_form, row_list
from localft.data.rows.documents import content_key
from localft.data.rows.normal_form import digest, letters, normal, normal_digest
from localft.data.rows.row import Message, Row
from localft.data.rows.row_list import RowList
from localft.data.rows.sequences import Chained, chained, picked
from localft.errors import DatasetError

TALK = (Message("system", "be\0brief"), Message("user", "a 日本 \U0001f600", "input"), Message("assistant", "b"))
ROWS = [
    *(Row("text", "bad\udcff.jsonl", i, f"text {i} " + "é" * (i % 7), doc=f"d{i % 3}") for i in range(400)),
    Row("messages", "b.jsonl", 7, "", TALK, "r:x", "page"),
    Row("completion", "b.jsonl", 8, "", TALK[1:]),
]


@pytest.fixture
def in_file(monkeypatch: pytest.MonkeyPatch) -> RowList:
    monkeypatch.setattr(row_list, "MEMORY", 20_000)
    monkeypatch.setattr(row_list, "_READ", 100)
    return RowList(ROWS)


def test_they_are_the_same_rows_in_the_same_order(in_file: RowList) -> None:
    assert in_file._kept == []
    assert in_file._file is not None
    assert (len(in_file), in_file == ROWS, list(in_file) == ROWS) == (len(ROWS), True, True)
    assert [in_file[i] for i in (0, 399, -1, -402)] == [ROWS[i] for i in (0, 399, -1, -402)]
    assert list(in_file[390:]) == ROWS[390:]
    numbers = [3, 3, 401, 0, 17]
    assert list(in_file.items_at(numbers)) == list(picked(in_file, numbers)) == [ROWS[i] for i in numbers]
    with pytest.raises(IndexError):
        in_file[len(ROWS)]
    in_file.append(ROWS[0])
    assert in_file[-1] == ROWS[0]


def test_few_stay_in_memory() -> None:
    rows = RowList(ROWS)
    assert rows == ROWS
    assert all(one is other for one, other in zip(rows, ROWS, strict=True))


def test_a_row_is_known_again_however_often_it_is_read(in_file: RowList) -> None:
    other = RowList(ROWS)
    assert [row.identity for row in in_file] == [row.identity for row in in_file]
    assert len({row.identity for row in (*in_file, *other)}) == 2 * len(ROWS)


def test_sequences_one_behind_the_other(in_file: RowList) -> None:
    whole = chained([in_file, RowList(ROWS[:3]), RowList()])
    assert isinstance(whole, Chained)
    assert list(whole) == [whole[i] for i in range(len(whole))] == ROWS + ROWS[:3]
    assert list(whole[-4:]) == [*ROWS[-1:], *ROWS[:3]]
    assert chained([[1], [2, 3]]) == [1, 2, 3]


def test_no_room_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_list, "MEMORY", 0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(DatasetError, match=r"cannot keep rows in .*gone") as caught:
        RowList(ROWS)
    assert "TMPDIR" in str(caught.value.hint)


ALPHABET = " \n\t\u00a0\u3000aAbBé\u0301ﬁİßſ日本。_-!ﾊﾟ가각\u1100\u1161\u11a8\u2028\x1c\x85¨Ａ１٣😀\u200b"


def test_normal_forms_do_not_depend_on_where_a_text_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(5)
    texts = ["".join(rng.choices(ALPHABET, k=rng.randrange(40))) for _ in range(5000)]

    def forms() -> list[tuple[str, str, str, bytes]]:
        return [(normal(t), letters(t), letters(normal(t)), content_key(Row("text", "x", 1, t))) for t in texts]

    whole = forms()
    monkeypatch.setattr(normal_form, "_STRETCH", 5)
    assert forms() == whole
    assert [normal_digest(text) for text in texts] == [digest(normal(text)) for text in texts]
