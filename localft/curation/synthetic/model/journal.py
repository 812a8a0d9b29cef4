"""What a model has answered so far, on disk after every row: a run that is killed goes on from there."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from localft.curation.synthetic.model.prompt import VERSION, Pair
from localft.errors import DatasetError
from localft.files import open_file
from localft.json_text import parse_json

# A line of a journal begins so; it holds at most what is read of a reply, in the longest spelling that JSON has.
_START = b'{"key": "'
_LONGEST = 16 << 20
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


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
        DatasetError: the file is there and is no journal, or a link to one.
        OSError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.answered: dict[str, Answered] = {}
        self._file: IO[bytes] | None = None
        if path.is_symlink():
            raise DatasetError(f"`{path}` is a symbolic link, expected a file", "delete it, or choose another --out")
        if path.exists():
            self._read()

    def _read(self) -> None:
        with open_file(self.path) as file:
            whole, number = 0, 0
            while line := file.readline(_LONGEST):
                number += 1
                if not line.endswith(b"\n") and line.startswith(_START[: len(line)]) and len(line) < _LONGEST:
                    os.truncate(self.path, whole)
                    return
                key, answered = self._entry(number, line)
                self.answered[key] = answered
                whole += len(line)

    def _entry(self, number: int, line: bytes) -> tuple[str, Answered]:
        try:
            if line.endswith(b"\n"):
                return _read_line(line)
        except (ValueError, KeyError, TypeError):
            pass
        raise DatasetError(
            f"line {number} of `{self.path}` is no line of a journal",
            "delete the file to ask the model about every row anew, or choose another --out",
        ) from None

    def add(self, key: str, answered: Answered) -> None:
        """Keep a reply; it is on disk when this returns."""
        self.answered[key] = answered
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.fdopen(os.open(self.path, _APPEND, 0o666), "ab", buffering=0)
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


def _read_line(line: bytes) -> tuple[str, Answered]:
    """The key and the reply of a line.

    Raises:
        ValueError, KeyError, TypeError: it has none.
    """
    value = parse_json(line)
    n_prompt, n_completion = value["tokens"]
    counts = (n_prompt, n_completion, value["seen"])
    pairs = [Pair(question, answer) for question, answer in value["pairs"]]
    if not isinstance(value["pairs"], list) or not all(isinstance(pair, list) for pair in value["pairs"]):
        raise ValueError("pairs that are no lists")
    texts = (value["key"], value["problem"], *(text for pair in pairs for text in pair))
    if not all(isinstance(text, str) for text in texts) or not all(type(n) is int and n >= 0 for n in counts):
        raise ValueError("a value of another type")
    return value["key"], Answered(pairs, *counts, value["problem"])
