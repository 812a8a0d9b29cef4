"""Formats: what is read, what it becomes, and what is said about a line that cannot be used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from localft.data.reading.sources import find_sources
from localft.data.rows.reader import read_file
from localft.data.rows.row import Message, Row
from localft.errors import DatasetError

ANSWER = Message("assistant", "a")


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("value", "kind", "messages"),
    [
        ({"prompt": "q", "completion": "a"}, "completion", (Message("user", "q"), ANSWER)),
        ({"input": "q", "output": "a"}, "completion", (Message("user", "q"), ANSWER)),
        ({"instruction": "q", "input": "i", "output": "a"}, "alpaca", (Message("user", "q", "i"), ANSWER)),
        ({"instruction": "q", "input": "", "output": "a"}, "alpaca", (Message("user", "q"), ANSWER)),
        ({"instruction": "q", "input": None, "output": "a"}, "alpaca", (Message("user", "q"), ANSWER)),
        ({"instruction": "q", "output": "a", "text": "both"}, "alpaca", (Message("user", "q"), ANSWER)),
        (
            {"messages": [{"role": "user", "content": "q"}, ANSWER._asdict()]},
            "messages",
            (Message("user", "q"), ANSWER),
        ),
        ({"text": "whole", "input": "ignored"}, "text", ()),
        ({"prompt": "alone", "text": "whole"}, "text", ()),
    ],
)
def test_each_format_is_recognised(tmp_path: Path, value: object, kind: str, messages: tuple[Message, ...]) -> None:
    path = write(tmp_path / "x.jsonl", json.dumps(value))
    assert read_file(path).rows == [Row(kind, str(path), 1, "whole" if kind == "text" else "", messages)]  # type: ignore[arg-type]


def test_a_file_may_mix_formats_and_says_which(tmp_path: Path) -> None:
    lines = [{"text": "t"}, {"prompt": "q", "completion": "a", "id": 1}, {"text": "u", "id": 2}, {"text": " "}]
    found = read_file(write(tmp_path / "x.jsonl", "\n".join(map(json.dumps, lines))))
    assert dict(found.formats) == {"text": 2, "prompt/completion": 1}
    assert dict(found.unknown_keys) == {"id": 2}
    assert dict(found.empty) == {"empty text": 1}


def test_a_row_keeps_its_document_and_its_source(tmp_path: Path) -> None:
    about = {"doc": "owner/name:a.md", "source": {"kind": "page", "path": "a.md"}, "synth": {"by": "template"}}
    values = [{"text": "t", **about}, {"prompt": "q", "completion": "a", **about}, {"text": "u"}]
    foreign = [{"text": "v", "doc": 7, "source": "web"}, {"text": "w", "doc": "", "source": {"kind": None}}]
    found = read_file(write(tmp_path / "x.jsonl", "\n".join(map(json.dumps, [*values, *foreign]))))
    assert [(row.doc, row.source_kind) for row in found.rows] == [("owner/name:a.md", "page")] * 2 + [("", "")] * 3
    assert not found.unknown_keys


def test_bom_blank_lines_crlf_and_line_separators(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbf\r\n{"text": "a\xe2\x80\xa8b"}\r\n\r\n  \r\n{"text": "c\\r\\n"}\r\n'
    rows = read_file(write(tmp_path / "x.jsonl", content)).rows
    assert [(row.line, row.text) for row in rows] == [(2, "a\u2028b"), (5, "c\r\n")]


def test_one_json_array_with_the_line_of_each_row(tmp_path: Path) -> None:
    content = '\n[\n  {"text": "a"},\n  {\n    "text": "b"\n  }, {"text": "c"}\n]\n'
    rows = read_file(write(tmp_path / "x.json", content)).rows
    assert [(row.line, row.text) for row in rows] == [(3, "a"), (4, "b"), (6, "c")]


def test_text_is_one_document_line_ends_aside(tmp_path: Path) -> None:
    rows = read_file(write(tmp_path / "x.txt", b"\xef\xbb\xbfa\r\nb\n\n")).rows
    assert [(row.kind, row.text) for row in rows] == [("text", "a\nb\n\n")]


def test_text_is_split_at_sample_start(tmp_path: Path) -> None:
    path = write(tmp_path / "x.txt", "before\n<s>one\ntwo\n<s><s>three")
    found = read_file(path, "<s>")
    assert [(row.line, row.text) for row in found.rows] == [(1, "before\n"), (2, "one\ntwo\n"), (4, "three")]
    assert dict(found.empty) == {"empty text": 1}
    missing = read_file(path, "<|x|>")
    assert [row.text for row in missing.rows] == ["before\n<s>one\ntwo\n<s><s>three"]
    assert missing.notes == ["`<|x|>` does not occur in `x.txt`: the whole file is one document"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"text": "a"}\n{"question": "b"}', 'line 2 of `{}` has "question" but no "answer"'),
        ('{"text": "a"}\n{"id": "b"}', 'line 2 of `{}` has no "messages", "prompt", "question", "instruction"'),
        ('{"text": "a"}\n{"prompt": "b"}', 'line 2 of `{}` has "prompt" but no "completion"'),
        ('{"completion": "b"}', 'line 1 of `{}` has "completion" but no "prompt"'),
        ('{"instruction": "b"}', 'line 1 of `{}` has "instruction" but no "output"'),
        ('{"input": "b"}', 'line 1 of `{}` has "input" but no "output"'),
        ('{"text": 3}', '"text" in line 1 of `{}` is a number, expected text'),
        ('{"prompt": "a", "completion": ["b"]}', '"completion" in line 1 of `{}` is a list, expected text'),
        ('{"instruction": "a", "input": {}, "output": "b"}', '"input" in line 1 of `{}` is an object, expected text'),
        ('\n"text"', "line 2 of `{}` is text, not a JSON object"),
        ('{"text": "a"', "line 1 of `{}` is not JSON: Expecting ',' delimiter at column 13"),
        ('{\n"text": "a"\n}', "line 1 of `{}` is not JSON"),
        ('[{"text": "a"},\n{"text": "b"', "line 2 of `{}` is not JSON"),
        ('[{"text": "a"}\n{"text": "b"}]', "line 2 of `{}` breaks its JSON array"),
        ('[{"text": "a"},\n]', "line 2 of `{}` is not JSON"),
        ('[{"text": "a"}]\n{"text": "b"}', "line 1 of `{}` breaks its JSON array"),
        ("[" * 100_000, "line 1 of `{}` is not JSON: nested too deeply"),
        ('{"text": ' + "9" * 5000 + "}", "line 1 of `{}` is not JSON: Exceeds the limit"),
        ('{"text": "\\ud83d"}', "line 1 of `{}` holds half of a character (\\ud83d alone)"),
        ('{"messages": []}', '"messages" in line 1 of `{}` is an empty list, expected a list of turns'),
        ('{"messages": [{"role": "user"}]}', 'message 1 in line 1 of `{}` is not an object with "role" and "content"'),
        ('{"messages": [{"role": "bot", "content": "a"}]}', "message 1 in line 1 of `{}` has the role 'bot'"),
        ('{"messages": [{"role": "user", "content": null}]}', "the content of message 1 in line 1 of `{}` is null"),
        ('{"messages": [{"role": "user", "content": "a"}]}', "line 1 of `{}` has no assistant message"),
        ("\n \n", "`{}` has no rows"),
        ("[]", "`{}` has no rows"),
        (b'{"text": "a"}\n{"text": "\xff"}', "line 2 of `{}` is not UTF-8: byte 0xff at offset 24"),
        (b"\xef\xbb\xbf\xff", "line 1 of `{}` is not UTF-8: byte 0xff at offset 3"),
        ('{"text": "a"}'.encode("utf-16"), "`{}` is UTF-16, expected UTF-8"),
        ('{"text": "a"}\n\0', "line 2 of `{}` holds a NUL character"),
    ],
)
def test_errors_name_file_line_and_what_was_expected(tmp_path: Path, content: str | bytes, message: str) -> None:
    path = write(tmp_path / "x.jsonl", content)
    with pytest.raises(DatasetError) as error:
        read_file(path)
    assert error.value.message.startswith(message.format(path))
    assert error.value.hint or "breaks" in message


def problems(path: Path) -> tuple[list[int], list[str], list[int]]:
    """Lines of the rows that are left, and messages and lines of those that cannot be used."""
    told: list[tuple[int, DatasetError]] = []
    rows = read_file(path, on_problem=lambda line, error: told.append((line, error))).rows
    return [row.line for row in rows], [error.message for _, error in told], [line for line, _ in told]


def test_a_reader_that_goes_on_tells_every_line(tmp_path: Path) -> None:
    lines = [
        b'{"text": "a"}',
        b'{"text": "b"',
        b'{"text": "\xff"}',
        b'{"text": "nul \0"}',
        b'{"text": "\\ud83d"}',
        b"",
        b'{"question": "b"}',
        b'{"text": "z"}',
    ]
    kept, messages, where = problems(write(tmp_path / "x.jsonl", b"\n".join(lines)))
    assert kept == [1, 8]
    assert where == [2, 3, 4, 5, 7]
    path = tmp_path / "x.jsonl"
    assert messages[1] == f"line 3 of `{path}` is not UTF-8: byte 0xff at offset 37"
    assert messages[2].startswith(f"line 4 of `{path}` holds a NUL")
    kept, messages, where = problems(write(tmp_path / "y.json", '[{"text": "a"},\n{"text": 3},\n{"text": "c"}, oops]'))
    assert (kept, where) == ([1, 3], [2, 3])
    kept, messages, where = problems(write(tmp_path / "z.json", '{\n"text": "a",\n"more": "b"\n}\n'))
    assert [message.partition(" is not JSON")[0] for message in messages] == [
        f"line 1 of `{tmp_path / 'z.json'}`",
        f"`{tmp_path / 'z.json'}` has no rows",
    ]


@pytest.mark.parametrize("depth", range(960, 1000, 3))
def test_any_depth_of_nesting_has_its_sentence(tmp_path: Path, depth: int) -> None:
    """Just below the depth that cannot be parsed, looking for half characters gave a traceback."""
    path = write(tmp_path / "x.jsonl", '{"text": "a", "b": ' + "[" * depth + "]" * depth + "}\n")
    kept, messages, _ = problems(path)
    assert kept == [1] or "nested too deeply" in messages[0]


def test_a_line_that_is_too_long_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("localft.data.reading.lines.MAX_LINE", 100)
    path = write(tmp_path / "x.jsonl", '{"text": "a"}\n{"text": "' + "b" * 100 + '"}\n{"text": "c"}')
    kept, messages, _ = problems(path)
    assert kept == [1, 3]
    assert messages == [f"line 2 of `{path}` is 112 bytes long, at most 100 are read"]


def test_files_that_are_not_there_or_not_read(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no data file"):
        read_file(tmp_path / "missing.jsonl")
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(DatasetError, match="is a folder, expected a file"):
        read_file(tmp_path / "folder.jsonl")


def test_a_folder_gives_its_train_and_valid_files(tmp_path: Path) -> None:
    for name in ("train.jsonl", "train.txt", "validation.json", "test.jsonl", "other.jsonl"):
        write(tmp_path / name, "x")
    found = find_sources([tmp_path], None)
    assert found.train == [tmp_path / "train.jsonl", tmp_path / "train.txt"]
    assert found.val == [tmp_path / "validation.json"]
    assert found.notes == [f"`{tmp_path / 'test.jsonl'}` is kept for testing and not read"]
    replaced = find_sources([tmp_path], tmp_path / "other.jsonl")
    assert replaced.val == [tmp_path / "other.jsonl"]
    assert any("takes the place" in note for note in replaced.notes)
    assert find_sources([tmp_path / "train.txt"], tmp_path).val == [tmp_path / "validation.json"]


def test_a_folder_without_a_train_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is empty"):
        find_sources([tmp_path], None)
    (tmp_path / "a.py").write_text("x = 1")
    with pytest.raises(DatasetError, match="neither a train file nor texts") as caught:
        find_sources([tmp_path], None)
    assert f"`localft data build {tmp_path} -o rows.jsonl`" in (caught.value.hint or "")
    (tmp_path / "pairs.csv").write_text("prompt,completion")
    with pytest.raises(DatasetError, match=r"has no train file, and rows under other names: `pairs\.csv`") as caught:
        find_sources([tmp_path], None)
    assert f"`--data {tmp_path / 'pairs.csv'}`" in (caught.value.hint or "")
    with pytest.raises(DatasetError, match="has no valid file"):
        find_sources([tmp_path / "x.txt"], tmp_path)


def test_a_text_that_is_not_split_is_not_said_to_be(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("one two")
    found = read_file(path, "<s>")
    assert found.formats == {"plain text": 1}
    assert found.notes == ["`<s>` does not occur in `x.txt`: the whole file is one document"]


def test_rows_in_a_text_file_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "rows.txt"
    path.write_text('{"prompt": "a", "completion": "b"}\n' * 2)
    found = read_file(path)
    assert found.notes == ["`rows.txt` holds JSON and no text: it is read as rows"]
    assert found.formats == {"prompt/completion": 2}
    path.write_text("{curly} words\n")
    assert read_file(path).notes == []
