"""What a model answered, wherever it runs."""

from __future__ import annotations

from typing import NamedTuple


class Reply(NamedTuple):
    """What a model wrote, and the tokens of prompt and reply; None where the server does not count them."""

    text: str
    n_prompt: int | None
    n_completion: int | None
