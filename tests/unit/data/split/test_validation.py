"""Splits: whole documents, each kind of source alike, equal rows on one side."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import vocabs
from hypothesis import given, settings
from hypothesis import strategies as st

from localft.data.dataset import prepare
from localft.data.rows.documents import content_key, number_documents
from localft.data.rows.row import Message, Row
from localft.data.split.validation import Split, quotas, split_rows
from localft.data.tokens.tokenize import TokenizedRow, Unit
from localft.errors import ConfigError
from localft.settings.data_settings import DataSettings
from localft.settings.resolve import resolve


def talk(i: int, question: str = "", **about: str) -> Row:
    messages = (Message("user", question or f"q{i}"), Message("assistant", "a"))
    return Row("completion", about.pop("source", "x.jsonl"), i, messages=messages, **about)


def text(i: int, content: str = "", **about: str) -> Row:
    return Row("text", about.pop("source", "x.jsonl"), i, content or f"t{i}", **about)


def split(rows: Sequence[Row], samples: int | None = None, share: float = 0.1, seed: int = 42) -> Split:
    tokens, mask = np.arange(4, dtype=np.int32), np.ones(4, np.uint8)
    units = [Unit(row, (TokenizedRow(tokens, mask, row.source, row.line, row.kind == "text"),)) for row in rows]
    return split_rows(units, 32, val_split=share, val_samples=samples, seed=seed)


def lines(units: Sequence[Unit]) -> list[int]:
    return [unit.row.line for unit in units]


def docs(units: Sequence[Unit]) -> set[str]:
    return {unit.row.doc for unit in units}


def test_rows_without_documents_are_chosen_one_by_one() -> None:
    """The numbers are those of the first release: a seed means the same rows as ever."""
    made = split([talk(i) for i in range(40)], seed=0)
    assert (lines(made.val), made.reason) == ([7, 10, 18, 35], "4 of 40 rows, chosen with seed 0")
    assert lines(split([talk(i) for i in range(40)]).val) == [10, 17, 27, 32]
    mixed = split([text(i) if i < 10 else talk(i) for i in range(40)], 5, seed=1)
    assert (lines(mixed.val), mixed.left_out) == ([15, 16, 24, 25, 31], ())
    assert mixed.reason == "5 of 30 conversations, chosen with seed 1"
    assert lines(split([talk(0), *(text(i) for i in range(1, 40))], seed=1).val) == [0]
    two_files = [talk(i, source=f"{i % 2}.jsonl") for i in range(40)]
    assert lines(split(two_files, seed=0).val) == [7, 10, 18, 35]


def test_a_document_is_held_out_of_everything_at_once() -> None:
    """Its questions validate; its raw text is neither trained on nor validated."""
    rows = [
        *(text(i, doc=f"d{i}", source="raw.jsonl") for i in range(20)),
        *(talk(100 + i, doc=f"d{i % 20}", source="pairs.jsonl") for i in range(60)),
    ]
    made = split(rows)
    assert docs(made.train).isdisjoint(docs(made.val) | docs(made.left_out))
    assert docs(made.val) == docs(made.left_out)
    assert (len(made.val), len(made.left_out), len(docs(made.val))) == (6, 2, 2)
    assert not any(unit.is_text for unit in made.val)
    assert len(made.train) + len(made.val) + len(made.left_out) == len(rows)
    assert made.reason == "6 of 60 conversations: 2 of 20 documents, chosen with seed 42"
    assert docs(split(rows, seed=7).val) != docs(made.val)


def test_each_kind_of_source_gives_its_share() -> None:
    rows = [
        *(talk(i, doc=f"f{i // 2}", source_kind="file") for i in range(140)),
        *(talk(1000 + i, doc=f"p{i}", source_kind="page") for i in range(40)),
        *(talk(2000 + i, source="plain.jsonl") for i in range(20)),
    ]
    for seed in range(8):
        made = split(rows, seed=seed)
        found = Counter(unit.row.source_kind or unit.row.source for unit in made.val)
        assert found == {"file": 14, "page": 4, "plain.jsonl": 2}
    assert made.reason == ("20 of 200 rows: 13 of 130 documents, of file, page, plain.jsonl alike, chosen with seed 7")


def test_equal_rows_never_stand_on_both_sides() -> None:
    rows = [talk(i, f"q{i % 50}") for i in range(80)]
    made = split(rows)
    assert {unit.row.messages for unit in made.train}.isdisjoint({unit.row.messages for unit in made.val})
    assert len(made.val) == 8
    assert made.reason == "8 of 80 rows, chosen with seed 42; equal rows stay together"


def test_what_equal_means() -> None:
    same = [talk(1, "What  is\nIT?"), talk(2, "what is it?"), talk(3, "what is it? "), talk(4, "ｗhat is it?")]
    assert number_documents([*same, talk(5, "what was it?")]).tolist() == [0, 0, 0, 0, 4]
    assert content_key(text(1, "q a")) != content_key(Row("messages", "x", 1, messages=(Message("assistant", "q a"),)))
    apart = [Row("alpaca", "x", 1, messages=(Message("user", *parts), Message("assistant", "a")))
             for parts in (("q", "i"), ("q i", ""), ("", "q i"))]  # fmt: skip
    assert len({content_key(row) for row in apart}) == 3


def test_documents_that_share_a_row_count_as_one() -> None:
    rows = [talk(0, doc="a"), talk(1, "same", doc="a"), talk(2, "Same", doc="b"), talk(3, doc="b"), talk(4, doc="c")]
    assert number_documents(rows).tolist() == [0, 0, 0, 0, 4]


def test_a_document_larger_than_its_share_stays_where_it_is() -> None:
    rows = [*(talk(i, doc="big") for i in range(70)), *(talk(100 + i, doc=f"d{i}") for i in range(30))]
    for seed in range(8):
        made = split(rows, seed=seed)
        assert (len(made.val), "big" in docs(made.val)) == (10, False)
    made = split([talk(i, doc=f"d{i // 10}") for i in range(40)])
    assert (len(made.val), len(docs(made.val))) == (10, 1)
    assert made.reason.startswith("10 of 40 rows: 1 of 4 documents")


def test_of_one_document_single_rows_validate() -> None:
    made = split([talk(i, doc="d") for i in range(40)])
    assert (len(made.train), len(made.val)) == (36, 4)
    assert made.reason == '4 of 40 rows, chosen with seed 42, though all are of one document (their "doc")'
    made = split([*(talk(i, doc="d") for i in range(20)), *(text(100 + i) for i in range(20))])
    assert (len(made.train), {unit.row.kind for unit in made.val}) == (38, {"completion"})
    made = split([talk(i, "same", doc="d") for i in range(40)])
    assert (made.val, made.reason) == ((), "too few documents to spare one")


def test_samples_are_a_limit() -> None:
    rows = [talk(i, doc=f"d{i // 10}") for i in range(40)]
    made = split(rows, 3)
    assert (len(made.val), len(made.left_out), len(made.train)) == (3, 7, 30)
    fitting = split([talk(i, doc=f"d{i // 3}") for i in range(39)], 5)
    assert (len(fitting.val), fitting.left_out) == (3, ())


def test_something_is_always_left_to_train_on() -> None:
    made = split([talk(i, doc=f"d{i // 3}", source_kind=f"kind{i // 3}") for i in range(6)], share=0.6)
    assert (len(made.train), len(made.val)) == (3, 3)


row_kinds = st.tuples(
    st.booleans(), st.integers(0, 9), st.sampled_from(["", "", "a", "b", "c", "d"]), st.sampled_from(["", "file"])
)


@given(made=st.lists(row_kinds, min_size=2, max_size=40), share=st.floats(0.02, 0.6), seed=st.integers(0, 5))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_no_document_and_no_row_is_on_two_sides(
    made: list[tuple[bool, int, str, str]], share: float, seed: int
) -> None:
    rows = [
        (text if is_text else talk)(i, f"c{content}", doc=doc, source_kind=kind)
        for i, (is_text, content, doc, kind) in enumerate(made)
    ]
    found = split(rows, share=share, seed=seed)
    sides = [set(lines(side)) for side in (found.train, found.val, found.left_out)]
    assert sorted(i for side in sides for i in side) == list(range(len(rows)))
    assert found.train
    numbers = number_documents(rows, by_name="all are of one document" not in found.reason)
    trained, held = ({numbers[i] for i in side} for side in (sides[0], sides[1] | sides[2]))
    assert trained.isdisjoint(held)
    has_talks = any(row.kind != "text" for row in rows)
    assert not (has_talks and any(unit.is_text for unit in found.val))


def test_quotas_add_up() -> None:
    assert quotas({"a": 70, "b": 20, "c": 10}, 10) == {"a": 7, "b": 2, "c": 1}
    assert quotas({"a": 1, "b": 1, "c": 1}, 1) == {"a": 1, "b": 0, "c": 0}
    assert sum(quotas({"a": 7, "b": 5, "c": 3}, 4).values()) == 4


def test_many_small_strata_do_not_always_give_the_same_one() -> None:
    rows = [talk(i, doc=f"d{i}", source=f"{i}.jsonl") for i in range(20)]
    assert len({tuple(lines(split(rows, seed=seed).val)) for seed in range(6)}) > 1


def jsonl(path: Path, rows: Sequence[object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_documents_are_held_out_across_files(tmp_path: Path) -> None:
    tokenizer = vocabs.bpe(tmp_path, add_bos=True)
    raw = jsonl(tmp_path / "raw.jsonl", [{"text": f"the {i} thing", "doc": f"d{i}"} for i in range(20)])
    asked = [{"prompt": f"q{i} ", "completion": f"a{i % 20}", "doc": f"d{i % 20}"} for i in range(40)]
    pairs = jsonl(tmp_path / "pairs.jsonl", asked)
    data = prepare([raw, pairs], tokenizer, DataSettings())
    validating = {asked[row.line - 1]["doc"] for row in data.val}
    trained = {f"d{row.line - 1}" for row in data.train if row.is_text}
    assert len(validating) == 2
    assert trained == {f"d{i}" for i in range(20)} - validating
    assert data.summary.dropped == {"of a document that validates, and no part of the validation": 2}


def test_all_data_trains_on_everything(tmp_path: Path) -> None:
    tokenizer = vocabs.bpe(tmp_path, add_bos=True)
    for name, n in (("train", 10), ("valid", 5), ("test", 3)):
        jsonl(tmp_path / f"{name}.jsonl", [{"prompt": f"{name}{i} ", "completion": "a"} for i in range(n)])
    data = prepare([tmp_path], tokenizer, DataSettings(all_data=True))
    assert (len(data.train), data.val, data.val_prompts) == (15, (), ())
    reason = "none: every row is trained on, those of `valid.jsonl` too (--all-data)"
    assert data.summary.val_reason == reason
    assert any("test.jsonl` is kept for testing" in note for note in data.summary.notes)
    alone = prepare([tmp_path / "train.jsonl"], tokenizer, DataSettings(all_data=True))
    assert alone.summary.val_reason == "none: every row is trained on (--all-data)"
    with pytest.raises(ConfigError, match="contradict"):
        prepare([tmp_path], tokenizer, DataSettings(all_data=True, no_val=True))


@pytest.mark.parametrize("name", ["val_split", "val_samples", "val_every", "val_batch_size", "no_val"])
def test_all_data_has_no_validation_to_set(name: str) -> None:
    value = {"val_split": 0.2, "no_val": True}.get(name, 3)
    with pytest.raises(ConfigError, match="contradict each other"):
        resolve({"all_data": True, name: value})
    assert resolve({"all_data": True, "val_data": "v.jsonl"}).all_data


@pytest.mark.shared
def test_copies_in_wwdc25_stay_together(shared: Path, tmp_path: Path) -> None:
    """437 of its 1800 training rows are copies; a choice of rows put some on both sides."""
    data = prepare(shared / "data/wwdc25/train.jsonl", vocabs.spm(tmp_path), DataSettings())
    assert data.summary.val_reason == "180 of 1,800 rows, chosen with seed 42; equal rows stay together"
    assert data.summary.leaks["exact"] == 0
