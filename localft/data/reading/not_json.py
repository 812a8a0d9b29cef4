"""What is said about JSON that is none, and about JSON that is not laid out as rows."""

from __future__ import annotations

import json
import shlex
from contextlib import closing
from pathlib import Path

from localft.data.reading.data_file import read_chunks
from localft.errors import DatasetError
from localft.kinds.file_kind import HEAD
from localft.kinds.text_kind import TextForm, holder_key, text_form

_A_LINE_EACH = "each line of the file must be one JSON object on its own, or the whole file one JSON array"
_PYTHON = "JSON has keys and texts in double quotes; Python writes such lines with `json.dumps(row)`"
_COMMA = "remove the comma: none stands before a closing bracket"
_BREAK = r"a text ends on the line that it begins on: a line break in it is written \n, a tab \t"


def not_json(path: Path, number: int, error: Exception, *, in_array: bool = False) -> DatasetError:
    """What to say about a line that is no JSON.

    Args:
        in_array: it is one of an array, where a value may go on in the next line.
    """
    reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
    hint = _A_LINE_EACH
    if isinstance(error, json.JSONDecodeError):
        reason = f"{error.msg} at column {error.colno}"
        hint = _way_out(error, in_array) or hint
    return DatasetError(f"line {number} of `{path}` is not JSON: {reason}", hint)


def _way_out(error: json.JSONDecodeError, in_array: bool) -> str:
    """What to do about a mistake, by what stands where it was noticed."""
    here, before = error.doc[error.pos :].lstrip(), error.doc[: error.pos].rstrip()
    if error.msg.startswith(("Unterminated string", "Invalid control character")):
        return _BREAK
    if error.msg.startswith("Invalid \\"):
        return r"a backslash is written twice, \\, where it begins none of \n, \t, \", \\ and \u1234"
    if error.msg == "Extra data":
        if here[:1] == ",":
            return "remove the commas between the lines, or put the whole into `[` and `]`"
        return "put each object on a line of its own" if here[:1] == "{" else ""
    closes = here[:1] in ("}", "]") and (in_array or before[-1:] == ",")
    if closes or "trailing comma" in error.msg:
        return _COMMA
    if not here:
        whole = "an object goes on in the next line: `jq -c . FILE > rows.jsonl` puts each on a line of its own"
        return "the file ends in the middle: copy or download it again" if in_array else whole
    if here[0] in "/#":
        return "JSON has no comments: remove them"
    if here[0] == "'" or here.startswith(("None", "True", "False")) or "double quotes" in error.msg:
        return _PYTHON
    if not in_array and not before and error.lineno == 1 and here[0] not in "{[":
        return "rows are JSON objects; a table is named .csv or .tsv, a text .txt"
    return ""


def no_rows(path: Path) -> DatasetError | None:
    """What to say about a file whose JSON is not laid out as lines or an array of rows; None for one that may be.

    Raises:
        DatasetError: see `read_chunks`.
    """
    with closing(read_chunks(path, HEAD)) as chunks:
        start = next(chunks, b"")
    text = start.decode("utf-8", "replace")
    form, name = text_form(text, whole=len(start) < HEAD), shlex.quote(path.name)
    if form is TextForm.HOLDER:
        key = holder_key(text)
        hint = f"`jq -c '.{key}[]' {name} > rows.jsonl` writes them as JSON lines"
        return DatasetError(f'`{path}` is one JSON object that holds its rows under "{key}"', hint)
    if form is TextForm.NOTEBOOK:
        hint = "`jupyter nbconvert --to markdown` makes a text of it"
        return DatasetError(f"`{path}` is a Jupyter notebook, which is not read", hint)
    if form is TextForm.SPREAD:
        hint = f"`jq -c . {name} > rows.jsonl` puts each on a line of its own; or put them into one array"
        return DatasetError(f"line 1 of `{path}` is not JSON: an object goes on over several lines", hint)
    return None
