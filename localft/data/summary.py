"""What is said about the data before the first step: nothing is dropped silently."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class DataSummary:
    """Counts of one dataset. A token counts as a position of the engine: a row's first token is no target.

    Attributes:
        files: what was read, in order.
        formats: rows by the format that they came in.
        template: how question-answer rows are worded, in words.
        n_rows: rows read, those that are dropped below included.
        n_train, n_val: sequences' rows to train and validate on, each window of a long text counted.
        n_tokens, n_supervised: per epoch, of the training rows.
        n_val_tokens, n_val_supervised: of the validation rows.
        mean_length, p99_length, longest: of the rows as read, before anything is cut.
        n_ctx, n_ctx_reason: positions per sequence, and why.
        n_cut, n_windows: texts cut into windows, and how many windows they became.
        n_truncated, n_truncated_tokens: answer rows that lost their end, and how much of it.
        dropped: rows left out, by reason.
        val_reason: how the validation rows were chosen.
        notes: whatever else the user should know, a sentence each.
    """

    files: tuple[str, ...]
    formats: dict[str, int]
    template: str
    n_rows: int
    n_train: int
    n_val: int
    n_tokens: int
    n_supervised: int
    n_val_tokens: int
    n_val_supervised: int
    mean_length: float
    p99_length: int
    longest: int
    n_ctx: int
    n_ctx_reason: str
    n_cut: int
    n_windows: int
    n_truncated: int
    n_truncated_tokens: int
    dropped: dict[str, int]
    val_reason: str
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON-serialisable values."""
        return asdict(self)

    def table(self) -> list[tuple[str, str]]:
        """Label and value of each line that the screen shows; lines with nothing to say are left out."""
        formats = ", ".join(f"{count:,} {name}" for name, count in self.formats.items())
        lines = [
            ("data", ", ".join(self.files)),
            ("format", formats),
            ("wording", self.template),
            ("rows", f"{self.n_rows:,} read, {self.n_train:,} to train on, {self.n_val:,} to validate on"),
            ("validation", self.val_reason),
            ("tokens", f"{self.n_tokens:,} per epoch, {self.n_supervised:,} of them supervised"),
            (
                "row length",
                f"mean {self.mean_length:,.0f}, 99 % at most {self.p99_length:,}, longest {self.longest:,} tokens",
            ),
            ("n_ctx", f"{self.n_ctx:,} ({self.n_ctx_reason})"),
        ]
        if self.n_cut:
            lines.append(
                ("cut", f"{self.n_cut:,} long {_texts(self.n_cut)} into {self.n_windows:,} windows, nothing lost")
            )
        if self.n_truncated:
            lines.append(("truncated", f"{self.n_truncated:,} rows, by {self.n_truncated_tokens:,} tokens in all"))
        lines += [("dropped", f"{count:,} rows: {reason}") for reason, count in self.dropped.items()]
        return lines + [("note", note) for note in self.notes]


def _texts(n: int) -> str:
    return "text" if n == 1 else "texts"
