"""Weights and replay: what an epoch holds, in which order, and what is said about it."""

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

from localft.data.batching.batches import BatchPlan, draw, plan_batches
from localft.data.dataset import Dataset, prepare
from localft.data.reading.sources import find_sources
from localft.data.tokens.tokenize import TokenizedRow
from localft.errors import ConfigError, DatasetError
from localft.model.tokenizer import Tokenizer
from localft.screen.run_report import data_counts, data_lines
from localft.settings.data_settings import DataSettings
from localft.settings.resolve import resolve


@pytest.fixture(scope="module")
def bpe(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return vocabs.bpe(tmp_path_factory.mktemp("bpe"), add_bos=True)


def rows_of(lengths: Sequence[int]) -> list[TokenizedRow]:
    """Rows whose first token says which they are."""
    made = []
    for i, length in enumerate(lengths):
        tokens = np.arange(1000 * i, 1000 * i + length + 1, dtype=np.int32)
        made.append(TokenizedRow(tokens, np.ones(length + 1, np.uint8), "x.jsonl", i))
    return made


def planned(lengths: Sequence[int], passes: Sequence[tuple[int, float]] = (), **changes: object) -> BatchPlan:
    values = {"batch_size": 4, "micro_batch_size": None, "seed": 1, "packing": False, "n_ctx": 40, **changes}
    return plan_batches(rows_of(lengths), passes=passes, **values)  # type: ignore[arg-type]


def epoch(made: BatchPlan, number: int) -> list[list[int]]:
    """Per step, the rows that it holds."""
    steps = [made.step(number, i) for i in range(made.steps_per_epoch)]
    return [[int(b.tokens[s]) // 1000 for b in step for s in b.row_starts[:-1]] for step in steps]


def test_without_weights_the_order_is_that_of_the_first_release() -> None:
    assert epoch(planned([3] * 10), 0) == [[5, 6, 9, 3], [2, 1, 0, 8], [4, 7]]
    assert planned([3, 4, 5]).epoch_tokens == 12
    assert planned([3, 4, 5, 9], [(3, 2.0), (1, 1.0)]).epoch_tokens == 33


def test_weights_are_passes_over_the_rows_of_each_source() -> None:
    made = planned([3] * 30, [(10, 2.0), (20, 1.0)])
    assert made.steps_per_epoch == 10
    for number in range(3):
        seen = Counter(row for step in epoch(made, number) for row in step)
        assert [seen[row] for row in range(30)] == [2] * 10 + [1] * 20
    assert epoch(made, 0) != epoch(made, 1)
    assert epoch(made, 0) == epoch(planned([3] * 30, [(10, 2.0), (20, 1.0)]), 0)
    assert epoch(made, 0) != epoch(planned([3] * 30, [(10, 2.0), (20, 1.0)], seed=0), 0)


def test_a_fraction_takes_the_next_part_in_each_epoch() -> None:
    made = planned([3] * 30, [(20, 0.25), (10, 1.5)])
    seen: Counter[int] = Counter()
    for number in range(4):
        rows = [row for step in epoch(made, number) for row in step]
        assert (sum(row < 20 for row in rows), sum(row >= 20 for row in rows)) == (5, 15)
        seen.update(rows)
    assert [seen[row] for row in range(30)] == [1] * 20 + [6] * 10, "four epochs pass over all of them alike"


def test_sources_take_turns_as_evenly_as_they_go() -> None:
    made = planned([3] * 40, [(10, 1.0), (30, 1.0)], batch_size=8)
    for number in range(5):
        for step in epoch(made, number):
            assert 1 <= sum(row < 10 for row in step) <= 3


groups = st.lists(st.tuples(st.integers(1, 12), st.floats(0.05, 3.5)), min_size=1, max_size=3)


@given(passes=groups, packing=st.booleans(), batch_size=st.integers(1, 9), number=st.integers(0, 5))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_plans_keep_their_promises(
    passes: list[tuple[int, float]], packing: bool, batch_size: int, number: int
) -> None:
    lengths = [5 + i * 7 % 23 for i in range(sum(n for n, _ in passes))]
    made = planned(lengths, passes, packing=packing, batch_size=batch_size, micro_batch_size=batch_size)
    assert sorted(row for sequence in made.sequences for row in sequence) == list(range(len(lengths)))
    group_of = [group for group, (n, _) in enumerate(passes) for _ in range(n)]
    assert all(len({group_of[row] for row in sequence}) == 1 for sequence in made.sequences)
    steps = [made.step(number, i) for i in range(made.steps_per_epoch)]
    assert max(batch.n_tok for step in steps for batch in step) <= made.max_micro_tokens
    assert all(len(step) for step in epoch(made, number))
    drawn = Counter(group_of[row] for step in epoch(made, number) for row in step)
    if not packing:
        assert [drawn[group] for group in range(len(passes))] == list(made.n_drawn)


@given(n=st.integers(1, 20), n_drawn=st.integers(1, 50), epochs=st.integers(1, 6))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_everything_is_drawn_equally_often(n: int, n_drawn: int, epochs: int) -> None:
    seen = Counter(int(i) for number in range(epochs) for i in draw(n, n_drawn, number, 7))
    assert sum(seen.values()) == n_drawn * epochs
    assert max(seen[i] for i in range(n)) - min(seen[i] for i in range(n)) <= 1


def jsonl(path: Path, rows: Sequence[object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def pairs(n: int, name: str) -> list[dict[str, str]]:
    return [{"prompt": f"{name}{i} ", "completion": f"the {name}"} for i in range(n)]


def read(data: Sequence[str], tokenizer: Tokenizer, **changes: object) -> Dataset:
    return prepare(data, tokenizer, DataSettings(**changes))  # type: ignore[arg-type]


def replayed(data: Dataset) -> list[TokenizedRow]:
    n = data.summary.n_replay
    return list(data.train[len(data.train) - n :])


def test_weights_reach_the_plan_and_the_header(tmp_path: Path, bpe: Tokenizer) -> None:
    a, b = jsonl(tmp_path / "a.jsonl", pairs(10, "a")), jsonl(tmp_path / "b.jsonl", pairs(20, "b"))
    data = read([f"{a}:2", str(b)], bpe)
    assert len(data.val) == 3
    assert [(share.name, share.weight) for share in data.shares] == [(str(a), 2.0), (str(b), 1.0)]
    assert [share.n_row for share in data.shares] == [
        sum(row.source == str(path) for row in data.train) for path in (a, b)
    ]
    own, other = (sum(r.n_supervised for r in data.train if r.source == str(path)) for path in (a, b))
    tokens = sum(r.length * (2 if r.source == str(a) else 1) for r in data.train)
    n_a, n_b = (share.n_row for share in data.shares)
    assert data.summary.epoch == (
        f"2 × {n_a} rows of `{a}`, 1 × {n_b} rows of `{b}`: {tokens:,} tokens, {2 * own + other:,} supervised"
    )
    assert ("epoch", data.summary.epoch) in data_lines(32, "", data.summary.to_dict())
    assert read([str(a), str(b)], bpe).summary.epoch == ""
    assert read([str(a), str(b)], bpe).shares == ()


def test_replay_is_its_share_of_the_supervised_tokens(tmp_path: Path, bpe: Tokenizer) -> None:
    own = jsonl(tmp_path / "a.jsonl", pairs(100, "a"))
    wiki = tmp_path / "wiki.txt"
    wiki.write_text("".join(f"the {i} thing is here\n" for i in range(900)))
    plain = read([str(own)], bpe)
    data = read([str(own)], bpe, replay=f"{wiki}:20%")
    n_replay = data.summary.n_replay
    assert list(data.train[:-n_replay]) == sorted(data.train[:-n_replay], key=lambda row: row.line)
    assert [row.line for row in data.train[:-n_replay]] == [row.line for row in plain.train]
    assert [row.line for row in data.val] == [row.line for row in plain.val]
    assert (data.n_ctx, data.template, data.summary.longest) == (plain.n_ctx, plain.template, plain.summary.longest)
    assert data.summary.n_supervised == plain.summary.n_supervised
    share = data.shares[-1]
    assert share.is_replay
    assert share.weight < 1
    made = plan_batches(data.train, batch_size=8, micro_batch_size=None, seed=3, packing=False, n_ctx=data.n_ctx,
                passes=[(s.n_row, s.weight) for s in data.shares])  # fmt: skip
    batches = [batch for i in range(made.steps_per_epoch) for batch in made.step(0, i)]
    total = sum(batch.n_supervised for batch in batches)
    assert 1 - data.summary.n_supervised / total == pytest.approx(0.2, abs=0.02)
    assert data.summary.epoch.endswith(", 20% of them replay")
    assert [line[0] for line in data_counts(data.summary.to_dict())] == ["", "train", "replay", "validation"]


def test_replay_is_measured_against_the_weighted_rows(tmp_path: Path, bpe: Tokenizer) -> None:
    own = jsonl(tmp_path / "a.jsonl", pairs(20, "a"))
    wiki = jsonl(tmp_path / "wiki.jsonl", [{"text": f"the {i} thing"} for i in range(90)])
    once, thrice = (read([f"{own}:{n}"], bpe, replay=f"{wiki}:0.3").shares[-1].weight for n in (1, 3))
    assert thrice == pytest.approx(3 * once)


def test_short_replay_is_passed_over_more_than_once(tmp_path: Path, bpe: Tokenizer) -> None:
    own = jsonl(tmp_path / "a.jsonl", pairs(50, "a"))
    wiki = jsonl(tmp_path / "wiki.jsonl", [{"text": f"the {i}"} for i in range(5)])
    data = read([str(own)], bpe, replay=f"{wiki}:0.5", no_val=True)
    assert data.shares[-1].weight * sum(row.n_supervised for row in replayed(data)) == data.summary.n_supervised
    assert f"{data.shares[-1].weight:.3g} × 5 rows of `{wiki}`" in data.summary.epoch
    long = jsonl(tmp_path / "long.jsonl", pairs(2000, "a"))
    with pytest.raises(DatasetError, match=r"is too short to be 90% of the supervised tokens"):
        read([str(long)], bpe, replay=f"{wiki}:0.9", no_val=True)


def test_replay_leaves_out_what_validates(tmp_path: Path, bpe: Tokenizer) -> None:
    rows = [{**pair, "doc": f"d{i}"} for i, pair in enumerate(pairs(40, "a"))]
    own = jsonl(tmp_path / "a.jsonl", rows)
    wiki = jsonl(tmp_path / "wiki.jsonl", [{"text": f"t{i}", "doc": f"d{i}"} for i in range(40)])
    data = read([str(own)], bpe, replay=f"{wiki}:0.3")
    held_out = {row.line for row in data.val}
    assert len(held_out) == 4
    assert held_out.isdisjoint(row.line for row in replayed(data))
    assert data.summary.dropped == {"replay that is held out for validation": 4}
    copies = jsonl(tmp_path / "copies.jsonl", [{**pair, "prompt": pair["prompt"].upper()} for pair in pairs(40, "a")])
    assert read([str(own)], bpe, replay=f"{copies}:0.3").summary.n_replay == 36


def test_replay_has_no_say_in_how_chat_asks(tmp_path: Path, bpe: Tokenizer) -> None:
    own = jsonl(tmp_path / "a.jsonl", pairs(4, "a"))
    talk = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    wiki = jsonl(tmp_path / "wiki.jsonl", [{"messages": talk}] * 40)
    data = read([str(own)], bpe, replay=f"{wiki}:0.3", no_val=True)
    assert data.template.kind == "completion"
    assert data.summary.formats == {"prompt/completion": 4, "messages": 40}


def test_replay_alone_is_nothing_to_train_on(tmp_path: Path, bpe: Tokenizer) -> None:
    empty = jsonl(tmp_path / "a.jsonl", [{"prompt": "q", "completion": " "}])
    wiki = jsonl(tmp_path / "wiki.jsonl", [{"text": "the thing"}])
    with pytest.raises(DatasetError, match="no row is left to train on"):
        read([str(empty)], bpe, replay=f"{wiki}:0.3")
    own = jsonl(tmp_path / "b.jsonl", pairs(4, "a"))
    with pytest.raises(DatasetError, match=r"nothing of `.*a.jsonl` can be replayed"):
        read([str(own)], bpe, replay=f"{empty}:0.3")


def test_all_data_weighs_validation_files_once(tmp_path: Path, bpe: Tokenizer) -> None:
    for name in ("train", "valid"):
        jsonl(tmp_path / f"{name}.jsonl", pairs(4, name))
    data = read([f"{tmp_path}:3"], bpe, all_data=True)
    assert [(share.n_row, share.weight) for share in data.shares] == [(4, 3.0), (4, 1.0)]


def test_settings_of_the_mix(tmp_path: Path) -> None:
    assert resolve({"replay": "w.txt:20%"}).replay == "w.txt:20%"
    with pytest.raises(ConfigError, match=r"`--replay` cannot be `w.txt`: expected a share between 0 and 1"):
        resolve({"replay": "w.txt"})
    with pytest.raises(ConfigError, match="the weight is 0"):
        find_sources(["a.jsonl:0"], root=tmp_path)
