"""Packing: rows that share a sequence, texts that are joined and cut, and what is said about both."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import vocabs
from hypothesis import example, given, settings
from hypothesis import strategies as st

from localft.data.batching.batches import plan_batches
from localft.data.batching.packing import pack
from localft.data.dataset import Dataset, prepare
from localft.data.tokens.tokenize import TokenizedRow, wrapped
from localft.errors import ConfigError
from localft.model.tokenizer import Tokenizer
from localft.screen.run_report import data_lines
from localft.settings.data_settings import DataSettings

N_CTX = 40
lengths_of_rows = st.lists(st.integers(1, N_CTX), min_size=1, max_size=60)


@pytest.fixture(scope="module")
def bpe(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return vocabs.bpe(tmp_path_factory.mktemp("bpe"), add_bos=True)


def row(length: int, number: int = 0, is_text: bool = False) -> TokenizedRow:
    tokens = np.arange(1000 * number, 1000 * number + length + 1, dtype=np.int32)
    mask = np.ones(length + 1, np.uint8)
    mask[0] = 0
    return TokenizedRow(tokens, mask, "x.jsonl", number + 1, is_text)


def first_fit(lengths: list[int]) -> int:
    """Sequences that rows need as they stand, each in the first that has room: the textbook's loop."""
    left: list[int] = []
    for length in lengths:
        at = next((i for i, room in enumerate(left) if room >= length), len(left))
        if at == len(left):
            left.append(N_CTX)
        left[at] -= length
    return len(left)


@given(lengths_of_rows)
@example([16, 12, 12, 16, 12, 12])  # longest first needs three sequences here, as they stand two
@settings(max_examples=200, deadline=None, derandomize=True)
def test_packed_sequences(lengths: list[int]) -> None:
    rows = [row(length, i) for i, length in enumerate(lengths)]
    sequences = pack(rows, N_CTX)
    assert Counter(i for sequence in sequences for i in sequence) == Counter(range(len(rows))), "every row once"
    assert max(sum(lengths[i] for i in sequence) for sequence in sequences) <= N_CTX
    assert len(sequences) <= first_fit(lengths)
    assert pack(rows, N_CTX) == sequences


@given(lengths_of_rows, st.integers(0, 3))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_a_packed_micro_batch_holds_rows_apart(lengths: list[int], epoch: int) -> None:
    rows = [row(length, i) for i, length in enumerate(lengths)]
    made = plan_batches(rows, batch_size=2, micro_batch_size=None, seed=1, packing=True, n_ctx=N_CTX)
    found: Counter[int] = Counter()
    for batch in (batch for i in range(made.steps_per_epoch) for batch in made.step(epoch, i)):
        for start, stop in zip(batch.row_starts[:-1], batch.row_starts[1:], strict=True):
            number = int(batch.tokens[start]) // 1000
            found[number] += 1
            assert batch.tokens[start:stop].tolist() == rows[number].tokens[:-1].tolist()
            assert batch.targets[start:stop].tolist() == rows[number].tokens[1:].tolist()
    assert found == Counter(range(len(rows)))


def test_many_rows_are_packed_soon() -> None:
    lengths = np.random.Generator(np.random.PCG64(1)).integers(1, 1025, 50_000)
    cheap = [TokenizedRow(np.empty(n + 1, np.int32), np.empty(0, np.uint8), "x", 1) for n in lengths]
    sequences = pack(cheap, 1024)
    assert lengths.sum() / (1024 * len(sequences)) > 0.99


@given(st.lists(st.integers(0, 30), min_size=1, max_size=20), st.integers(1, 25))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_wrapped_texts_lose_nothing(lengths: list[int], n_ctx: int) -> None:
    texts = [row(length, i, is_text=True) for i, length in enumerate(lengths)]
    whole = np.concatenate([text.tokens for text in texts])
    windows = wrapped(texts, n_ctx)
    assert {window.length for window in windows[:-1]} <= {n_ctx}
    assert windows[-1].length <= n_ctx
    assert np.concatenate([whole[:1], *(window.tokens[1:] for window in windows)]).tolist() == whole.tolist()
    for before, after in pairwise(windows):
        assert before.tokens[-1] == after.tokens[0]
    assert sum(window.n_supervised for window in windows) == sum(text.n_supervised for text in texts)
    assert [window.line for window in windows] == [int(window.tokens[0]) // 1000 + 1 for window in windows]


def data(path: Path, tokenizer: Tokenizer, **changes: object) -> Dataset:
    return prepare([path], tokenizer, DataSettings(no_val=True, **changes))  # type: ignore[arg-type]


def stories(path: Path, n: int = 20) -> Path:
    rows = [{"text": "once upon " * (i % 7 + 1)} for i in range(n)]
    path.write_text("".join(json.dumps(value) + "\n" for value in rows), encoding="utf-8")
    return path


def test_wrapping_the_texts_of_a_run(tmp_path: Path, bpe: Tokenizer) -> None:
    path = stories(tmp_path / "x.jsonl")
    plain, made = data(path, bpe, ctx=32), data(path, bpe, ctx=32, wrap_packed=True)
    joined = np.concatenate([unit.tokens for unit in data(path, bpe, ctx=1024).train])
    assert np.concatenate([joined[:1], *(window.tokens[1:] for window in made.train)]).tolist() == joined.tolist()
    assert {window.length for window in made.train[:-1]} == {32}
    assert made.summary.n_supervised == plain.summary.n_supervised
    lines = dict(data_lines(made.n_ctx, made.n_ctx_reason, made.summary.to_dict()))
    assert lines["wrapped"] == f"20 texts joined, into {len(made.train)} windows, nothing lost"
    assert "wrapped" not in dict(data_lines(plain.n_ctx, plain.n_ctx_reason, plain.summary.to_dict()))
    assert data(path, bpe, ctx=32, wrap_packed=True).fingerprint == made.fingerprint != plain.fingerprint


def test_short_texts_fill_long_windows_together(tmp_path: Path, bpe: Tokenizer) -> None:
    path = stories(tmp_path / "x.jsonl", 400)
    assert data(path, bpe).n_ctx < 200
    made = data(path, bpe, wrap_packed=True)
    assert (made.n_ctx, made.n_ctx_reason[:16]) == (1024, "texts are joined")
    made = data(path, bpe, wrap_packed=True, n_ctx_train=256)
    assert (made.n_ctx, made.n_ctx_reason) == (256, "all that the model was trained on; texts are joined to fill it")


def test_conversations_are_not_wrapped(tmp_path: Path, bpe: Tokenizer) -> None:
    path = stories(tmp_path / "x.jsonl")
    pairs = [{"prompt": f"Q{i}", "completion": " A"} for i in range(5)]
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(pair) + "\n" for pair in pairs)
    kinds = [row.is_text for row in data(path, bpe, ctx=64, wrap_packed=True).train]
    assert kinds == [False] * 5 + [True] * (len(kinds) - 5)
    path.write_text("".join(json.dumps(pair) + "\n" for pair in pairs), encoding="utf-8")
    with pytest.raises(ConfigError, match="`--wrap-packed` has nothing to do: no text is trained on"):
        data(path, bpe, wrap_packed=True)


def test_the_header_says_how_full_sequences_are() -> None:
    rows = [row(length, i) for i, length in enumerate([10, 20, 30, 40, 20])]
    made = plan_batches(rows, batch_size=2, micro_batch_size=None, seed=1, packing=True, n_ctx=40)
    assert made.describe_packing(40) == "5 rows in 3 sequences, 100.0% full (with a row each 60.0%)"
