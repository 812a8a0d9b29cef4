"""Segments to tokens + loss_mask, and a long row to shorter ones."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from localft.data.rows.row import Row
from localft.data.wording.conversation import Formatter
from localft.data.wording.segments import Segment
from localft.model.tokenizer import Span, Tokenizer


@dataclass(frozen=True, eq=False)
class TokenizedRow:
    """One row as the engine will see it: n tokens are n − 1 positions, each with the next token as its target.

    Attributes:
        tokens: int32 [n].
        loss_mask: uint8 [n]; loss_mask[i] = 1 means that token i is supervised as a target. loss_mask[0] = 0.
        source, line: where the row came from.
        is_text: a text, which may be cut into windows; otherwise it has answers and may not.
    """

    tokens: NDArray[np.int32]
    loss_mask: NDArray[np.uint8]
    source: str
    line: int
    is_text: bool = False

    @property
    def length(self) -> int:
        """Positions that the row takes: one less than its tokens."""
        return int(self.tokens.size) - 1

    @cached_property
    def n_supervised(self) -> int:
        return int(self.loss_mask.sum())

    def cut(self, start: int, stop: int) -> TokenizedRow:
        """Tokens [start, stop) as a row; the first of them is no target."""
        mask = self.loss_mask[start:stop].copy()
        mask[:1] = 0
        return replace(self, tokens=self.tokens[start:stop], loss_mask=mask)


@dataclass(frozen=True, eq=False)
class Unit:
    """A row of a file and what it became: one TokenizedRow, or one per answer.

    A split never parts it, but for the tail of a long text.
    """

    row: Row
    parts: tuple[TokenizedRow, ...]

    @property
    def is_text(self) -> bool:
        return self.row.kind == "text"

    @property
    def length(self) -> int:
        """Positions of its longest part."""
        return max(part.length for part in self.parts)


@dataclass(frozen=True)
class Tokens:
    """Token ids and, aligned with them, whether each is supervised as a target."""

    ids: array[int]
    mask: bytearray


def tokenize_row(row: Row, tokenizer: Tokenizer, formatter: Formatter, *, train_on_prompt: bool) -> Unit:
    """Tokens of one row: one TokenizedRow, or one per answer where the template allows no other way.

    A text is BOS (where the model wants one), its tokens and EOS, all supervised.

    Raises:
        RenderError: the template refuses the row.
    """
    if row.kind == "text":
        return Unit(row, (_text_row(row, tokenizer),))
    parts = [encode(part, tokenizer) for part in formatter.rows(row.messages, train_on_prompt=train_on_prompt)]
    arrays = ((np.asarray(part.ids, np.int32), np.asarray(part.mask, np.uint8)) for part in parts)
    return Unit(row, tuple(TokenizedRow(ids, mask, row.source, row.line) for ids, mask in arrays))


def encode(segments: Sequence[Segment], tokenizer: Tokenizer) -> Tokens:
    """Each segment's tokens one behind the other, a single BOS in front where the model wants one.

    The tokens of a supervised segment are supervised, and with them the EOS that follows it where the template writes
    no end token.
    """
    ids, mask = array("i"), bytearray()
    for segment in segments:
        new = tokenizer.encode_array(segment.spans, prefix=not ids or tokenizer.is_special(ids[-1]))
        if segment.add_end and tokenizer.eos_id is not None:
            new.append(tokenizer.eos_id)
        ids += new
        mask += bytes([segment.supervised]) * len(new)
    return _one_bos(tokenizer, ids, mask)


def _one_bos(tokenizer: Tokenizer, ids: array[int], mask: bytearray) -> Tokens:
    """A single BOS in front where the model wants one, whether or not the template prints it."""
    bos = tokenizer.bos_id
    while len(ids) > 1 and ids[0] == ids[1] == bos:
        ids, mask = ids[1:], mask[1:]
    if tokenizer.add_bos and bos is not None and (not ids or ids[0] != bos):
        ids.insert(0, bos)
        mask.insert(0, 0)
    mask[:1] = b"\0"
    return Tokens(ids, mask)


def _text_row(row: Row, tokenizer: Tokenizer) -> TokenizedRow:
    ids = tokenizer.encode_array([Span(row.text, False)])
    if tokenizer.add_bos and tokenizer.bos_id is not None:
        ids.insert(0, tokenizer.bos_id)
    if tokenizer.eos_id is not None:
        ids.append(tokenizer.eos_id)
    mask = np.ones(len(ids), np.uint8)
    mask[:1] = 0
    return TokenizedRow(np.asarray(ids, np.int32), mask, row.source, row.line, is_text=True)


def windows(row: TokenizedRow, n_ctx: int) -> list[TokenizedRow]:
    """A long text as consecutive windows of at most `n_ctx` positions; every token stays a target exactly once.

    Each window begins with the last target of the one before it.
    """
    starts = range(0, max(row.length, 1), n_ctx)
    return [row.cut(start, start + n_ctx + 1) for start in starts]


def wrapped(rows: Sequence[TokenizedRow], n_ctx: int) -> list[TokenizedRow]:
    """Texts one behind the other as windows of `n_ctx` positions; the last may be shorter.

    A window may begin in one text and end in another, which then sees what stands before it, an end token between
    them. Each token is a target as often as without: once, the first of a text not at all.

    Args:
        rows: texts as `tokenize_row` makes them; not modified.
        n_ctx: positions per window.
    """
    starts = np.cumsum([0, *(row.tokens.size for row in rows)])
    tokens, mask = np.concatenate([row.tokens for row in rows]), np.concatenate([row.loss_mask for row in rows])
    whole = TokenizedRow(tokens, mask, rows[0].source, rows[0].line, is_text=True)
    first = np.searchsorted(starts, np.arange(0, max(whole.length, 1), n_ctx), side="right") - 1
    return [
        replace(window, source=rows[i].source, line=rows[i].line)
        for window, i in zip(windows(whole, n_ctx), first.tolist(), strict=True)
    ]
