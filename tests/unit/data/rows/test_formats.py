"""Formats beside plain JSON lines: ShareGPT, tables, compressed files, and the user's own names for columns."""

from __future__ import annotations

import builtins
import bz2
import gzip
import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localft.data.rows.reader import read_file
from localft.data.rows.row import Columns, Message, Row
from localft.errors import DatasetError, LocalftError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

QUESTION, ANSWER = Message("user", "q"), Message("assistant", "a")


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def jsonl(path: Path, *values: object) -> Path:
    return write(path, "".join(json.dumps(value) + "\n" for value in values))


def parquet(path: Path, columns: dict[str, list[Any]]) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet as files

    files.write_table(pyarrow.table(columns), path)
    return path


def error(path: Path, columns: Columns = Columns()) -> LocalftError:  # noqa: B008
    with pytest.raises(DatasetError) as caught:
        read_file(path, columns=columns)
    assert caught.value.hint
    return caught.value


def test_sharegpt(tmp_path: Path) -> None:
    turns = [{"from": "system", "value": "s"}, {"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]
    other = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    found = read_file(jsonl(tmp_path / "x.jsonl", {"conversations": turns, "id": 1}, {"conversations": other}))
    assert [row.messages for row in found.rows] == [(Message("system", "s"), QUESTION, ANSWER), (QUESTION, ANSWER)]
    assert (dict(found.formats), dict(found.unknown_keys)) == ({"ShareGPT": 2}, {"id": 1})
    assert {row.kind for row in found.rows} == {"messages"}


CALL = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"conversations": [{"from": "robot", "value": "a"}]}, "message 1 in {} has the role 'robot'"),
        ({"conversations": [{"from": ["gpt"], "value": "a"}]}, "message 1 in {} has the role ['gpt']"),
        ({"conversations": [{"from": "gpt"}]}, 'message 1 in {} is not an object with "from" and "value"'),
        ({"conversations": [{"from": "gpt", "value": 1}]}, "the content of message 1 in {} is a number, expected text"),
        ({"conversations": [{"from": "human", "value": "a"}]}, "{} has no assistant message"),
        ({"conversations": "a"}, '"conversations" in {} is text, expected a list of turns'),
        (
            {"conversations": [{"from": "function_call", "value": "f()"}]},
            "message 1 in {} has the role 'function_call', and tool calls are not supported yet",
        ),
        (
            {"messages": [QUESTION._asdict(), {"role": "assistant", "content": None, "tool_calls": CALL}]},
            'message 2 in {} has "tool_calls", and tool calls are not supported yet',
        ),
        (
            {"messages": [{"role": "assistant", "function_call": {"name": "f"}}]},
            'message 1 in {} has "function_call", and tool calls',
        ),
        (
            {"messages": [{"role": "tool", "content": "3", "name": "f"}]},
            "message 1 in {} has the role 'tool', and tool calls are not supported yet",
        ),
        (
            {"messages": [QUESTION._asdict(), ANSWER._asdict()], "tools": [{"type": "function"}]},
            '{} has "tools", and tool calls are not supported yet',
        ),
    ],
)
def test_conversations_that_are_refused(tmp_path: Path, value: object, message: str) -> None:
    path = jsonl(tmp_path / "x.jsonl", {"text": "t"}, value)
    assert error(path).message.startswith(message.format(f"line 2 of `{path}`"))


def test_empty_tool_keys_are_none(tmp_path: Path) -> None:
    turns = [{**message._asdict(), "tool_calls": None, "function_call": {}} for message in (QUESTION, ANSWER)]
    (row,) = read_file(jsonl(tmp_path / "x.jsonl", {"messages": turns, "tools": []})).rows
    assert row.messages == (QUESTION, ANSWER)


def test_csv_lines_and_quotes(tmp_path: Path) -> None:
    text = '\ufeffprompt,completion,,note\r\n"two\nlines, ""so""","a\r\nb",,1\r\n\r\nq,a,,2\r\n'
    found = read_file(write(tmp_path / "x.csv", text))
    assert [(row.line, row.messages) for row in found.rows] == [
        (2, (Message("user", 'two\nlines, "so"'), Message("assistant", "a\nb"))),
        (6, (QUESTION, ANSWER)),
    ]
    assert (dict(found.formats), dict(found.unknown_keys)) == ({"prompt/completion": 2}, {"note": 2})


def test_tsv_and_a_field_longer_than_the_standard_library_allows(tmp_path: Path) -> None:
    long = "x" * 200_000
    rows = read_file(write(tmp_path / "x.TSV", f"text\tid\n{long}\t1\nb, c\t2\n")).rows
    assert [(row.line, row.text) for row in rows] == [(2, long), (3, "b, c")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('text\n"a\n\nb"\n"c', "line 5 of `{}` is no CSV: unexpected end of data"),
        ('text\na\n"b" c\n', "line 3 of `{}` is no CSV: ',' expected after '\"'"),
        ('prompt,completion\n"q\n",a\nq,a,b\n', "line 4 of `{}` has 3 fields, and the header names 2 columns"),
        ("text,text\na,b\n", 'line 1 of `{}` names the column "text" twice'),
        ("prompt;completion\nq;a\n", "line 1 of `{}` has `;` between its columns, expected `,`"),
        ("\n\nprompt\tcompletion\nq\ta\n", "line 3 of `{}` has a tab between its columns, expected `,`"),
        (
            "question,reply\nq,a\n",
            'line 2 of `{}` has "question" but no "answer"',
        ),
        ("prompt\nq\n", 'line 2 of `{}` has "prompt" but no "completion"'),
        ("messages\nq\n", '"messages" in line 2 of `{}` is text, expected a list of turns'),
        ("prompt,completion\n", "`{}` has no rows"),
        ("", "`{}` has no rows"),
        (b"text\n\xff\n", "line 2 of `{}` is not UTF-8"),
        ("text\na\0\n", "line 2 of `{}` holds a NUL character"),
    ],
)
def test_csv_that_is_refused(tmp_path: Path, content: str | bytes, message: str) -> None:
    path = write(tmp_path / "x.csv", content)
    assert error(path).message.startswith(message.format(path))


def test_the_hint_for_unknown_columns_says_how_to_name_them(tmp_path: Path) -> None:
    hint = error(write(tmp_path / "x.csv", "question,reply\nq,a\n")).hint
    assert hint == (
        'its columns are "question", "reply": name those of questions and answers with --prompt-column and '
        "--answer-column; if that is a row already, put a line with names above it, such as `prompt,completion`"
    )


@pytest.mark.parametrize(
    ("columns", "message", "hint"),
    [
        (Columns("questoin", "reply"), '"questoin" (--prompt-column)', 'did you mean "question"?'),
        (Columns("question"), '"completion" (--answer-column)', "name one with --answer-column"),
    ],
)
def test_the_hint_for_a_column_that_is_missing(tmp_path: Path, columns: Columns, message: str, hint: str) -> None:
    with pytest.raises(DatasetError) as caught:
        read_file(write(tmp_path / "x.csv", "question,reply\nq,a\n"), columns=columns)
    assert caught.value.message.endswith(message)
    assert (caught.value.hint or "").endswith(hint)


def test_python_is_not_json(tmp_path: Path) -> None:
    assert "json.dumps" in (error(write(tmp_path / "x.jsonl", "{'text': 'a'}\n")).hint or "")


def test_parquet(tmp_path: Path) -> None:
    turns = [
        [
            {"role": "user", "content": "q", "tool_calls": None},
            {"role": "assistant", "content": "a", "tool_calls": None},
        ]
    ]
    about = {"doc": ["d", None, None], "source": [{"kind": "page"}, None, None]}
    path = parquet(
        tmp_path / "x.parquet",
        {"messages": [*turns, None, None], "prompt": [None, "q", None], "completion": [None, "a", None],
         "text": [None, None, "t"], "n": [1, 2, None], **about},
    )  # fmt: skip
    found = read_file(path)
    assert found.rows == [
        Row("messages", str(path), 1, messages=(QUESTION, ANSWER), doc="d", source_kind="page"),
        Row("completion", str(path), 2, messages=(QUESTION, ANSWER)),
        Row("text", str(path), 3, "t"),
    ]
    assert dict(found.unknown_keys) == {"n": 2}


def test_parquet_that_is_refused(tmp_path: Path) -> None:
    path = parquet(tmp_path / "x.parquet", {"text": ["a", "b"], "prompt": [None, "q"], "completion": [None, "a"]})
    assert len(read_file(path).rows) == 2
    path = parquet(tmp_path / "y.parquet", {"prompt": ["q", "q"], "completion": [3, 4]})
    assert error(path).message == f'"completion" in row 1 of `{path}` is a number, expected text'
    path = parquet(tmp_path / "z.parquet", {"day": ["x", "y"]})
    assert error(path).message.startswith(f'row 1 of `{path}` has no "messages"')
    path = write(tmp_path / "w.parquet", b"PAR1 and then nothing")
    assert error(path).message.startswith(f"`{path}` is no whole Parquet file: ")
    path = write(tmp_path / "cut.parquet", (tmp_path / "x.parquet").read_bytes()[:-30])
    assert error(path).message.startswith(f"`{path}` is no whole Parquet file: ")


_BEGINNINGS = {"pyarrow": b"x", "backports": b"\x28\xb5\x2f\xfd"}


@pytest.mark.parametrize("name", ["pyarrow", "backports"])
def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    kept = builtins.__import__

    def without(wanted: str, *rest: Any, **more: Any) -> Any:
        if wanted.split(".")[0] in (name, "compression"):
            raise ImportError(wanted)
        return kept(wanted, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    path = write(tmp_path / {"pyarrow": "x.parquet", "backports": "x.txt.zst"}[name], _BEGINNINGS[name])
    said = error(path)
    assert said.message.endswith({"pyarrow": "needs pyarrow", "backports": "needs backports.zstd"}[name])
    extra = {"pyarrow": "parquet", "backports": "zstd"}[name]
    assert str(said.hint).startswith(f"run `pip install 'localft[{extra}]'`")


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".zst", zstd.compress)])
def test_compressed_files(tmp_path: Path, suffix: str, pack: Any) -> None:
    contents = {"a.jsonl": '{"text": "t"}\n', "b.csv": "text\nt\n", "c.txt": "t", "d.json": '[{"text": "t"}]'}
    for name, content in contents.items():
        (row,) = read_file(write(tmp_path / f"{name}{suffix}", pack(content.encode()))).rows
        assert (row.text, row.source) == ("t", str(tmp_path / f"{name}{suffix}"))
    plain = parquet(tmp_path / "x.parquet", {"text": ["t"]})
    assert read_file(write(tmp_path / f"x.parquet{suffix}", pack(plain.read_bytes()))).rows[0].text == "t"
    path = write(tmp_path / f"e.jsonl{suffix}", pack(b'{"text": "t"}\n{"txt": 1}\n'))
    assert error(path).message.startswith(f'line 2 of `{path}` has no "messages"')
    whole = pack(b"words " * 1000)
    for number, damaged in enumerate((b"no such\0thing", whole[:-3], whole[:-8] + b"damaged!")):
        path = write(tmp_path / f"{number}.txt{suffix}", damaged)
        assert error(path).message.startswith(f"`{path}` is no whole ")


def test_archives_are_refused(tmp_path: Path) -> None:
    tar = bytes(257) + b"ustar" + bytes(250)
    packed = {"x.tar.gz": gzip.compress(tar), "x.txt": b"PK\x03\x04" + bytes(40), "x.jsonl": bz2.compress(b"x")}
    for name, data in packed.items():
        assert "which is not read" in error(write(tmp_path / name, data)).message


def test_columns_of_other_names(tmp_path: Path) -> None:
    columns = Columns("question", "reply")
    for path in (
        write(tmp_path / "x.csv", "id,question,reply\n1,q,a\n"),
        jsonl(tmp_path / "x.jsonl", {"question": "q", "reply": "a", "id": 1, "text": "not this"}),
        parquet(tmp_path / "x.parquet", {"question": ["q"], "reply": ["a"], "id": [1]}),
    ):
        found = read_file(path, columns=columns)
        assert [(row.kind, row.messages) for row in found.rows] == [("completion", (QUESTION, ANSWER))]
        assert dict(found.formats) == {"question/reply": 1}
        assert found.unknown_keys["id"] == 1
    one = jsonl(tmp_path / "one.jsonl", {"prompt": "q", "reply": "a"})
    assert read_file(one, columns=Columns(None, "reply")).rows[0].messages == (QUESTION, ANSWER)
    mixed = jsonl(tmp_path / "mixed.jsonl", {"question": "q", "reply": "a"}, {"text": "t"})
    assert [row.kind for row in read_file(mixed, columns=columns).rows] == ["completion", "text"]


def test_columns_that_are_not_there(tmp_path: Path) -> None:
    columns = Columns("question", "reply")
    path = jsonl(tmp_path / "x.jsonl", {"question": "q", "answer": "a"})
    assert error(path, columns).message == f'line 1 of `{path}` has no "reply" (--answer-column)'
    path = jsonl(tmp_path / "y.jsonl", {"reply": "a"})
    assert error(path, columns).message == f'line 1 of `{path}` has no "question" (--prompt-column)'
    path = jsonl(tmp_path / "z.jsonl", {"ask": "q"})
    assert error(path, columns).message.endswith('"input" or "text" key, nor `question` and `reply`')


mess = st.text(st.sampled_from('",\n\r\t;ab é\0'), max_size=60)


@given(content=mess, suffix=st.sampled_from([".csv", ".tsv", ".jsonl", ".csv.gz", ".parquet"]))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_any_table_is_rows_or_a_sentence(tmp_path_factory: pytest.TempPathFactory, content: str, suffix: str) -> None:
    path = tmp_path_factory.getbasetemp() / f"mess{suffix}"
    data = f"text,b\n{content}".encode()
    path.write_bytes(gzip.compress(data) if suffix.endswith(".gz") else data)
    with suppress(DatasetError):
        read_file(path)
