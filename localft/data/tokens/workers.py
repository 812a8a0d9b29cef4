"""Processes that tokenize blocks of a file beside each other.

llama.cpp's tokenizer lets go of Python's lock, but what stands around it does not: two threads are hardly faster than
one, two processes nearly twice as fast. A process is this module, started anew; it reads jobs from its standard input
and writes results to its standard output, so that no script of the user's is run again in it.
"""

from __future__ import annotations

import pickle
import queue
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from localft.data.reading.lines import Block
from localft.data.rows.reader import read_block
from localft.data.rows.row import Columns
from localft.data.tokens.counts import Counts
from localft.data.tokens.run_wording import RunWording
from localft.data.tokens.token_file import TokenizedBlock
from localft.errors import DatasetError, LocalftError
from localft.model.tokenizer import Tokenizer
from localft.python_process import module_command

_AHEAD = 3  # blocks for each process that are read before their turn


@dataclass(frozen=True)
class Task:
    """What to do with the blocks of one file: how its rows are read and worded; see `RunWording` and `read_file`."""

    path: Path
    gguf: Path
    template: str | None
    raw: bool
    today: str
    train_on_prompt: bool
    columns: Columns


def tokenize_block(path: Path, block: Block, columns: Columns, wording: RunWording) -> TokenizedBlock:
    """The rows of a few lines, tokenized.

    Raises:
        DatasetError: a line cannot be used.
    """
    found = read_block(path, block, columns)
    units = [wording.unit(row) for row in found.rows]
    return TokenizedBlock(block, units, Counts.of(found, wording))


def tokenize_blocks(task: Task, blocks: Iterable[Block], n_process: int) -> Iterator[TokenizedBlock]:
    """Tokenize blocks in `n_process` processes; the pieces come in the blocks' order.

    Raises:
        DatasetError: a line cannot be used (the first such line of the file), or a process ended.
    """
    with ExitStack() as stack:
        workers = [stack.enter_context(_Worker(task)) for _ in range(n_process)]
        pool = stack.enter_context(ThreadPoolExecutor(n_process))
        idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        for worker in workers:
            idle.put(worker)
        waiting: deque[Future[TokenizedBlock]] = deque()
        # whatever goes wrong, nothing that waits is begun
        stack.callback(lambda: [future.cancel() for future in waiting])
        for block in blocks:
            waiting.append(pool.submit(_ask, idle, block))
            if len(waiting) > _AHEAD * n_process:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _ask(idle: queue.SimpleQueue[_Worker], block: Block) -> TokenizedBlock:
    worker = idle.get()
    try:
        return worker.ask(block)
    finally:
        idle.put(worker)


class _Worker:
    """One process; it ends when its standard input is closed."""

    def __init__(self, task: Task) -> None:
        program = module_command("localft.data.tokens.workers")
        pipe = subprocess.PIPE
        try:
            self._process = subprocess.Popen(program, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
        except OSError as error:
            message = f"cannot start `{sys.executable}` to tokenize the data: {error.strerror}"
            raise DatasetError(message, "close other programs and run it again") from None
        self._send(task)

    def __enter__(self) -> _Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                pipe.close()  # type: ignore[union-attr]
        self._process.wait()

    def ask(self, block: Block) -> TokenizedBlock:
        self._send(block)
        try:
            answer = pickle.load(self._process.stdout)  # type: ignore[arg-type]
        except (EOFError, pickle.UnpicklingError):
            raise _ended() from None
        if isinstance(answer, tuple):
            kind, message, hint = answer
            raise kind(message, hint)
        piece: TokenizedBlock = answer
        return piece

    def _send(self, value: object) -> None:
        try:
            pickle.dump(value, self._process.stdin, pickle.HIGHEST_PROTOCOL)  # type: ignore[arg-type]
            self._process.stdin.flush()  # type: ignore[union-attr]
        except OSError:
            raise _ended() from None


def _ended() -> DatasetError:
    hint = "memory may have run out: close other programs and run it again"
    return DatasetError("a process that tokenizes the data ended before its work was done", hint)


def serve(jobs: IO[bytes], results: IO[bytes]) -> None:
    """What a process does: a task first, then block after block until there is none."""
    task: Task = pickle.load(jobs)
    tokenizer = Tokenizer(task.gguf)
    wording = RunWording(tokenizer, task.template, task.raw, task.today, task.train_on_prompt)
    with suppress(EOFError):
        while True:
            block: Block = pickle.load(jobs)
            try:
                answer: object = tokenize_block(task.path, block, task.columns, wording)
            except LocalftError as error:
                answer = (type(error), error.message, error.hint)
            pickle.dump(answer, results, pickle.HIGHEST_PROTOCOL)
            results.flush()


def _main() -> None:
    from localft import llama

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    llama.silence()
    serve(sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    _main()
