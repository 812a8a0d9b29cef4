"""Large files: tokenized by several processes, kept on disk, and the same dataset in every way."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import shutil
import tempfile
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import vocabs
from hypothesis import given, settings
from hypothesis import strategies as st

from localft.data.batching.batches import plan_batches
from localft.data.dataset import Dataset, prepare
from localft.data.reading import lines
from localft.data.reading.lines import Block, blocks, json_values
from localft.data.rows.documents import content_key
from localft.data.rows.reader import read_file
from localft.data.rows.row import USUAL_COLUMNS
from localft.data.tokens import cache, tokenize_on_disk
from localft.data.tokens.rows_on_disk import StoredRow, StoredTokens, stored_units
from localft.data.tokens.run_wording import RunWording
from localft.data.tokens.workers import Task, serve
from localft.errors import DatasetError, LocalftError
from localft.model.tokenizer import Tokenizer
from localft.settings.data_settings import DataSettings

TEMPLATES = {"plain": None, "chat": vocabs.CHATML, "thinking": vocabs.THINKING}


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tokenizer]:
    folder = tmp_path_factory.mktemp("vocabularies")
    return {
        name: Tokenizer(vocabs.write_bpe(folder / f"{name}.gguf", template=each)) for name, each in TEMPLATES.items()
    }


@pytest.fixture
def all_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file counts as large, and a few lines are a block."""
    monkeypatch.setattr(tokenize_on_disk, "MIN_BYTES", 0)
    monkeypatch.setattr(lines, "BLOCK", 300)


@pytest.fixture
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenize_on_disk, "processors", lambda: 1)


def values(n: int = 40) -> Iterator[dict[str, Any]]:
    for i in range(n):
        yield {
            "prompt": f"Question {i} of {i % 7}?",
            "completion": "" if i == 9 else f" Answer {i} é日本 " * (i % 3 + 1),
        }
        yield {"text": f"Once upon a time {i} " * (i % 11 + 1), "doc": f"book:{i % 5}", "source": {"kind": "page"}}
        turns = [("user", "a"), ("assistant", f"b{i}"), ("user", "c"), ("assistant", f"d{i}"), ("user", "e")]
        yield {"messages": [{"role": r, "content": c} for r, c in turns[: 4 + i % 2]], "id": i}


def write(path: Path, rows: Iterator[dict[str, Any]] | None = None) -> Path:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n\n" for row in rows or values())
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def same(ours: Dataset, theirs: Dataset) -> None:
    for name in ("fingerprint", "n_ctx", "n_ctx_reason", "template", "summary", "val_prompts", "shares"):
        assert getattr(ours, name) == getattr(theirs, name), name
    for mine, other in zip([*ours.train, *ours.val], [*theirs.train, *theirs.val], strict=True):
        assert mine.tokens.tolist() == other.tokens.tolist()
        assert mine.loss_mask.tolist() == other.loss_mask.tolist()
        facts = ("source", "line", "is_text", "length", "n_supervised")
        assert [getattr(mine, fact) for fact in facts] == [getattr(other, fact) for fact in facts]
        assert (mine.tokens.dtype, mine.loss_mask.dtype) == (np.int32, np.uint8)


@pytest.mark.parametrize("model", TEMPLATES)
@pytest.mark.parametrize(
    "changes", [{}, {"ctx": 24, "overlength": "truncate"}, {"ctx": 99, "wrap_packed": True, "train_on_prompt": True}]
)
def test_on_disk_and_in_memory_are_the_same(
    tmp_path: Path,
    tokenizers: dict[str, Tokenizer],
    monkeypatch: pytest.MonkeyPatch,
    one_process: None,
    model: str,
    changes: dict[str, Any],
) -> None:
    path, made = write(tmp_path / "x.jsonl"), DataSettings(date="2026-01-01", **changes)
    in_memory = prepare([path], tokenizers[model], made)
    monkeypatch.setattr(tokenize_on_disk, "MIN_BYTES", 0)
    monkeypatch.setattr(lines, "BLOCK", 300)
    on_disk = prepare([path], tokenizers[model], made)
    assert any(isinstance(row, StoredTokens) for row in on_disk.train)
    same(on_disk, in_memory)
    steps = [
        plan_batches(d.train, batch_size=4, micro_batch_size=None, seed=1, packing=True, n_ctx=d.n_ctx).step(0, 0)
        for d in (on_disk, in_memory)
    ]
    assert [batch.targets.tolist() for batch in steps[0]] == [batch.targets.tolist() for batch in steps[1]]


def test_processes_give_the_same_and_a_second_run_reads_it(
    tmp_path: Path, tokenizers: dict[str, Tokenizer], monkeypatch: pytest.MonkeyPatch, all_large: None
) -> None:
    plain, packed = write(tmp_path / "x.jsonl"), write(tmp_path / "y.jsonl.gz")
    said: list[tuple[str, int, int]] = []
    monkeypatch.setattr(tokenize_on_disk, "processors", lambda: 2)
    first = prepare([plain], tokenizers["chat"], DataSettings(date="2026-01-01"), lambda *words: said.append(words))
    assert said[-1] == ("tokenizing x.jsonl", plain.stat().st_size, plain.stat().st_size)
    monkeypatch.setattr(tokenize_on_disk, "processors", lambda: 1)
    compressed = prepare([packed], tokenizers["chat"], DataSettings(date="2026-01-01"))
    assert compressed.fingerprint == first.fingerprint
    monkeypatch.setattr(tokenize_on_disk, "tokenize_block", lambda *_: pytest.fail("it was tokenized again"))
    same(prepare([plain], tokenizers["chat"], DataSettings(date="2026-02-02")), first_of(first, "2026-02-02"))
    elsewhere = shutil.copy(plain, tmp_path / "elsewhere.jsonl")
    again = prepare([elsewhere], tokenizers["chat"], DataSettings(seed=7))
    assert {row.source for row in again.train} == {str(elsewhere)}
    assert len(list(cache.folder().iterdir())) == 2


def first_of(dataset: Dataset, day: str) -> Dataset:
    """The same on another day; the template does not print it."""
    return replace(dataset, template=replace(dataset.template, date=day))


def test_what_the_tokens_are_made_of_is_in_their_name(
    tmp_path: Path, tokenizers: dict[str, Tokenizer], all_large: None, one_process: None
) -> None:
    path = write(tmp_path / "x.jsonl")
    names: set[Path] = set()
    changes = ({}, {"train_on_prompt": True}, {"raw": True}, {"template": "alpaca"}, {"prompt_column": "id"})
    for n, change in enumerate(changes, 1):
        try:
            prepare([path], tokenizers["chat"], DataSettings(date="2026-01-01", **change))  # type: ignore[arg-type]
        except LocalftError:
            assert "prompt_column" in change
            n -= 1
        names |= set(cache.folder().iterdir())
        assert len(names) == n
    prepare([path], tokenizers["plain"], DataSettings())
    write(path, values(5))
    prepare([path], tokenizers["plain"], DataSettings())
    assert len(list(cache.folder().iterdir())) == len(names) + 2


@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz"])
def test_rows_know_their_words(
    tmp_path: Path, tokenizers: dict[str, Tokenizer], all_large: None, one_process: None, name: str
) -> None:
    path = write(tmp_path / name)
    file = tokenize_on_disk.read_large(path, RunWording(tokenizers["chat"], None, False, None, False), USUAL_COLUMNS)
    assert file is not None
    stored, plain = [unit.row for unit in stored_units(file)], read_file(path).rows
    order = np.random.Generator(np.random.PCG64(1)).permutation(len(plain))[:30]
    for i in [*range(len(plain)), *order.tolist(), 3, 3]:
        ours, theirs = stored[i], plain[i]
        assert isinstance(ours, StoredRow)
        for name in ("kind", "source", "line", "text", "messages", "doc", "source_kind"):
            assert getattr(ours, name) == getattr(theirs, name)
        assert content_key(ours) == content_key(theirs)
    path.write_bytes(b"")
    with pytest.raises(DatasetError, match=r"line 1 of `.*` changed while it was read"):
        _ = stored[0].text


@pytest.mark.parametrize("processes", [1, 2])
def test_the_first_line_that_cannot_be_used_is_named(
    tmp_path: Path,
    tokenizers: dict[str, Tokenizer],
    monkeypatch: pytest.MonkeyPatch,
    all_large: None,
    processes: int,
) -> None:
    monkeypatch.setattr(tokenize_on_disk, "processors", lambda: processes)
    path = write(tmp_path / "x.jsonl")
    with path.open("a", encoding="utf-8") as file:
        file.write('{"text": 3}\n' + '{"prompt": "x", "completion": "y"}\n' * 30 + "oops\n")
    with pytest.raises(DatasetError, match=r'"text" in line 241 of `.*x\.jsonl` is a number, expected text') as error:
        prepare([path], tokenizers["plain"], DataSettings())
    assert error.value.hint
    assert list(cache.folder().iterdir()) == [], "nothing is kept of it"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no rows"),
        (b"\n \n" * 200, "has no rows"),
        (b'{\n"text": "a"}', "is not JSON"),
        (b"[3]", "is a number"),
    ],
)
def test_files_without_rows_have_the_usual_sentence(
    tmp_path: Path, tokenizers: dict[str, Tokenizer], all_large: None, one_process: None, content: bytes, message: str
) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(content)
    with pytest.raises(DatasetError) as usual:
        read_file(path)
    with pytest.raises(DatasetError, match=message) as error:
        prepare([path], tokenizers["plain"], DataSettings())
    assert (error.value.message, error.value.hint) == (usual.value.message, usual.value.hint)
    path.write_bytes(b"[" + b",\n".join([b'{"text": "a b c"}'] * 90) + b"]")
    assert prepare([path], tokenizers["plain"], DataSettings(no_val=True)).summary.n_rows == 90


def test_a_process_forgets_what_is_done(tmp_path: Path, tokenizers: dict[str, Tokenizer]) -> None:
    """An unpickler that was used again and again kept every block that it had read."""
    task = Task(tmp_path / "x.jsonl", tokenizers["plain"].path, None, False, "2026-01-01", False, USUAL_COLUMNS)
    data = [Block(i + 1, i << 18, b" " * ((1 << 18) - 1) + b"\n") for i in range(60)]
    jobs, results = BytesIO(b"".join(map(pickle.dumps, [task, *data]))), BytesIO()
    tracemalloc.start()
    try:
        serve(jobs, results)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 << 18
    results.seek(0)
    assert [pickle.load(results).lines.size for _ in data] == [0] * 60


def test_tokens_that_are_damaged_or_gone_are_made_anew(
    tmp_path: Path, tokenizers: dict[str, Tokenizer], all_large: None, one_process: None
) -> None:
    path = write(tmp_path / "x.jsonl")
    first = prepare([path], tokenizers["plain"], DataSettings(date="2026-01-01"))
    (entry,) = cache.folder().iterdir()
    for damage in ("tokens.bin", "header.json", "starts.npy", "n_supervised.npy", "keys.npy", "sums.json"):
        whole = (entry / damage).read_bytes()
        for damaged in (whole[:-5], whole[:-5] + b"\5\0\0\0\5", b"\5" * len(whole), b""):
            (entry / damage).write_bytes(damaged)
            again = prepare([path], tokenizers["plain"], DataSettings(date="2026-01-01"))
            assert (again.fingerprint, again.summary) == (first.fingerprint, first.summary)
            assert (entry / damage).read_bytes() == whole
    (entry / "lines.npy").unlink()
    assert prepare([path], tokenizers["plain"], DataSettings()).fingerprint == first.fingerprint
    with pytest.raises(DatasetError, match=r"the tokens of `.*` in localft's cache are gone"):
        [row.tokens for row in first.train]


def test_the_cache_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MAX_BYTES", 300)
    (cache.folder() / ".killed.localft.part").mkdir(parents=True)

    def fill(folder: Path) -> None:
        (folder / "tokens.bin").write_bytes(b"x" * 100)

    def fail(folder: Path) -> None:
        fill(folder)
        raise RuntimeError

    for age, name in ((3000, "a"), (1000, "b"), (2000, "c")):
        entry = cache.kept(name, fill)
        os.utime(entry, (10_000 - age, 10_000 - age))
    assert sorted(path.name for path in cache.folder().iterdir()) == ["b", "c"]
    with pytest.raises(RuntimeError):
        cache.kept("d", fail)
    assert sorted(path.name for path in cache.folder().iterdir()) == ["b", "c"], "whole or not at all"
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LOCALFT_HOME", str(tmp_path / "file"))
    with pytest.raises(DatasetError, match="cannot write tokens to"):
        cache.kept("e", fill)


@given(st.lists(st.binary(max_size=12), max_size=20), st.integers(1, 9), st.booleans())
@settings(max_examples=100, deadline=None, derandomize=True)
def test_blocks_are_the_file(texts: list[bytes], size: int, end: bool) -> None:
    data = b"#" + b"\n".join(texts) + b"\n" * end
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "BLOCK", size)
        path = Path(folder) / "x.jsonl"
        path.write_bytes(data)
        found = list(blocks(path))
    assert b"".join(block.data for block in found) == data
    for block in found:
        assert data[block.offset : block.offset + len(block.data)] == block.data
        assert block.line == data[: block.offset].count(b"\n") + 1
        assert block.offset == 0 or data[block.offset - 1 : block.offset] == b"\n"


@pytest.mark.parametrize("size", [7, 64, 1000])
def test_a_long_line_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(lines, "BLOCK", size)
    monkeypatch.setattr(lines, "MAX_LINE", 100)
    path = tmp_path / "x.jsonl"
    path.write_bytes(
        b"\xef\xbb\xbf1\n" + b"2" * 150 + b"\n3\n" + b"4" * 101 + b"\n" + b"5" * 100 + b"\n\xff\n" + b"6" * 400
    )
    told: list[str] = []
    found = list(json_values(path, lambda line, error: told.append(error.message)))
    assert [(line, len(str(value))) for line, value in found] == [(1, 1), (3, 1), (5, 100)]
    assert told == [
        f"line 2 of `{path}` is 150 bytes long, at most 100 are read",
        f"line 4 of `{path}` is 101 bytes long, at most 100 are read",
        f"line 6 of `{path}` is not UTF-8: byte 0xff at offset {3 + 2 + 151 + 2 + 102 + 101}",
        f"line 7 of `{path}` is 400 bytes long, at most 100 are read",
    ]
