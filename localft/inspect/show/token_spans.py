"""A row's tokens as spans of text, each with what it is: the template's, the user's, learned, or an end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from localft.data.reading.sources import Part
from localft.data.rows.reader import read_file
from localft.data.rows.row import USUAL_COLUMNS, Columns, Row
from localft.data.rows.sequences import chained
from localft.data.split.shuffle import shuffled
from localft.data.tokens.collector import idle_sample_start
from localft.data.tokens.run_wording import RunWording
from localft.data.tokens.tokenize import TokenizedRow
from localft.data.wording.template import describe
from localft.errors import DatasetError
from localft.model.tokenizer import Tokenizer
from localft.units import count

MOST_SHOWN = 1 << 20  # tokens of one row


@dataclass(frozen=True)
class TokenSpan:
    """One token's text, or that of several that make one character.

    Attributes:
        ids: the tokens.
        supervised: learned as a target.
        special: a special token, not characters that look like one.
        end: a special token that ends an answer.
    """

    text: str
    ids: tuple[int, ...]
    supervised: bool
    special: bool = False
    end: bool = False


@dataclass(frozen=True)
class ShownRow:
    """One row, or one part of a conversation that became several.

    Attributes:
        number: of the row among those that can be used, from 1.
        wording: how it was worded, in words.
        n_tokens, n_supervised: of all its spans.
        error: what the template said where it refused the row; then there are no spans.
    """

    source: str
    line: int
    number: int
    part: str
    wording: str
    n_tokens: int
    n_supervised: int
    spans: tuple[TokenSpan, ...]
    error: str = ""


@dataclass(frozen=True)
class Shown:
    """Rows to show, how many rows there are, and how many lines cannot be used."""

    rows: list[ShownRow]
    n_rows: int
    n_problems: int


def read_shown(
    part: Part,
    wording: RunWording,
    numbers: Sequence[int],
    n: int,
    seed: int | None,
    sample_start: str | None = None,
    columns: Columns = USUAL_COLUMNS,
) -> Shown:
    """Choose rows of one --data value and word them.

    Args:
        numbers: rows to show, from 1; empty: `n` of them.
        n: so many rows; the first ones, or with a `seed` any.
        sample_start, columns: see `read_file`.

    Raises:
        DatasetError: a file cannot be read or no row is found, or there is no such row.
    """
    path, n_problems, first, lists = part.name, 0, list[DatasetError](), list[Sequence[Row]]()
    formats = Counter[str]()

    def problem(line: int, error: DatasetError) -> None:
        nonlocal n_problems
        n_problems += 1
        first.extend([] if first else [error])

    for file, doc in zip(part.files, part.docs or [""] * len(part.files), strict=True):
        found = read_file(file, sample_start, columns, doc, problem)
        lists.append(found.rows)
        formats += found.formats
    rows = chained(lists)
    if error := idle_sample_start(sample_start, formats):
        raise error
    if not rows and first:
        raise first[0]
    if not rows:
        raise DatasetError(f"`{path}` has no row with a text or an answer", f"`localft data check {path}` says why")
    wrong = next((number for number in numbers if not 1 <= number <= len(rows)), None)
    if wrong is not None:
        raise DatasetError(f"there is no row {wrong} in `{path}`", f"it has rows 1 to {len(rows):,}")
    chosen = [number - 1 for number in numbers] or list(range(min(n, len(rows))))
    if seed is not None and not numbers:
        chosen = [int(i) for i in shuffled(len(rows), seed)[:n]]
    shown = [part for i in chosen for part in show_row(rows[i], i + 1, wording)]
    return Shown(shown, len(rows), n_problems)


def show_row(row: Row, number: int, wording: RunWording) -> Iterator[ShownRow]:
    """What a row becomes."""
    words = describe(wording.templates[row.kind])
    try:
        unit = wording.unit(row)
    except DatasetError as error:
        yield ShownRow(row.source, row.line, number, "", words, 0, 0, (), error.message)
        return
    for i, part in enumerate(unit.parts, 1):
        of = f"part {i} of {len(unit.parts)}" if len(unit.parts) > 1 else ""
        more = part.length + 1 - MOST_SHOWN
        spans = tuple(spans_of(part.cut(0, MOST_SHOWN) if more > 0 else part, wording.tokenizer))
        if more > 0:
            spans += (TokenSpan(f" … and {count(more, 'token')} more", (), False, True),)
        yield ShownRow(row.source, row.line, number, of, words, part.length + 1, part.n_supervised, spans)


def spans_of(row: TokenizedRow, tokenizer: Tokenizer) -> Iterator[TokenSpan]:
    """The tokens' texts in order; tokens that are parts of one character come together."""
    held: list[int] = []
    data = b""
    pairs = list(zip(row.tokens.tolist(), row.loss_mask.tolist(), strict=True))
    for i, (token, mask) in enumerate(pairs):
        ending, special = token in tokenizer.end_ids, tokenizer.is_special(token)
        if ending or special:
            text = tokenizer.token_text(token) or tokenizer.piece(token).decode("utf-8", "replace")
            yield TokenSpan(text, (token,), bool(mask), True, ending)
            continue
        held.append(token)
        data += tokenizer.piece(token)
        closed = i + 1 == len(pairs) or pairs[i + 1][1] != mask or tokenizer.is_special(pairs[i + 1][0])
        if closed or _is_whole(data):
            yield TokenSpan(data.decode("utf-8", "replace"), tuple(held), bool(mask))
            held, data = [], b""


def _is_whole(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.reason != "unexpected end of data"
    return True
