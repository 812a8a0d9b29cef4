"""Words of chat templates that stand in a row's own text, where they are plain characters to the model."""

from __future__ import annotations

import re

from localft.data.rows.row import BUILT_KINDS, Row

_MARKUP = re.compile(
    r"<\|(?:im_start|im_end|user|assistant|system|endoftext|eot_id|start_header_id|end_of_text|end)\|>"
    r"|\[/?INST\]|<</?SYS>>|</s>|<(?:start|end)_of_turn>|^### (?:Instruction|Response):",
    re.MULTILINE,
)


def typed_markup(row: Row) -> str:
    """The first such word of a row, "" where there is none; a row that quotes a repository may hold what it likes."""
    if row.source_kind in BUILT_KINDS:
        return ""
    found = (_MARKUP.search(text) for text in (row.text, *(turn.content for turn in row.messages)))
    return next((match[0] for match in found if match), "")
