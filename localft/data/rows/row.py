"""Row: what every format of every file becomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

RowKind = Literal["text", "completion", "alpaca", "messages"]
ROLES = ("system", "user", "assistant")
BUILT_KINDS = ("file", "page", "commit", "pull_request", "issue")
"""Kinds of sources of the rows that `localft data build` and `localft data github` make."""


class Message(NamedTuple):
    """One turn of a conversation.

    Attributes:
        input: the second field of an Alpaca instruction.
        reasoning: what the model thought before this answer, where the row holds it apart from the answer.
        trained: an answer that is learned; the others are only read.
    """

    role: str
    content: str
    input: str = ""
    reasoning: str = ""
    trained: bool = True


@dataclass(frozen=True)
class Row:
    """One row as the file has it, brought to one shape.

    Attributes:
        kind: which format it came in.
        source, line: the file and the line (1-based; the row of a Parquet file) where it starts, for messages to the
            user (see `localft.data.reading.data_file.place`).
        text: the whole document of a text row, "" otherwise.
        messages: the turns of every other kind; prompt and completion are a user's and an assistant's.
        doc: id of the document that the row was made from (its "doc"), "" where it names none.
        source_kind: what that document is, such as "file" or "issue" (the "kind" of its "source"), else "".
    """

    kind: RowKind
    source: str
    line: int
    text: str = ""
    messages: tuple[Message, ...] = ()
    doc: str = ""
    source_kind: str = ""

    @property
    def identity(self) -> object:
        """The same for what is the same row of a run's data, however often it is read."""
        return self.__dict__.get("kept_as", id(self))

    @property
    def known_key(self) -> bytes:
        """What `localft.data.rows.documents.content_key` gives, where it was found before; else nothing."""
        return b""


class Columns(NamedTuple):
    """The user's own names for the keys or columns of a question and its answer; None: the usual ones."""

    prompt: str | None = None
    answer: str | None = None

    @property
    def fields(self) -> tuple[str, str]:
        return self.prompt or "prompt", self.answer or "completion"

    @property
    def given(self) -> tuple[str, ...]:
        return tuple(name for name in self if name)


USUAL_COLUMNS = Columns()
