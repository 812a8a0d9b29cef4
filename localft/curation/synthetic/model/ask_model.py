"""Rows to a model and its replies to the journal: several at a time, tried again where that may help."""

from __future__ import annotations

import queue
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from localft.curation.synthetic.filter import NOT_JSON
from localft.curation.synthetic.model.journal import Answered, Journal, key_of
from localft.curation.synthetic.model.prompt import Pair, messages_of, read_pairs
from localft.curation.synthetic.model.reply import Reply
from localft.curation.synthetic.model.trouble import GaveUpError, PassingError, RefusedError
from localft.curation.synthetic.source_documents import Passage

TOO_LONG, REFUSED = "rows too long for the model", "rows that the endpoint refused"
FAILED = "rows that the endpoint failed at"
_ATTEMPTS = 2
_HOPELESS = 3
_MOST_WAIT = 120.0
_BYTES_PER_TOKEN = 4
Wait = Callable[[float, str], None]


class Asker(Protocol):
    """A model that can be asked."""

    @property
    def model(self) -> str: ...
    def ask(self, messages: list[dict[str, str]], n_pairs: int, seed: int) -> Reply: ...


@dataclass
class AskProgress:
    """How far the asking is. Times in seconds.

    Attributes:
        total, known, done: rows in all, answered in an earlier run, answered in this one.
        n_pairs: of this run and the earlier one, nothing dropped yet.
        n_prompt, n_completion: tokens of this run.
        refused: rows that the endpoint would not answer.
        failed: keys of rows whose requests failed to the last.
        waiting: what a failed request waits for, "" where none does.
    """

    total: int
    known: int = 0
    done: int = 0
    n_pairs: int = 0
    n_prompt: int = 0
    n_completion: int = 0
    refused: int = 0
    failed: set[str] = field(default_factory=set)
    waiting: str = ""
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    @property
    def tok_per_sec(self) -> float:
        """Tokens written, per second."""
        return self.n_completion / max(self.seconds, 1e-9)

    @property
    def seconds_left(self) -> float:
        left = self.total - self.known - self.done - self.refused - len(self.failed)
        return self.seconds / self.done * left if self.done else 0.0


@dataclass
class Asking:
    """How rows are asked about.

    Attributes:
        retries: further requests after one that failed.
        wait: seconds before the first of them; doubled each time, up to two minutes.
        cut: what of a row is shown to the model, "" where it is of no use.
        exact: every token so far was counted by the model, none estimated.
    """

    asker: Asker
    n_pairs: int
    seed: int
    parallel: int = 1
    retries: int = 5
    wait: float = 1.0
    cut: Callable[[Passage], str] = lambda passage: passage.body
    exact: bool = True

    def key(self, passage: Passage) -> str:
        """The row's key in a journal."""
        about = f"{passage.kind} {passage.name} {passage.path} {passage.fact('number')} {passage.fact('revision')}"
        if passage.kind == "file":
            # a new commit changes the revision of every file, not what is asked
            about = f"file {passage.name} {passage.path}"
        return key_of(self.asker.model, passage.body, about, self.n_pairs, self.seed)

    def run(
        self, passages: Sequence[Passage], journal: Journal, report: Callable[[AskProgress], None] = lambda _: None
    ) -> AskProgress:
        """Ask about every row that the journal does not know; each reply is in it before the next is waited for.

        Raises:
            EndpointError: requests fail for good, those of several rows in a row; what was answered stays in the
                journal.
        """
        wanted = {key: passage for passage in passages if (key := self.key(passage)) not in journal.answered}
        every = {self.key(passage) for passage in passages}
        progress = AskProgress(len(every), len(every) - len(wanted))
        progress.n_pairs = sum(len(journal.answered[key].pairs) for key in every - wanted.keys())
        report(progress)
        _Crew(self, wanted, journal, progress, report).work()
        return progress

    def answer(self, passage: Passage, wait: Wait) -> Answered:
        """The reply to one row; one that has no pair in it is asked for once more.

        Args:
            wait: called with seconds and why; raises to give up.
        """
        text = self.cut(passage)
        if not text:
            return Answered((), 0, 0, 0, TOO_LONG)
        messages = messages_of(passage, text, self.n_pairs)
        n_prompt = n_completion = 0
        pairs: list[Pair] = []
        for attempt in range(_ATTEMPTS):
            reply = self._persistently(messages, self.seed + attempt, wait)
            self.exact = self.exact and None not in (reply.n_prompt, reply.n_completion)
            asked, said = _tokens(reply, messages)
            n_prompt, n_completion = n_prompt + asked, n_completion + said
            pairs = read_pairs(reply.text)[: self.n_pairs]
            if pairs:
                break
        return Answered(pairs, n_prompt, n_completion, len(text), "" if pairs else NOT_JSON)

    def _persistently(self, messages: list[dict[str, str]], seed: int, wait: Wait) -> Reply:
        for attempt in range(self.retries + 1):
            try:
                return self.asker.ask(messages, self.n_pairs, seed)
            except PassingError as error:
                if attempt == self.retries:
                    tries = f" ({attempt + 1} attempts)" if attempt else ""
                    raise GaveUpError(f"{error.message}{tries}", error.hint) from None
                # so that requests that failed together do not come back together
                delay = self.wait * 2**attempt * random.uniform(1.0, 1.25) if error.wait is None else error.wait
                wait(min(delay, _MOST_WAIT), error.message)
        raise AssertionError("unreachable")


def _tokens(reply: Reply, messages: Sequence[dict[str, str]]) -> tuple[int, int]:
    """Tokens of prompt and reply; estimated where the server does not count them."""
    asked = sum(len(turn["content"].encode()) for turn in messages) // _BYTES_PER_TOKEN
    said = len(reply.text.encode("utf-8", "replace")) // _BYTES_PER_TOKEN
    return (
        asked if reply.n_prompt is None else reply.n_prompt,
        said if reply.n_completion is None else reply.n_completion,
    )


class _Stopped(Exception):  # noqa: N818
    """Another row's request failed for good."""


class _Crew:
    """Threads that take rows from a queue; only the thread that calls `work` writes the journal."""

    def __init__(
        self,
        asking: Asking,
        wanted: dict[str, Passage],
        journal: Journal,
        progress: AskProgress,
        report: Callable[[AskProgress], None],
    ) -> None:
        self.asking, self.wanted, self.journal = asking, wanted, journal
        self.progress, self.report = progress, report
        self.n_failing = 0  # rows, one after the other
        self.stop = threading.Event()
        self.todo: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.done: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()

    def work(self) -> None:
        for key in self.wanted:
            self.todo.put(key)
        # a model on this machine is used in this thread, where Ctrl-C reaches it
        if self.asking.parallel == 1:
            while not self.todo.empty():
                self._take(self.todo.get())
                self._collect()
            return
        threads = [threading.Thread(target=self._thread, daemon=True) for _ in range(self.asking.parallel)]
        for thread in threads:
            thread.start()
        try:
            for _ in self.wanted:
                self._collect()
        finally:
            self.stop.set()

    def _thread(self) -> None:
        while not self.stop.is_set():
            try:
                self._take(self.todo.get_nowait())
            except queue.Empty:
                return

    def _take(self, key: str) -> None:
        try:
            found: Any = self.asking.answer(self.wanted[key], self._wait)
        except _Stopped:
            return
        except Exception as error:  # raised again in the thread that collects
            found = error
        self.done.put((key, found))

    def _wait(self, seconds: float, why: str) -> None:
        # without "the endpoint `…`": the line is short
        self.progress.waiting = f"{why.partition('` ')[2] or why}; again in {seconds:.0f} s"
        self.report(self.progress)
        if self.stop.wait(seconds):
            raise _Stopped
        self.progress.waiting = ""

    def _collect(self) -> None:
        while True:
            try:
                key, found = self.done.get(timeout=0.2)
                break
            except queue.Empty:
                self.report(self.progress)
        if isinstance(found, RefusedError):
            self.progress.refused += 1
            hopeless = min(_HOPELESS, len(self.wanted))
            if self.progress.refused >= hopeless and not self.progress.done:
                raise found
            return
        if isinstance(found, GaveUpError):
            self._leave_out(key, found)
            return
        if isinstance(found, BaseException):
            raise found
        self._finish(key, found)

    def _leave_out(self, key: str, error: GaveUpError) -> None:
        """Go on without a row, unless the endpoint fails at every one."""
        self.progress.failed.add(key)
        self.n_failing += 1
        works = self.progress.done + self.progress.known > 0
        most = max(_HOPELESS, 2 * self.asking.parallel) if works else min(_HOPELESS, len(self.wanted))
        if self.n_failing >= most:
            raise error
        self.report(self.progress)

    def _finish(self, key: str, answered: Answered) -> None:
        self.journal.add(key, answered)
        self.n_failing = 0
        self.progress.done += 1
        self.progress.n_pairs += len(answered.pairs)
        self.progress.n_prompt += answered.n_prompt
        self.progress.n_completion += answered.n_completion
        self.report(self.progress)
