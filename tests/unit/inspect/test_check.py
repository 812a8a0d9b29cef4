"""What `localft data check` finds: every problem once, with its place; lengths, tokens and bars that add up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import vocabs

from localft.data.rows.reader import read_file
from localft.data.tokens.run_wording import RunWording
from localft.inspect.check.check import CheckReport, check
from localft.inspect.check.problem import Problem
from localft.inspect.check.report import sections, verdict, wrapped
from localft.inspect.check.style import look_at_style
from localft.inspect.check.tokens import Bar, histogram, tokenize, too_long
from localft.model.tokenizer import Tokenizer
from localft.settings.resolve import resolve

PAIR = {"prompt": "Capital of France?", "completion": "Paris"}


def talk(*turns: str) -> dict[str, Any]:
    names = {"s": "system", "u": "user", "a": "assistant"}
    return {"messages": [{"role": names[turn[0]], "content": turn[2:]} for turn in turns]}


def jsonl(path: Path, *values: Any) -> Path:
    lines = [value if isinstance(value, str) else json.dumps(value) for value in values]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def check_files(*data: Path, **settings: Any) -> CheckReport:
    return check(resolve({"data": [str(path) for path in data], **settings}))


def kinds(problems: list[Problem]) -> list[tuple[str, str, int]]:
    return [(problem.level, problem.kind, problem.line) for problem in problems]


def said(found: CheckReport, everything: bool = False) -> str:
    return "\n".join(line for section in sections(found, everything) for line in (section.title, *section.lines))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return vocabs.bpe(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def chatty(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return vocabs.bpe(tmp_path_factory.mktemp("chatty"), template=vocabs.CHATML)


def wording(tokenizer: Tokenizer, template: str | None = None) -> RunWording:
    return RunWording(tokenizer, template, False, "2026-01-01", False)


def test_every_bad_line_is_listed_and_the_good_ones_are_counted(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "x.jsonl", PAIR, "{", {"prompt": 1, "completion": "b"}, {"text": "t"}, {"prompt": "q"}, [])
    found = check_files(path)
    assert kinds(found.errors) == [("error", "cannot be used", line) for line in (2, 3, 5, 6)]
    assert [problem.file for problem in found.errors] == [str(path)] * 4
    assert (len(found.files[0].rows), dict(found.files[0].formats)) == (2, {"prompt/completion": 1, "text": 1})
    assert verdict(found) == "4 errors: `localft finetune` would not start on this data"


def test_files_that_cannot_be_read_are_errors_beside_the_others(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "x.jsonl", PAIR)
    (tmp_path / "bad.csv").write_text("a,b")
    found = check_files(tmp_path / "none.jsonl", path, tmp_path / "bad.csv")
    assert [(problem.kind, problem.line) for problem in found.errors] == [("cannot be read", 0), ("cannot be used", 1)]
    assert [len(read.rows) for read in found.files] == [0, 1, 0]


def test_flags_that_need_a_model_are_not_ignored(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "x.jsonl", PAIR)
    words = "tokens, lengths, n_ctx and time need a model: name one with --model"
    assert check_files(path).missing[0] == words
    given = check_files(path, template="chatml", ctx=64)
    assert given.missing[0] == f"{words} (--template, --ctx without one counts for nothing)"


def test_texts_and_what_was_made_of_them_are_no_mixture(tmp_path: Path) -> None:
    rows = [{"text": "a"}, PAIR]
    found = check_files(jsonl(tmp_path / "x.jsonl", *(row | {"source": {"kind": "page"}} for row in rows)))
    assert found.problems == []


def test_rows_that_are_left_out_repeated_or_mixed(tmp_path: Path) -> None:
    other = jsonl(tmp_path / "y.jsonl", {"text": "a"})
    values = [{"text": "a", "note": 1}, {"text": "b"}, {"text": "a "}, {"text": "b"}, {"text": " "}, PAIR]
    path = jsonl(tmp_path / "x.jsonl", *values, {"prompt": "q", "completion": "\n"})
    found = check_files(path, other)
    assert kinds(found.problems) == [
        ("warning", "unused key", 0),
        ("warning", "duplicate row", 4),
        ("warning", "empty text", 5),
        ("warning", "mixed formats", 6),
        ("warning", "empty answer", 7),
        ("warning", "duplicate row", 1),
    ]
    messages = [problem.message for problem in found.problems]
    assert messages[1] == f"line 4 of `{path}` repeats line 2"
    assert messages[3] == f"`{path}` mixes formats: 4 rows of text, 1 row of prompt/completion; line 6 is the first unlike those before it"  # fmt: skip  # noqa: E501
    assert messages[5] == f"line 1 of `{other}` repeats line 1 of `{path}`"
    assert verdict(found) == "6 rows can be used; 6 warnings"


@pytest.mark.parametrize(
    ("turns", "words"),
    [
        (["u:a", "s:b", "a:c"], "message 2 is a system message, expected only in front"),
        (["a:a", "u:b", "a:c"], "the assistant speaks first"),
        (["s:a", "u:b", "u:c", "a:d"], "message 3 is the user's second in a row"),
        (["u:a", "a:b", "a:c"], "message 3 is the assistant's second in a row"),
        (["u:a", "a:b", "u:c"], "ends unanswered: what follows its last answer is left out"),
        (["s:a", "u:b", "a:c", "u:d", "a:e"], ""),
    ],
)
def test_turns_out_of_order(tmp_path: Path, turns: list[str], words: str) -> None:
    found = check_files(jsonl(tmp_path / "x.jsonl", talk(*turns)))
    assert [words in problem.message for problem in found.problems] == ([True] if words else [])
    assert found.errors == []


def test_markup_and_questions_in_texts(tmp_path: Path) -> None:
    typed = [{"text": "<|im_start|>user"}, {"prompt": "[INST] a [/INST]", "completion": "b"}, {"text": "a < b |> c"}]
    found = check_files(jsonl(tmp_path / "x.jsonl", *typed))
    assert [problem.line for problem in found.problems if problem.kind == "template markup"] == [1, 2]
    quoted = {"text": "File: a.py\n\nEND = '<|im_end|>'", "source": {"kind": "file"}}
    assert check_files(jsonl(tmp_path / "x.jsonl", quoted)).problems == []
    asked = [{"text": f"table {i}\nQ: how many?\nA: {i}"} for i in range(3)]
    found = check_files(jsonl(tmp_path / "x.jsonl", *asked))
    assert kinds(found.problems) == [("warning", "questions as text", 1)]
    assert "3 texts look like questions with answers" in found.problems[0].message
    found = check_files(jsonl(tmp_path / "x.jsonl", *asked, *({"text": f"plain {i}"} for i in range(4))))
    assert found.problems == []


def style(path: Path, words: RunWording) -> list[str]:
    return [problem.message.split(",")[0] for problem in look_at_style(read_file(path).rows, words)]


def test_data_that_does_not_suit_the_model(tmp_path: Path, base: Tokenizer, chatty: Tokenizer) -> None:
    texts = jsonl(tmp_path / "texts.jsonl", {"text": "a"}, {"text": "b"})
    goes_on = jsonl(
        tmp_path / "on.jsonl", {"prompt": "Capital of", "completion": " France"}, PAIR, PAIR | {"completion": " x"}
    )
    talks = jsonl(tmp_path / "talks.jsonl", talk("u:a", "a:b"), PAIR)
    assert style(texts, wording(chatty)) == ["all 2 rows are plain text"]
    assert style(goes_on, wording(chatty)) == ["of 3 completions 2 begin with a space or a line break"]
    begin = jsonl(tmp_path / "begin.jsonl", {"prompt": "Capital of", "completion": " France"})
    assert style(begin, wording(chatty)) == ["every completion begins with a space or a line break"]
    assert style(talks, wording(chatty)) == []
    assert style(texts, wording(base)) == []
    assert style(goes_on, wording(base)) == ["in 1 row nothing stands between prompt and completion"]
    assert style(talks, wording(base))[0] == "1 conversation"
    assert style(talks, wording(base, "alpaca")) == []
    assert style(goes_on, wording(chatty, "completion")) == ["in 1 row nothing stands between prompt and completion"]


def test_rows_that_the_template_refuses_are_errors(tmp_path: Path) -> None:
    tokenizer = vocabs.bpe(tmp_path, template=vocabs.LLAMA_2)
    path = jsonl(tmp_path / "x.jsonl", talk("u:a", "a:b"), talk("u:a", "u:b", "a:c"), PAIR)
    units, problems = tokenize(read_file(path).rows, wording(tokenizer))
    assert kinds(problems) == [("error", "refused by the template", 2)]
    assert "Conversation roles must alternate" in problems.kept[0].message
    assert [unit.row.line for unit in units] == [1, 3]


def test_rows_that_are_too_long_say_by_how_much(tmp_path: Path, base: Tokenizer) -> None:
    path = jsonl(
        tmp_path / "x.jsonl", {"prompt": "QQ", "completion": "x" * 20}, {"prompt": "Q" * 20, "completion": "x"}
    )
    units, _ = tokenize(read_file(path).rows, wording(base))
    problems = list(too_long(units, 10, "truncate"))
    assert kinds(problems) == [("warning", "too long", 1), ("warning", "too long", 2)]
    assert problems[0].message.endswith("takes 22 positions, 12 more than n_ctx, and loses its end")
    assert problems[0].hint == "--ctx 22 keeps it whole; truncated it would keep 9 of 21 supervised tokens"
    assert problems[1].message.endswith("takes 21 positions, 11 more than n_ctx, and is left out")
    assert problems[1].hint.endswith("no part of its answer lies within n_ctx")
    assert [problem.level for problem in too_long(units, 10, "refuse")] == ["error", "error"]
    assert list(too_long(units, 22, "drop")) == []
    assert next(too_long(units, 10, "drop", 21)).hint.startswith("the model was trained on 21; --ctx 22 keeps it")


def test_built_rows_that_are_too_long_say_how_to_build_shorter_ones(tmp_path: Path, base: Tokenizer) -> None:
    """The pairs of `data synth` were longer than the model, row after row, and --ctx was the advice."""
    built = {"prompt": "QQ", "completion": "x" * 999, "source": {"kind": "file"}}
    units, _ = tokenize(read_file(jsonl(tmp_path / "x.jsonl", built)).rows, wording(base))
    (problem,) = too_long(units, 512, "drop", 512)
    assert problem.hint == "the model was trained on 512: build the rows with its --model and --chunk-tokens 400"


def test_answers_without_an_end_token(tmp_path: Path, base: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    path = jsonl(tmp_path / "x.jsonl", PAIR, {"text": "the thing"})
    rows = read_file(path).rows
    assert tokenize(rows, wording(base))[1].kept == []
    monkeypatch.setattr(base, "eos_id", None)
    assert kinds(tokenize(rows, wording(base))[1]) == [("warning", "no end token", line) for line in (1, 2)]


def test_bars_hold_every_row() -> None:
    assert list(histogram([])) == []
    assert list(histogram([7])) == [Bar(7, 7, 1)]
    assert list(histogram([24, 25, 27])) == [Bar(24, 24, 1), Bar(25, 25, 1), Bar(26, 26, 0), Bar(27, 27, 1)]
    lengths = sorted([*range(1, 1000), 5000])
    bars = list(histogram(lengths))
    assert sum(bar.n for bar in bars) == 1000
    assert [bars[0], bars[-1]] == [Bar(0, 99, 99), Bar(1000, 5000, 1)]
    for bar in bars:
        assert bar.n == sum(bar.first <= length <= bar.last for length in lengths)
    assert len(bars) <= 13


def test_ten_are_shown_of_each_kind_at_least_one(tmp_path: Path) -> None:
    values = ["{"] * 12 + [{"text": "same"}] * 20 + [{"text": "<|im_start|>", "key": 1}]
    found = check_files(jsonl(tmp_path / "x.jsonl", *values))
    short, long = said(found), said(found, everything=True)
    assert short.count("is not JSON") == 10
    assert "… and 2 more (--all)" in short
    assert 0 < short.count(" repeats line ") < 10
    assert "written out" in short
    assert (long.count("is not JSON"), long.count(" repeats line ")) == (12, 19)
    assert "more (--all)" not in long
    assert len(found.to_dict()["problems"]) == len(found.problems) == 12 + 19 + 2


def test_leaks_are_listed_with_both_places(tmp_path: Path) -> None:
    train = jsonl(tmp_path / "train.jsonl", {"text": "other"}, PAIR, PAIR | {"completion": "It is Paris, of course"})
    jsonl(tmp_path / "valid.jsonl", PAIR, PAIR | {"completion": "Lyon"}, {"prompt": "New?", "completion": "Yes"})
    found = check_files(tmp_path)
    text = said(found, everything=True)
    assert f"{tmp_path / 'valid.jsonl'}:1  copied           1.00  {train}:2" in text
    assert f"{tmp_path / 'valid.jsonl'}:2  same prompt      1.00  {train}:2 +1" in text
    assert "2 have a training row's prompt, 1 with another answer (no leak)" in text
    assert verdict(found).endswith(", 1 leak")
    leaks = found.to_dict()["leakage"]
    assert leaks["leaks"] == [
        {
            "kind": "exact",
            "val": {"file": str(tmp_path / "valid.jsonl"), "line": 1},
            "train": {"file": str(train), "line": 2},
            "similarity": 1.0,
            "n_train": 1,
        }
    ]


def test_a_model_that_is_not_here_is_not_fetched(tmp_path: Path) -> None:
    found = check_files(jsonl(tmp_path / "x.jsonl", PAIR), model="tinymistral")
    assert found.tokens is None
    assert "`tinymistral` is not on this machine (`localft convert tinymistral` downloads it, once)" in found.missing[0]
    assert found.errors == []


def test_long_lines_are_broken_below_where_their_text_begins() -> None:
    assert (
        wrapped("  n_ctx           all that the model saw", 30)
        == "  n_ctx           all that the\n" + " " * 18 + "model saw"
    )
    assert wrapped("      → one two three", 16) == "      → one two\n        three"
    assert wrapped("    a" + "b" * 30 + " c", 20) == "    a" + "b" * 30 + "\n      c"
    assert wrapped("  short", 80) == "  short"
