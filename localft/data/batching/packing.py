"""Which rows share a sequence."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from heapq import heappop, heappush

from localft.data.reading.data_file import place
from localft.data.tokens.tokenize import TokenizedRow
from localft.errors import DatasetError

RowIndices = tuple[int, ...]


def pack(rows: Sequence[TokenizedRow], n_ctx: int) -> list[RowIndices]:
    """Row indices in sequences of at most `n_ctx` positions: the longest row first, each where it fits best.

    Rows keep their own positions and never attend to each other (`MicroBatch.row_starts`). Now and then rows as they
    stand, each in the first sequence with room for it, need fewer sequences; then that is what they get.

    Raises:
        DatasetError: a row is longer than `n_ctx`.
    """
    lengths = [row.length for row in rows]
    for row, length in zip(rows, lengths, strict=True):
        if length > n_ctx:
            raise DatasetError(
                f"{place(row.source, row.line)} takes {length} positions, n_ctx is {n_ctx}", "give a larger --ctx"
            )
    packed = _best_fit(sorted(range(len(rows)), key=lambda i: -lengths[i]), lengths, n_ctx)
    if len(packed) * n_ctx - sum(lengths) < n_ctx:
        return packed
    plain = _first_fit(lengths, n_ctx)
    return plain if len(plain) < len(packed) else packed


def _best_fit(order: Sequence[int], lengths: Sequence[int], n_ctx: int) -> list[RowIndices]:
    """Each row into the sequence that it leaves the least room in; of equal ones the first."""
    sequences: list[list[int]] = []
    with_room: dict[int, list[int]] = {}  # positions left → heap of sequences
    rooms: list[int] = []  # keys of with_room, ascending
    for i in order:
        at = bisect_left(rooms, lengths[i])
        if at == len(rooms):
            left, best = n_ctx, len(sequences)
            sequences.append([])
        else:
            left = rooms[at]
            best = heappop(with_room[left])
            if not with_room[left]:
                del with_room[left], rooms[at]
        sequences[best].append(i)
        left -= lengths[i]
        if left not in with_room:
            with_room[left] = []
            insort(rooms, left)
        heappush(with_room[left], best)
    return [tuple(indices) for indices in sequences]


def _first_fit(lengths: Sequence[int], n_ctx: int) -> list[RowIndices]:
    """Each row into the first sequence that has room for it, found in a tree of the most room on either side."""
    n_leaf = 1 << max(len(lengths) - 1, 0).bit_length()
    most = [n_ctx] * (2 * n_leaf)
    sequences: list[list[int]] = [[] for _ in lengths]
    for i, length in enumerate(lengths):
        node = 1
        while node < n_leaf:
            node *= 2
            node += most[node] < length
        sequences[node - n_leaf].append(i)
        most[node] -= length
        while node > 1:
            node //= 2
            most[node] = max(most[2 * node], most[2 * node + 1])
    return [tuple(indices) for indices in sequences if indices]
