"""What rows and turns say about whether they are learned: weights, and flags by their names in other trainers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from localft.data.reading.data_file import name_of
from localft.errors import DatasetError

WEIGHT = "weight"
# true: learned; `masked` says the opposite
_FLAGS = ("train", "trainable", "training", "loss")
_MASKED = "masked"
_IN_PARTS = "train_detail"
TURN_FLAGS = (WEIGHT, *_FLAGS, _MASKED, _IN_PARTS)
_ROW_FLAGS = _FLAGS[:2]


def is_trained(where: str, turn: Mapping[str, Any], role: str) -> bool:
    """Whether a turn is learned, as far as it says so itself; answers are, the others never.

    Raises:
        DatasetError: a value that is no flag, or a turn that is no answer and wants to be learned.
    """
    if not any(name in turn for name in TURN_FLAGS):
        return True
    if turn.get(_IN_PARTS):
        message = f'{where} has "{_IN_PARTS}", and an answer is learned as a whole or not at all'
        raise DatasetError(message, 'give the whole turn "train": true or false')
    found = {name: _flag(where, name, turn[name]) for name in TURN_FLAGS[:-1] if turn.get(name) is not None}
    if role != "assistant":
        name = next((name for name, yes in found.items() if yes), "")
        if name:
            message = f'{where} has "{name}": {_shown(turn[name])}, and only answers are learned'
            hint = "give it to answers alone; --train-on-prompt learns the prompts of all rows"
            raise DatasetError(message, hint)
        return True
    return all(found.values())


def row_flags(where: str, row: Mapping[str, Any], *, asked: bool) -> dict[str, bool]:
    """Whether a row is learned, by each key with which it says so. A text, as tables have it, is no flag.

    Args:
        asked: it is a question with its answer, beside which a boolean "label" is KTO's.

    Raises:
        DatasetError: a weight other than 0 and 1, or an answer that is not to be given.
    """
    found = {name: row[name] for name in _ROW_FLAGS if isinstance(row.get(name), bool)}
    if isinstance(row.get(WEIGHT), (int, float)):
        found[WEIGHT] = _flag(where, WEIGHT, row[WEIGHT])
    if asked and isinstance(row.get("label"), bool):
        if not row["label"]:
            message = f'{where} has "label": false, which is an answer that is not to be given (KTO)'
            raise DatasetError(message, "leave such rows out: answers are learned here, never unlearned")
        found["label"] = True
    return found


def _flag(where: str, name: str, value: Any) -> bool:
    if isinstance(value, (bool, int, float)) and value in (0, 1):
        return bool(value) != (name == _MASKED)
    if isinstance(value, (int, float)):
        hint = "1 is learned, 0 is only read; --data FILE:2 gives all rows of a file twice the weight"
        raise DatasetError(f'{where} has "{name}": {value}, expected 0 or 1', hint)
    raise DatasetError(f'{where} has "{name}" that is {name_of(value)}, expected true or false', "or remove it")


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
