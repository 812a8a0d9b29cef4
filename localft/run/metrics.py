"""`metrics.jsonl`: a line for every event of a run that is worth keeping."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from localft.events import Step, TrainEvent, Validation, json_line
from localft.files import read_bytes, write_text

STORED_EVENTS = ("step", "validation", "answers", "end")


def append_event(path: Path, event: TrainEvent) -> None:
    """Add one line, for the events that are kept.

    Raises:
        OSError: it cannot be written.
    """
    if event.event in STORED_EVENTS:
        with path.open("a", encoding="utf-8") as file:
            file.write(json_line(event) + "\n")


def trim(path: Path, step: int, validated: int) -> None:
    """Drop what a killed run wrote after its last checkpoint, which was at `step`, validated up to `validated`.

    Raises:
        OSError: it cannot be written.
    """
    last = {Step.event: step, Validation.event: validated}
    lines = [line for line, entry in _lines(path) if entry["step"] <= last.get(entry["event"], -1)]
    write_text(path, "".join(line + "\n" for line in lines))


def _lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    if not path.is_file():
        return
    for line in read_bytes(path).decode("utf-8", "replace").splitlines():
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(entry, dict) and "event" in entry and isinstance(entry.get("step"), int):
            yield line, entry
