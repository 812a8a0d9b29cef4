"""Functions of localft that no command calls, with arguments of text."""

from __future__ import annotations

from pathlib import Path

from localft.adapter import merging, peft
from localft.adapter.file import read_adapter
from localft.model import card


def merge(adapter: str, base: str, out: str) -> None:
    merging.merge(adapter, base, out)


def to_peft(adapter: str, folder: str, base: str) -> None:
    peft.to_peft(read_adapter(adapter), folder, base)


def from_peft(folder: str, base: str) -> None:
    peft.from_peft(folder, base)


def read_card(path: str) -> None:
    card.read_card(Path(path))
