"""Rows of other kinds of training, named for what they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from localft.data.rows.turns import EMPTY
from localft.errors import DatasetError

_MEDIA = ("images", "audios", "videos")
_PLACES = {"image": "<image>", "audio": "<audio>", "video": "<video>"}


def refuse_foreign(where: str, row: Mapping[str, Any]) -> None:
    """Refuse a row that is made for another kind of training.

    Raises:
        DatasetError: it is; the hint says how what is in it can be learned.
    """
    if row.get("chosen") not in EMPTY and row.get("rejected") not in EMPTY:
        message = f'{where} is a preference: an answer that was "chosen" and one that was "rejected" (DPO)'
        chosen = row["chosen"]
        way = (
            'keep the turns of "chosen" as "messages"'
            if isinstance(chosen, list) and "prompt" not in row
            else "`--prompt-column prompt --answer-column chosen` learns the chosen answers"
        )
        raise DatasetError(message, f"one answer is learned here, not the choice between two: {way}")
    if is_tree(row):
        message = f"{where} belongs to a tree of messages, expected one conversation"
        hint = 'write each way through the tree that is to be learned as a row with "messages"'
        raise DatasetError(message, hint)
    for name in _MEDIA:
        if row.get(name) not in EMPTY:
            raise DatasetError(f'{where} has "{name}", and models are trained on text alone', _leave_out(name))


def is_tree(row: Mapping[str, Any]) -> bool:
    """OpenAssistant's trees and their messages, and ChatGPT's export."""
    prompt = row.get("prompt")
    return (
        ("message_id" in row and "parent_id" in row)
        or (isinstance(prompt, dict) and "replies" in prompt)
        or (isinstance(row.get("mapping"), dict) and "current_node" in row)
    )


def refuse_media(where: str, row: Mapping[str, Any], texts: Iterable[str]) -> None:
    """Refuse a text that says where a picture or a recording stands that the row holds.

    Raises:
        DatasetError: it does.
    """
    for name, mark in _PLACES.items():
        if row.get(name) not in EMPTY and any(mark in text for text in texts):
            message = f'{where} has "{name}" and `{mark}` in its text, and models are trained on text alone'
            raise DatasetError(message, _leave_out(name))


def _leave_out(name: str) -> str:
    return f'leave such rows out, or remove "{name}" from those that can be understood without'
