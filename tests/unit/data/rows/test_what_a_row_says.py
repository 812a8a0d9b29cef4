"""What a row says about itself is obeyed, or the row is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from localft.data.rows.reader import NOT_TRAINED, Rows, read_file
from localft.data.rows.row import Message
from localft.errors import DatasetError

USER, ANSWER = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}
PAIR = {"prompt": "q", "completion": "a"}
ASKED, TOLD, SYSTEM = Message("user", "q"), Message("assistant", "a"), Message("system", "s")
BEFORE = (Message("user", "q0"), Message("assistant", "a0"))


def read(folder: Path, *values: object) -> Rows:
    path = folder / "x.jsonl"
    path.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")
    return read_file(path)


def messages(folder: Path, value: object) -> tuple[Message, ...]:
    (row,) = read(folder, value).rows
    return row.messages


def refusal(folder: Path, value: object) -> tuple[str, str]:
    with pytest.raises(DatasetError) as caught:
        read(folder, {"text": "t"}, value)
    assert f"line 2 of `{folder / 'x.jsonl'}`" in caught.value.message
    return caught.value.message.replace(f"line 2 of `{folder / 'x.jsonl'}`", "LINE"), caught.value.hint or ""


@pytest.mark.parametrize(
    ("flags", "trained"),
    [
        ({"weight": 0}, False),
        ({"weight": 0.0}, False),
        ({"weight": 1}, True),
        ({"weight": None}, True),
        ({"train": False}, False),
        ({"trainable": False}, False),
        ({"training": False}, False),
        ({"loss": False}, False),
        ({"masked": True}, False),
        ({"masked": False}, True),
        ({"train": True, "weight": 0}, False),
    ],
)
def test_a_flag_of_an_answer_decides_whether_it_is_learned(
    tmp_path: Path, flags: dict[str, Any], trained: bool
) -> None:
    first = {"role": "assistant", "content": "a0", **flags}
    turns = [{"role": "user", "content": "q0"}, first, {**USER, "weight": 0}, ANSWER]
    expected = (BEFORE[0], BEFORE[1]._replace(trained=trained), ASKED, TOLD)
    assert messages(tmp_path, {"messages": turns}) == expected
    keys, roles = {"role": "from", "content": "value"}, {"user": "human", "assistant": "gpt"}
    shared = [{keys.get(k, k): roles.get(str(v), v) for k, v in turn.items()} for turn in turns]
    found = read(tmp_path, {"conversations": shared})
    assert (found.rows[0].messages, dict(found.unknown_keys)) == (expected, {})


@pytest.mark.parametrize(
    "value",
    [
        {"messages": [USER, {**ANSWER, "weight": 0}]},
        {"messages": [USER, {**ANSWER, "train": False}]},
        {**PAIR, "train": False},
        {**PAIR, "weight": 0},
        {"instruction": "q", "output": "a", "trainable": False},
        {"text": "t", "train": False},
        {"messages": [USER, ANSWER], "weight": 0},
    ],
)
def test_a_row_with_nothing_to_learn_is_left_out_and_counted(tmp_path: Path, value: object) -> None:
    found = read(tmp_path, {"text": "t"}, value)
    assert (len(found.rows), dict(found.empty), found.left_out) == (1, {NOT_TRAINED: 1}, [(2, NOT_TRAINED)])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"messages": [USER, {**ANSWER, "weight": 0.5}]}, 'message 2 in LINE has "weight": 0.5, expected 0 or 1'),
        ({"messages": [USER, {**ANSWER, "weight": -1}]}, 'message 2 in LINE has "weight": -1, expected 0 or 1'),
        ({"messages": [USER, {**ANSWER, "weight": "0"}]}, 'message 2 in LINE has "weight" that is text, expected true'),
        ({"messages": [USER, {**ANSWER, "train": "no"}]}, 'message 2 in LINE has "train" that is text, expected true'),
        ({"messages": [{**USER, "weight": 1}, ANSWER]}, 'message 1 in LINE has "weight": 1, and only answers are'),
        ({"messages": [{**USER, "train": True}, ANSWER]}, 'message 1 in LINE has "train": true, and only answers are'),
        (
            {"messages": [USER, {**ANSWER, "train_detail": [{"begin_offset": 0, "end_offset": 1, "train": False}]}]},
            'message 2 in LINE has "train_detail", and an answer is learned as a whole or not at all',
        ),
        ({**PAIR, "weight": 0.5}, 'LINE has "weight": 0.5, expected 0 or 1'),
        ({**PAIR, "label": False}, 'LINE has "label": false, which is an answer that is not to be given (KTO)'),
        ({"question": "q", "answer": "a", "label": False}, 'LINE has "label": false, which is an answer that is not'),
        ({"prompt": [USER], "completion": [ANSWER], "label": False}, 'LINE has "label": false, which is an answer'),
        ({**PAIR, "system": 3}, '"system" in LINE is a number, expected text'),
        ({**PAIR, "history": "q0"}, '"history" in LINE holds text, expected pairs of texts'),
        ({**PAIR, "history": [["q0"]]}, '"history" in LINE holds a list, expected pairs of texts'),
        ({"messages": [{"role": "system", "content": "t"}, USER, ANSWER], "system": "s"}, 'LINE has "system" beside'),
        ({**PAIR, "images": ["a.png"]}, 'LINE has "images", and models are trained on text alone'),
        ({"text": "t", "audios": ["a.wav"]}, 'LINE has "audios", and models are trained on text alone'),
        (
            {"conversations": [{"from": "human", "value": "<image>\nq"}, {"from": "gpt", "value": "a"}], "image": "a"},
            'LINE has "image" and `<image>` in its text, and models are trained on text alone',
        ),
        ({"prompt": "q", "chosen": "a", "rejected": "b"}, 'LINE is a preference: an answer that was "chosen" and'),
        ({"chosen": [USER, ANSWER], "rejected": [USER, ANSWER]}, 'LINE is a preference: an answer that was "chosen"'),
        ({**PAIR, "tools": [{"name": "f"}]}, 'LINE has "tools", and tool calls are not supported yet'),
        ({"query": "q", "answer": "a", "tools": '[{"name": "f"}]'}, 'LINE has "tools", and tool calls are not'),
        ({"message_id": "1", "parent_id": None, "text": "t", "role": "prompter"}, "LINE belongs to a tree of messages"),
        ({"prompt": {"text": "q", "replies": []}, "message_tree_id": "1"}, "LINE belongs to a tree of messages"),
        ({"title": "t", "mapping": {}, "current_node": "1"}, "LINE belongs to a tree of messages"),
        (USER, "LINE is a single turn, expected a conversation"),
        ({"from": "human", "value": "q"}, "LINE is a single turn, expected a conversation"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}, ANSWER]},
            "the content of message 1 in LINE has a part of the type 'image_url', expected 'text'",
        ),
        ({"messages": [{"role": "user", "content": [3]}, ANSWER]}, "a part of the content of message 1 in LINE is a"),
        ({"messages": [USER, {**ANSWER, "reasoning": ["r"]}]}, '"reasoning" of message 2 in LINE is a list, expected'),
        (
            {"messages": [USER, {**ANSWER, "reasoning": "r", "thinking": "t"}]},
            'message 2 in LINE has "reasoning" and "thinking", which differ',
        ),
        ({"question": "q", "answer": "a", "response": "b"}, 'LINE has "response" and "answer": which is meant?'),
        ({"question": "q", "query": "p", "answer": "a"}, 'LINE has "question" and "query": which is meant?'),
        ({"prompt": "q", "completion": [ANSWER]}, '"completion" in LINE is a list, expected text'),
        ({"prompt": [USER], "completion": [USER]}, "LINE has no assistant message"),
    ],
)
def test_what_cannot_be_obeyed_is_refused_by_name(tmp_path: Path, value: object, message: str) -> None:
    said, hint = refusal(tmp_path, value)
    assert said.startswith(message)
    assert hint


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({**PAIR, "system": "s"}, (SYSTEM, ASKED, TOLD)),
        ({"instruction": "q", "output": "a", "system": "s"}, (SYSTEM, ASKED, TOLD)),
        ({"instruction": "q", "input": "i", "output": "a", "system": "s"}, (SYSTEM, Message("user", "q", "i"), TOLD)),
        ({"system_prompt": "s", "question": "q", "response": "a", "id": 1}, (SYSTEM, ASKED, TOLD)),
        ({"messages": [USER, ANSWER], "system": "s"}, (SYSTEM, ASKED, TOLD)),
        ({"messages": [{"role": "system", "content": "s"}, USER, ANSWER], "system": "s"}, (SYSTEM, ASKED, TOLD)),
        (
            {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}], "system": "s"},
            (SYSTEM, ASKED, TOLD),
        ),
        ({"instruction": "q", "input": "", "output": "a", "history": [["q0", "a0"]]}, (*BEFORE, ASKED, TOLD)),
        ({**PAIR, "history": [["q0", "a0"]], "system": "s"}, (SYSTEM, *BEFORE, ASKED, TOLD)),
        (
            {**PAIR, "history": [{"role": "user", "content": "q0"}, {"role": "assistant", "content": "a0"}]},
            (*BEFORE, ASKED, TOLD),
        ),
        ({**PAIR, "reasoning_content": "r"}, (ASKED, TOLD._replace(reasoning="r"))),
        ({"messages": [USER, {**ANSWER, "reasoning_content": "r"}]}, (ASKED, TOLD._replace(reasoning="r"))),
        ({"messages": [USER, {**ANSWER, "thinking": "r"}]}, (ASKED, TOLD._replace(reasoning="r"))),
        (
            {
                "prompt": [{"role": "user", "content": "q0"}, {"role": "assistant", "content": "a0"}, USER],
                "completion": [ANSWER],
            },
            (BEFORE[0], BEFORE[1]._replace(trained=False), ASKED, TOLD),
        ),
        ([USER, ANSWER], (ASKED, TOLD)),
        ([{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}], (ASKED, TOLD)),
        ({"conversation": [USER, ANSWER]}, (ASKED, TOLD)),
        ({"messages": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}, (ASKED, TOLD)),
        ({"messages": [{"role": "developer", "content": "s"}, USER, ANSWER]}, (SYSTEM, ASKED, TOLD)),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": "q"}, {"type": "text", "text": "p"}]},
                    {"role": "assistant", "content": [{"type": "text", "text": "a"}]},
                ]
            },
            (Message("user", "q\np"), TOLD),
        ),
    ],
)
def test_conversations(tmp_path: Path, value: object, expected: tuple[Message, ...]) -> None:
    (row,) = read(tmp_path, {"text": "t"}, value).rows[1:]
    assert (row.kind, row.messages) == ("messages", expected)


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ({"question": "q", "answer": "a"}, "completion", (ASKED, TOLD)),
        ({"query": "q", "response": "a"}, "completion", (ASKED, TOLD)),
        ({"prompt": "q", "response": "a"}, "completion", (ASKED, TOLD)),
        ({"question": "q", "context": "c", "answer": "a"}, "completion", (Message("user", "q", "c"), TOLD)),
        ({"instruction": "q", "response": "a"}, "alpaca", (ASKED, TOLD)),
        (
            {"instruction": "q", "context": "c", "response": "a", "category": "x"},
            "alpaca",
            (Message("user", "q", "c"), TOLD),
        ),
        ({"instruction": "q", "context": "", "response": "a"}, "alpaca", (ASKED, TOLD)),
        ({"instruction": "q", "context": "c", "output": "a"}, "alpaca", (Message("user", "q", "c"), TOLD)),
        (
            {"instruction": "q", "input": "i", "context": "c", "output": "a"},
            "alpaca",
            (Message("user", "q", "i"), TOLD),
        ),
        # where two shapes fit, the older one wins
        ({"instruction": "q", "output": "a", "response": "b"}, "alpaca", (ASKED, TOLD)),
        ({**PAIR, "response": "b"}, "completion", (ASKED, TOLD)),
        ({"question": "p", "answer": "b", **PAIR}, "completion", (ASKED, TOLD)),
        # what says nothing, says nothing
        ({**PAIR, "system": "", "history": [], "tools": None, "images": []}, "completion", (ASKED, TOLD)),
        ({**PAIR, "label": True}, "completion", (ASKED, TOLD)),
        ({**PAIR, "tools": "hammer"}, "completion", (ASKED, TOLD)),
    ],
)
def test_questions_and_answers(tmp_path: Path, value: object, kind: str, expected: tuple[Message, ...]) -> None:
    (row,) = read(tmp_path, value).rows
    assert (row.kind, row.messages) == (kind, expected)


def test_columns_of_a_text_are_no_flags(tmp_path: Path) -> None:
    values = [{"text": "t", "label": 0}, {"text": "t", "label": False}, {"text": "t", "question": "q", "answer": "a"}]
    found = read(tmp_path, *values, {"text": "a picture", "image": "a.png"})
    assert (len(found.rows), {row.kind for row in found.rows}) == (4, {"text"})
    assert dict(found.unknown_keys) == {"label": 2, "question": 1, "answer": 1, "image": 1}


def test_unknown_keys_of_turns_are_named(tmp_path: Path) -> None:
    turns = [{**USER, "name": "Bo", "tool_calls": None}, {**ANSWER, "id": 7, "weight": 1, "prefix": None}]
    found = read(tmp_path, {"messages": turns, "id": 1}, {"messages": [{**USER, "reasoning": "r"}, ANSWER]})
    names = {"id": 1, "messages[].name": 1, "messages[].id": 1, "messages[].reasoning": 1}
    assert dict(found.unknown_keys) == names


def test_the_users_columns_leave_the_others_alone(tmp_path: Path) -> None:
    from localft.data.rows.row import Columns

    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps({"q": "q", "a": "a", "system": "Linux", "chosen": "x", "rejected": "y", "weight": 72}))
    (row,) = read_file(path, columns=Columns("q", "a")).rows
    assert (row.kind, row.messages) == ("completion", (ASKED, TOLD))


def test_lines_that_are_lists_of_turns(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(f"{json.dumps([USER, ANSWER])}\n{json.dumps([USER, ANSWER])}\n", encoding="utf-8")
    assert [(row.line, row.messages) for row in read_file(path).rows] == [(1, (ASKED, TOLD)), (2, (ASKED, TOLD))]
    path.write_text(json.dumps([[USER, ANSWER], [USER, ANSWER]]), encoding="utf-8")
    assert len(read_file(path).rows) == 2
    path.write_text(json.dumps([USER, ANSWER], indent=1), encoding="utf-8")
    with pytest.raises(DatasetError, match="is a single turn"):
        read_file(path)
