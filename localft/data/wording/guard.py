"""Messages that a template rewrites in its own way, and that all the same give no special token."""

from __future__ import annotations

import re
from collections.abc import Sequence

from localft.data.wording.placeholders import Key, placeholder
from localft.data.wording.segments import fill_in
from localft.data.wording.turns import Turn
from localft.model.tokenizer import Tokenizer

_TAGS = ("<think>", "</think>")


class Guard:
    """Puts a placeholder for every character of a message with which a control token could begin.

    What is rendered then shows which control tokens are the template's own, whatever it does with the messages.

    Args:
        tokenizer: its vocabulary says what a control token is.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        controls = tokenizer.control_texts
        self._characters = sorted({text[0] for text in controls})
        self.table: dict[Key, str] = {(n, "mark"): character for n, character in enumerate(self._characters)}
        # a template that drops reasoning has to find it
        left = [tag for tag in _TAGS if tag not in controls]
        first = "".join(map(re.escape, self._characters))
        ahead = "".join(f"(?!{tag})" for tag in left)
        self._pattern = re.compile(f"{ahead}[{first}]" if first else r"(?!)")

    def turns(self, turns: Sequence[Turn]) -> list[Turn]:
        """The same with placeholders."""
        return [
            turn._replace(
                content=self._text(turn.content), input=self._text(turn.input), reasoning=self._text(turn.reasoning)
            )
            for turn in turns
        ]

    def _text(self, text: str) -> str:
        return self._pattern.sub(lambda match: placeholder(self._characters.index(match[0]), "mark"), text)

    def fits(self, text: str, real: str) -> bool:
        """Whether the template does the same to messages with placeholders as to those without."""
        return fill_in(text, self.table) == real
