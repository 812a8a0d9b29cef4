"""What a model has answered so far, on disk after every row: a run that is killed goes on from there."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from localft.curation.synthetic.model.prompt import VERSION, Pair
from localft.errors import DatasetError
from localft.files import open_file


@dataclass(frozen=True)
class Answered:
    """A model's reply to one row.

    Attributes:
        pairs: as it wrote them, nothing dropped yet.
        n_prompt, n_completion: tokens, those of attempts that came to nothing included.
        seen: characters of the row's text that the model was shown.
        problem: why there are no pairs, "" where there are.
    """

    pairs: Sequence[Pair]
    n_prompt: int
    n_completion: int
    seen: int
    problem: str = ""


def journal_path(out: Path) -> Path:
    """Where the journal of an output lies: beside it."""
    return out.with_name(f"{out.name}.journal")


def key_of(model: str, text: str, about: str, n_pairs: int, seed: int) -> str:
    """The same for the same question to the same model."""
    words = json.dumps([VERSION, model, about, n_pairs, seed, text])
    return hashlib.blake2b(words.encode(), digest_size=16).hexdigest()


class Journal:
    """Replies by their keys, appended to a file as they come.

    A line that a killed run left half-written is cut off, with its row asked again. Replies to other questions (another
    model, other rows) stay and are ignored.

    Raises:
        DatasetError: the file is there and is no journal.
        OSError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.answered: dict[str, Answered] = {}
        self._file: IO[bytes] | None = None
        if path.exists():
            self._read()

    def _read(self) -> None:
        with open_file(self.path) as file:
            data = file.read()
        whole = data.rfind(b"\n") + 1
        for number, line in enumerate(data[:whole].splitlines(), 1):
            try:
                value = json.loads(line)
                self.answered[value["key"]] = _answered(value)
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                raise DatasetError(
                    f"line {number} of `{self.path}` is no line of a journal",
                    "delete the file to ask the model about every row anew, or choose another --out",
                ) from None
        if whole < len(data):
            os.truncate(self.path, whole)

    def add(self, key: str, answered: Answered) -> None:
        """Keep a reply; it is on disk when this returns."""
        self.answered[key] = answered
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("ab", buffering=0)
        value = {
            "key": key,
            "pairs": [list(pair) for pair in answered.pairs],
            "tokens": [answered.n_prompt, answered.n_completion],
            "seen": answered.seen,
            "problem": answered.problem,
        }
        self._file.write(json.dumps(value).encode() + b"\n")
        os.fsync(self._file.fileno())

    def close(self) -> None:
        if self._file:
            self._file.close()
            self._file = None

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _answered(value: dict[str, Any]) -> Answered:
    n_prompt, n_completion = value["tokens"]
    pairs = [Pair(str(question), str(answer)) for question, answer in value["pairs"]]
    return Answered(pairs, int(n_prompt), int(n_completion), int(value["seen"]), str(value["problem"]))
