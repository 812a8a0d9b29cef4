"""How many held-out questions a model answers as Polly does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from localft.demo import DATA

if TYPE_CHECKING:
    from localft.chat import ChatSession

MAX_TOKENS = 64


@dataclass(frozen=True)
class HeldOut:
    """One held-out question and Polly's answer to it."""

    question: str
    expected: str


@dataclass(frozen=True)
class Answer:
    """What a model said. `ended` = it stopped by itself, within the limit."""

    text: str
    ended: bool


def held_out(path: Path = DATA / "test.jsonl") -> list[HeldOut]:
    """Read the held-out questions."""
    rows = [json.loads(line)["messages"] for line in path.read_text(encoding="utf-8").splitlines()]
    return [HeldOut(messages[0]["content"], messages[1]["content"]) for messages in rows]


def ask_all(session: ChatSession, questions: Sequence[HeldOut], max_tokens: int = MAX_TOKENS) -> list[Answer]:
    """Ask every question in a conversation of its own.

    The session should be greedy, and have `max_tokens` as its own limit.
    """
    answers = []
    for question in questions:
        session.reset()
        text = "".join(session.ask(question.question))
        answers.append(Answer(text, session.stop_reason == "end"))
    return answers


def count(questions: Sequence[HeldOut], answers: Sequence[Answer]) -> int:
    """Count the answers that are as expected and ended."""
    return sum(answer.ended and answer.text == each.expected for each, answer in zip(questions, answers, strict=True))
