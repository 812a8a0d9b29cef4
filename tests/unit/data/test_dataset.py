"""From files to rows that fit: n_ctx, windows, overlong answers, validation, and what is said about all of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import vocabs

from localft.data.dataset import Dataset, prepare
from localft.data.rows.row import Message
from localft.data.tokens.context_length import percentile99
from localft.data.tokens.prompt import prompt_ids
from localft.errors import ConfigError, DatasetError
from localft.model.tokenizer import Tokenizer
from localft.settings.data_settings import DataSettings


@pytest.fixture(scope="module")
def bpe(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return vocabs.bpe(tmp_path_factory.mktemp("bpe"), add_bos=True)


@pytest.fixture(scope="module")
def chatty(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return vocabs.bpe(tmp_path_factory.mktemp("chat"), template=vocabs.CHATML)


def jsonl(path: Path, values: Sequence[object]) -> Path:
    path.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")
    return path


def pairs(n: int, answer: str = "xyz") -> list[dict[str, str]]:
    return [{"prompt": f"Q{i:03d}", "completion": answer} for i in range(n)]


def read(path: Path, tokenizer: Tokenizer, **settings: object) -> Dataset:
    return prepare([path], tokenizer, DataSettings(**settings))  # type: ignore[arg-type]


def lines(rows: Sequence[object]) -> list[int]:
    return [row.line for row in rows]  # type: ignore[attr-defined]


def test_a_text_row_is_bos_text_eos_all_supervised(tmp_path: Path, bpe: Tokenizer) -> None:
    data = read(jsonl(tmp_path / "x.jsonl", [{"text": "the</s>"}]), bpe, no_val=True)
    (row,) = data.train
    assert row.tokens.tolist() == [1, *bpe.encode("the</s>"), 2]
    assert row.loss_mask.tolist() == [0] + [1] * (row.tokens.size - 1)
    assert (row.tokens.dtype, row.loss_mask.dtype) == (np.int32, np.uint8)
    assert data.template.kind == "raw"


def test_train_on_prompt_supervises_all(tmp_path: Path, bpe: Tokenizer) -> None:
    path = jsonl(tmp_path / "x.jsonl", pairs(1))
    (row,) = read(path, bpe, no_val=True).train
    assert row.n_supervised == 4
    (row,) = read(path, bpe, no_val=True, train_on_prompt=True).train
    assert row.loss_mask.tolist() == [0] + [1] * (row.tokens.size - 1)


def test_windows_of_a_long_text_lose_nothing(tmp_path: Path, bpe: Tokenizer) -> None:
    text = "".join(f"the {i} thing\n" for i in range(60))
    (tmp_path / "x.txt").write_text(text)
    data = read(tmp_path / "x.txt", bpe, no_val=True, ctx=50)
    whole = [1, *bpe.encode(text), 2]
    assert [token for row in data.train for token in row.tokens[1:].tolist()] == whole[1:]
    assert all(row.loss_mask[0] == 0 and row.n_supervised == row.length for row in data.train)
    assert [row.length for row in data.train[:-1]] == [50] * (len(data.train) - 1)
    assert [int(row.tokens[0]) for row in data.train[1:]] == [int(row.tokens[-1]) for row in data.train[:-1]]
    summary = data.summary
    assert (summary.n_cut, summary.n_windows, summary.n_rows) == (1, len(data.train), 1)
    assert summary.n_tokens == summary.n_supervised == len(whole) - 1


def test_the_tail_of_one_long_text_validates(tmp_path: Path, bpe: Tokenizer) -> None:
    text = "".join(f"the {i} thing\n" for i in range(60))
    (tmp_path / "x.txt").write_text(text)
    data = read(tmp_path / "x.txt", bpe, ctx=50)
    targets = [token for row in [*data.train, *data.val] for token in row.tokens[1:].tolist()]
    assert targets == [*bpe.encode(text), 2]
    n_val = sum(row.length for row in data.val)
    assert n_val == round(len(targets) / 10)
    assert data.train[-1].tokens[-1] == data.val[0].tokens[0]
    assert 2 not in data.train[-1].tokens, "the text does not end where training ends"
    assert data.summary.val_reason == "the last 10% of the text"
    prompt = data.val_prompts[0]
    assert isinstance(prompt.prompt, str)
    assert f"{prompt.prompt} {prompt.expected[:5]}" in text
    by_windows = read(tmp_path / "x.txt", bpe, ctx=50, val_samples=2)
    assert [row.length for row in by_windows.val] == [50, 50]
    with pytest.raises(ConfigError, match="leaves nothing"):
        read(tmp_path / "x.txt", bpe, ctx=50, val_samples=99)


def test_n_ctx_is_the_longest_row_with_an_answer_rounded_up(tmp_path: Path, bpe: Tokenizer) -> None:
    values = [*pairs(99), {"prompt": "Q", "completion": "x" * 70}]
    lengths = [8] * 99 + [72]
    data = read(jsonl(tmp_path / "x.jsonl", values), bpe, no_val=True)
    assert [row.length for row in data.train] == lengths
    assert percentile99(lengths) == 8
    assert (data.n_ctx, data.n_ctx_reason) == (96, "the longest row with an answer, 72, rounded up")
    summary = data.summary
    assert (summary.p99_length, summary.longest, summary.mean_length) == (8, 72, 8.64)
    assert summary.dropped == {}
    short = read(jsonl(tmp_path / "y.jsonl", values), bpe, no_val=True, ctx=32)
    assert short.summary.dropped == {"longer than n_ctx 32 (--overlength drop)": 1}
    assert not any("longer than n_ctx" in note for note in short.summary.notes)  # one in a hundred


def test_texts_cost_no_conversation(tmp_path: Path, bpe: Tokenizer) -> None:
    turns = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "x" * 1500}]
    values = [*({"text": f"short {i}"} for i in range(2000)), *({"messages": turns} for _ in range(20))]
    path = jsonl(tmp_path / "x.jsonl", values)
    data = read(path, bpe, no_val=True)
    assert (len(data.train), data.summary.dropped) == (2020, {})
    assert data.n_ctx_reason == f"the longest row with an answer, {data.summary.longest:,}, rounded up"
    short = read(path, bpe, no_val=True, ctx=96)
    longer = f"20 of 20 rows with answers are longer than n_ctx 96 and are left out: --ctx {data.n_ctx}"
    assert short.summary.notes[0].startswith(longer)


def test_a_kind_of_rows_that_would_go_is_named(tmp_path: Path, bpe: Tokenizer) -> None:
    turns = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "x" * 90}]
    path = jsonl(tmp_path / "x.jsonl", [*pairs(300), {"messages": turns}])
    notes = read(path, bpe, no_val=True, ctx=32).summary.notes
    assert notes[0].startswith("1 of 301 rows with answers, all of the kind messages among them, is longer than")


def test_long_texts_behind_longer_conversations_are_cut_where_the_reason_says(tmp_path: Path, bpe: Tokenizer) -> None:
    values = [{"text": "t" * 9000}, {"prompt": "Q", "completion": "x" * 6200}, *pairs(3)]
    data = read(jsonl(tmp_path / "x.jsonl", values), bpe, no_val=True)
    assert data.n_ctx == 6208
    assert data.n_ctx_reason == "the longest row with an answer, 6,202, rounded up; longer texts are cut"
    assert max(row.length for row in data.train if row.is_text) == 6208


def test_memory_limits_n_ctx_where_nothing_else_does(tmp_path: Path, bpe: Tokenizer) -> None:
    path = jsonl(tmp_path / "x.jsonl", [{"prompt": "Q", "completion": "x" * 6200}, *pairs(3)])
    asked: list[int] = []

    def fits(n_positions: int) -> bool:
        asked.append(n_positions)
        return n_positions <= 4100

    data = prepare([path], bpe, DataSettings(no_val=True), fits=fits)
    reason = "all that the memory allows (--memory); the longest row with an answer is 6,202"
    assert (data.n_ctx, data.n_ctx_reason, len(data.train)) == (4096, reason, 3)
    assert (asked[0], len(asked) < 12) == (6208, True)
    short = prepare([jsonl(tmp_path / "y.jsonl", pairs(3))], bpe, DataSettings(no_val=True), fits=lambda n: False)
    assert short.n_ctx == 32


def test_n_ctx_is_at_most_what_the_model_was_trained_on(tmp_path: Path, bpe: Tokenizer) -> None:
    path = jsonl(tmp_path / "x.jsonl", [{"prompt": "Q", "completion": "x" * 70}, *pairs(3)])
    data = read(path, bpe, no_val=True, n_ctx_train=50)
    assert (data.n_ctx, len(data.train)) == (50, 3)
    assert data.n_ctx_reason.startswith("all that the model was trained on")
    asked = read(path, bpe, no_val=True, n_ctx_train=50, ctx=80)
    assert (asked.n_ctx, asked.n_ctx_reason) == (80, "--ctx; the model was trained on 50")


def test_long_texts_do_not_ask_for_more_than_their_windows(tmp_path: Path, bpe: Tokenizer) -> None:
    (tmp_path / "x.txt").write_text("x" * 5000)
    data = read(tmp_path / "x.txt", bpe, no_val=True, n_ctx_train=32768)
    assert data.n_ctx == 1024
    assert "cut into windows of at most 1,024" in data.n_ctx_reason
    assert read(tmp_path / "x.txt", bpe, no_val=True, n_ctx_train=256).n_ctx == 256


def test_truncated_answers_get_no_end_token(tmp_path: Path, bpe: Tokenizer) -> None:
    values = [{"prompt": "Q", "completion": "x" * 20}, {"prompt": "Q" * 20, "completion": "x"}, *pairs(1, "y")]
    path = jsonl(tmp_path / "x.jsonl", values)
    data = read(path, bpe, no_val=True, ctx=10, overlength="truncate")
    assert [row.line for row in data.train] == [1, 3]
    assert data.train[0].tokens.tolist() == [1, *bpe.encode("Q"), *bpe.encode("x" * 9)]
    assert data.train[0].loss_mask.tolist() == [0, 0] + [1] * 9
    assert data.train[1].tokens[-1] == 2
    summary = data.summary
    assert (summary.n_truncated, summary.n_truncated_tokens) == (1, 12)
    assert summary.dropped == {"no part of the answer lies within n_ctx 10": 1}


def test_overlength_refuse_names_the_first_row(tmp_path: Path, bpe: Tokenizer) -> None:
    path = jsonl(tmp_path / "x.jsonl", [*pairs(2), {"prompt": "Q", "completion": "x" * 20}])
    with pytest.raises(DatasetError, match="1 row is longer than n_ctx 10, the first in line 3"):
        read(path, bpe, no_val=True, ctx=10, overlength="refuse")


def test_nothing_supervised_is_refused(tmp_path: Path, bpe: Tokenizer) -> None:
    for name, values in (("a", pairs(3)), ("b", [{"prompt": "q", "completion": " "}])):
        with pytest.raises(DatasetError, match="nothing in the data is supervised") as error:
            read(jsonl(tmp_path / f"{name}.jsonl", values), bpe, ctx=4)
        assert error.value.hint is not None
        assert "dropped: " in error.value.hint


def test_validation_rows_are_a_seeded_choice_of_whole_rows(tmp_path: Path, bpe: Tokenizer) -> None:
    path = jsonl(tmp_path / "x.jsonl", pairs(40))
    data = read(path, bpe)
    assert len(data.val) == 4
    assert sorted(lines(data.train) + lines(data.val)) == list(range(1, 41))
    assert lines(data.val) == lines(read(path, bpe).val)
    assert len({tuple(lines(read(path, bpe, seed=seed).val)) for seed in (0, 1, 42)}) == 3
    assert len(read(path, bpe, val_samples=7).val) == 7
    assert read(path, bpe, no_val=True).val == read(path, bpe, val_split=0.0).val == ()
    assert len(read(jsonl(tmp_path / "two.jsonl", pairs(2)), bpe).val) == 1
    assert len(read(jsonl(tmp_path / "one.jsonl", pairs(1)), bpe).val) == 0
    with pytest.raises(ConfigError, match="leaves nothing"):
        read(path, bpe, val_samples=40)


def test_conversations_validate_where_texts_are_given_too(tmp_path: Path, bpe: Tokenizer) -> None:
    path = jsonl(tmp_path / "x.jsonl", [*({"text": f"t{i}"} for i in range(50)), *pairs(20)])
    data = read(path, bpe)
    assert len(data.val) == 2
    assert all(line > 50 for line in lines(data.val))
    assert data.template.kind == "completion"


def test_val_data_and_folders(tmp_path: Path, bpe: Tokenizer) -> None:
    jsonl(tmp_path / "train.jsonl", pairs(10))
    jsonl(tmp_path / "valid.jsonl", pairs(5, "v"))
    other = jsonl(tmp_path / "other.jsonl", pairs(3, "o"))
    data = read(tmp_path, bpe)
    assert (len(data.train), len(data.val), data.val_prompts[0].expected) == (10, 5, "v")
    data = read(tmp_path, bpe, val_data=other)
    assert (len(data.train), len(data.val), data.val_prompts[0].expected) == (10, 3, "o")
    assert len(read(tmp_path, bpe, val_samples=2).val) == 2
    assert read(tmp_path, bpe, no_val=True).val == ()


def test_a_conversation_stays_whole_where_it_becomes_several_rows(tmp_path: Path) -> None:
    tokenizer = vocabs.bpe(tmp_path, template=vocabs.THINKING)
    turns = [Message(role, "hm")._asdict() for role in ("user", "assistant") * 2]
    values = [{"messages": [{"role": t["role"], "content": f"{t['content']}{i}"} for t in turns]} for i in range(10)]
    data = read(jsonl(tmp_path / "x.jsonl", values), tokenizer)
    assert (len(data.train), len(data.val)) == (18, 2)
    assert set(lines(data.train)).isdisjoint(lines(data.val))


def test_val_prompts_render_to_the_rows_own_prompt(tmp_path: Path, chatty: Tokenizer) -> None:
    data = read(jsonl(tmp_path / "x.jsonl", pairs(30)), chatty)
    assert data.template.kind == "chat"
    for prompt, row in zip(data.val_prompts, data.val, strict=True):
        ids = prompt_ids(data.template, chatty, prompt.prompt)
        assert ids == row.tokens[: len(ids)].tolist()
        assert row.loss_mask.tolist() == [0] * len(ids) + [1] * (row.tokens.size - len(ids))
        assert chatty.decode(row.tokens[len(ids) :].tolist()) == prompt.expected


def test_what_is_said(tmp_path: Path, bpe: Tokenizer) -> None:
    values = [
        *pairs(3),
        {"messages": [{"role": "assistant", "content": "a"}, {"role": "user", "content": "b"}], "id": 1},
    ]
    data = read(jsonl(tmp_path / "x.jsonl", values), bpe, no_val=True)
    assert data.summary.notes == (
        '`x.jsonl`: not used: "id"; name those of questions and answers with --prompt-column and --answer-column, '
        "where those are meant",
        "`x.jsonl`: 1 conversation ends unanswered; what follows the last answer is left out",
        "`x.jsonl`: in 3 rows nothing (no space, no line break) stands between prompt and completion; "
        "`--template alpaca` puts words between them",
        "rows are worded in more than one way; chat will follow `completion`",
    )
    assert data.summary.formats == {"prompt/completion": 3, "messages": 1}
    assert json.loads(json.dumps(data.summary.to_dict()))["n_rows"] == 4


def test_a_row_that_the_template_refuses_is_named(tmp_path: Path) -> None:
    tokenizer = vocabs.spm(tmp_path, template=vocabs.LLAMA_2)
    messages = [{"role": role, "content": "x"} for role in ("user", "user", "assistant")]
    path = jsonl(tmp_path / "x.jsonl", [*pairs(1), {"messages": messages}])
    with pytest.raises(DatasetError, match=r"line 2 of .* Conversation roles must alternate"):
        read(path, tokenizer)


@pytest.mark.parametrize(
    "settings",
    [
        {"val_split": 1.0},
        {"val_split": -0.1},
        {"val_samples": -1},
        {"ctx": 1},
        {"overlength": "keep"},
        {"on_leak": "keep"},
    ],
)
def test_settings_that_cannot_be(tmp_path: Path, bpe: Tokenizer, settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        read(jsonl(tmp_path / "x.jsonl", pairs(4)), bpe, **settings)


def test_a_text_cut_for_training_and_validation_is_one_text(tmp_path: Path, bpe: Tokenizer) -> None:
    (tmp_path / "x.txt").write_text("".join(f"the {i} thing\n" for i in range(200)))
    data = read(tmp_path / "x.txt", bpe, ctx=50, val_split=0.3)
    assert len(data.val) > 1
    assert (data.summary.n_cut, data.summary.n_windows) == (1, len(data.train) + len(data.val))


def test_validation_rows_that_training_gives_away_are_said_dropped_or_refused(tmp_path: Path, bpe: Tokenizer) -> None:
    path, held_out = jsonl(tmp_path / "x.jsonl", pairs(4) * 10), jsonl(tmp_path / "v.jsonl", pairs(5)[1:])
    data = read(path, bpe, val_data=held_out)
    assert data.summary.notes[-1].startswith("3 of 4 validation rows leak into training rows (3 copied): the loss on")
    assert (data.summary.leaks, len(data.train)) == ({"exact": 3, "near": 0, "contained": 0}, 40)
    dropped = read(path, bpe, val_data=held_out, on_leak="drop")
    assert {row.line % 4 for row in dropped.train} == {1}
    assert (len(dropped.train), len(dropped.val)) == (10, 4)
    assert dropped.summary.dropped == {"gives a validation row away (--on-leak drop)": 30}
    assert dropped.summary.notes[-1].endswith("(3 copied): 30 training rows left out (--on-leak drop)")
    with pytest.raises(DatasetError, match="3 of 4 validation rows leak into the training rows, the first: line 1 of"):
        read(path, bpe, val_data=held_out, on_leak="refuse")
    for quiet in ({"no_val": True}, {"all_data": True}, {}):  # by its own split copies stay on one side
        assert not any("leak" in note for note in read(path, bpe, on_leak="refuse", **quiet).summary.notes)


def test_nothing_left_after_dropping_says_so(tmp_path: Path, bpe: Tokenizer) -> None:
    path = jsonl(tmp_path / "x.jsonl", pairs(4))
    with pytest.raises(DatasetError) as caught:
        read(path, bpe, val_data=path, on_leak="drop")
    assert caught.value.hint == "dropped: 4 rows: gives a validation row away (--on-leak drop)"
