"""Data files to text and to JSON values with their lines, and what is said about a file that is neither."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from localft.errors import DatasetError

EXPECTED = (
    'a row has "messages", "prompt" and "completion", "input" and "output", "instruction" and "output", or "text"'
)
_FOREIGN = (".csv", ".tsv", ".parquet", ".arrow", ".xlsx", ".pdf", ".docx", ".zip", ".gz", ".gguf", ".safetensors")


def read_text(path: Path) -> str:
    if path.suffix.lower() in _FOREIGN:
        hint = f"export it as .jsonl ({EXPECTED}) or as .txt"
        raise DatasetError(f"`{path}` is a {path.suffix} file, which is not read", hint)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DatasetError(
            f"no data file `{path}`", "check the path; relative paths start in the current folder"
        ) from None
    except OSError as error:
        raise DatasetError(
            f"cannot read `{path}`: {error.strerror}", "check that it is a file that you may read"
        ) from None
    hint = "save the file as UTF-8"
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise DatasetError(f"`{path}` is UTF-16, expected UTF-8", hint)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        at = error.start + (3 if data.startswith(b"\xef\xbb\xbf") else 0)
        line = data.count(b"\n", 0, at) + 1
        message = f"line {line} of `{path}` is not UTF-8: byte 0x{data[at]:02x} at offset {at}"
        raise DatasetError(message, hint) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DatasetError(f"line {line} of `{path}` holds a NUL character, expected text", hint)
    return text


def json_values(path: Path, text: str) -> Iterator[tuple[int, Any]]:
    """Each value with the line that it starts on: of one array, or of one line each."""
    if text.lstrip()[:1] == "[":
        yield from _array_values(path, text)
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError) as error:
                raise _not_json(path, number, text, error) from None


def _not_json(path: Path, number: int, text: str, error: Exception) -> DatasetError:
    hint = "each line of the file must be one JSON object on its own, or the whole file one JSON array"
    try:
        if number == 1 and isinstance(json.loads(text), dict):
            hint = "the file is one JSON object over several lines: put the rows on a line each, or in one array"
    except (ValueError, RecursionError):
        pass
    reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
    if isinstance(error, json.JSONDecodeError):
        reason = f"{error.msg} at column {error.colno}"
    return DatasetError(f"line {number} of `{path}` is not JSON: {reason}", hint)


def _array_values(path: Path, text: str) -> Iterator[tuple[int, Any]]:
    decoder = json.JSONDecoder()
    at, line, seen = text.index("[") + 1, 1, 0
    expect_value = False
    while True:
        while at < len(text) and text[at] in " \t\r\n":
            at += 1
        line, seen = line + text.count("\n", seen, at), at
        if text[at : at + 1] == "]" and not expect_value:
            break
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            where = error.lineno if isinstance(error, json.JSONDecodeError) else line
            raise _not_json(path, where, "", error) from None
        yield line, value
        while at < len(text) and text[at] in " \t\r\n":
            at += 1
        if text[at : at + 1] not in (",", "]") or (text[at] == "]" and text[at + 1 :].strip()):
            where = text.count("\n", 0, at) + 1
            raise DatasetError(f"line {where} of `{path}` breaks its JSON array: expected `,` or the closing `]`")
        expect_value = text[at] == ","
        if not expect_value:
            break
        at += 1
