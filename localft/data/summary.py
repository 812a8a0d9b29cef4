"""What is said about the data before the first step: nothing is dropped silently."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
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
        n_tokens, n_supervised: of the training rows, each counted once; replay aside.
        n_val_tokens, n_val_supervised: of the validation rows.
        mean_length, p99_length, longest: of the rows as read, before anything is cut; replay aside.
        n_ctx, n_ctx_reason: positions per sequence, and why.
        n_cut, n_windows: texts cut into windows, and how many windows they became.
        n_truncated, n_truncated_tokens: answer rows that lost their end, and how much of it.
        dropped: rows left out, by reason.
        val_reason: how the validation rows were chosen.
        notes: whatever else the user should know, a sentence each.
        n_replay, n_replay_tokens, n_replay_supervised: of general text that is mixed in, each row counted once.
        n_wrapped, n_wrapped_windows: texts that were joined, and the windows that they were then cut into.
        packing: how full sequences are that rows share, in words; "" where none do.
        epoch: what one epoch holds, in words; "" where it is every row once.
        leaks: validation rows that training rows give away, by manner ("exact", "near", "contained").
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
    n_replay: int = 0
    n_replay_tokens: int = 0
    n_replay_supervised: int = 0
    epoch: str = ""
    n_wrapped: int = 0
    n_wrapped_windows: int = 0
    packing: str = ""
    leaks: dict[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON-serialisable values."""
        return asdict(self)
