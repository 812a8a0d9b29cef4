"""Base and adapter, compared on validation prompts at the end of a run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from localft.data.split.val_prompts import ValPrompt
from localft.errors import EngineError
from localft.events import Answers, Notice
from localft.training.answers import compare_answers


class FakeChat:
    """Answers at once; only the adapter's answer comes to its end."""

    endings = {"base": "max_tokens", "adapter": "end"}  # noqa: RUF012 - as a session has it

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __enter__(self) -> FakeChat:
        return self

    def __exit__(self, *_: object) -> None: ...

    def compare(self, prompt: str) -> tuple[str, str]:
        if prompt == "bad":
            raise EngineError("no room", "make some")
        return "on and on", "done."


def compared(monkeypatch: pytest.MonkeyPatch, *prompts: str) -> list[Any]:
    monkeypatch.setattr("localft.chat.ChatSession", FakeChat)
    found = tuple(ValPrompt(prompt, "expected", "f", 1) for prompt in prompts)
    dataset = SimpleNamespace(val_prompts=found, n_ctx=32)
    return list(compare_answers("base", "adapter", dataset, 1))  # type: ignore[arg-type]


def test_an_answer_that_was_cut_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert compared(monkeypatch, "a") == [Answers("a", "expected", "on and on …", "done.")]


def test_a_comparison_that_fails_is_a_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    assert compared(monkeypatch, "bad") == [Notice("base and adapter could not be compared: no room", "warning")]
