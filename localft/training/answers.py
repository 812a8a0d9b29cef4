"""What the adapter changed: a few validation prompts, answered by the base model and with the adapter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from localft.errors import LocalftError
from localft.events import Answers, Notice, TrainEvent
from localft.report import Report

if TYPE_CHECKING:
    from localft.chat import ChatSession, Message
    from localft.data.dataset import Dataset
    from localft.data.split.val_prompts import ValPrompt

N_PROMPTS = 3
MAX_TOKENS = 64


def compare_answers(
    base: Path, adapter: Path, dataset: Dataset, n_threads: int, report: Report | None = None
) -> Iterator[TrainEvent]:
    """Answer up to three validation prompts greedily from one loaded model, with and without the adapter.

    A failure here is a notice and not an error: the run is complete and saved by now.
    """
    prompts = dataset.val_prompts[:N_PROMPTS]
    if not prompts:
        return
    from localft.chat import ChatSession

    # No more context than is needed: the memory of a long one could exceed the training's.
    n_ctx = dataset.n_ctx + MAX_TOKENS
    try:
        with ChatSession(base, adapter, n_ctx=n_ctx, n_threads=n_threads, max_tokens=MAX_TOKENS) as chat:
            for done, prompt in enumerate(prompts):
                if report:
                    report("answers", done, len(prompts))
                yield _answer(chat, prompt)
    except LocalftError as error:
        yield Notice(f"base and adapter could not be compared: {error.message}", "warning")


def _answer(chat: ChatSession, prompt: ValPrompt) -> Answers:
    """Answer a text by going on with it, and a conversation in the wording of its training rows."""
    if isinstance(prompt.prompt, str):
        return Answers(prompt.prompt, prompt.expected, *_compare(chat, prompt.prompt))
    question = prompt.prompt[-1]
    shown = f"{question.content}\n{question.input}" if question.input else question.content
    return Answers(shown, prompt.expected, *_compare(chat, prompt.prompt))


def _compare(chat: ChatSession, prompt: str | Sequence[Message]) -> tuple[str, str]:
    """Both answers; one that had not come to its end says so, for whether a model stops is half of what it learned."""
    base, tuned = chat.compare(prompt)
    cut = {side: "" if ending == "end" else " …" for side, ending in chat.endings.items()}
    return base + cut["base"], tuned + cut["adapter"]
