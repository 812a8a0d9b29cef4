"""No text, however odd, takes more time than its length is worth: twice as long, about twice the time."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path

import vocabs
from odd_texts import odd_texts

from localft.addresses import without_secrets
from localft.chat.text_stream import TextStream
from localft.curation.chunking.chunks import Splitter
from localft.curation.chunking.html import to_markdown
from localft.curation.chunking.layout import lay_out
from localft.curation.chunking.outline import front_matter
from localft.curation.document import Document, Layout, to_lines
from localft.curation.file_rules import Globs, reason_by_content
from localft.curation.github.parts import split
from localft.curation.github.people import prose
from localft.curation.github.saved import scan
from localft.curation.github.sections import Section
from localft.curation.masking import Mask
from localft.curation.redaction import redact_text
from localft.curation.repository import history
from localft.curation.repository.source import Source
from localft.curation.synthetic.filter import PairFilter, needs_text
from localft.curation.synthetic.has_content import has_content
from localft.curation.synthetic.model.prompt import read_pairs
from localft.curation.synthetic.source_documents import Passage, SourceDocument
from localft.curation.synthetic.support import Support
from localft.curation.synthetic.templates.templates import questions
from localft.curation.text_length import Measure, estimate
from localft.data.rows.documents import number_documents
from localft.data.rows.normal_form import letters, normal
from localft.data.rows.reader import read_file
from localft.data.rows.row import Message, Row
from localft.data.split.find_leaks import find_leaks
from localft.data.tokens.run_wording import RunWording
from localft.errors import DatasetError, LocalftError
from localft.inspect.check.content import look_at_rows
from localft.inspect.show.page import page
from localft.inspect.show.token_spans import show_row
from localft.visible import Speech, one_line, readable, spoken, visible

Read = Callable[[str], object]

SHORT, DOUBLINGS, MOST = 400, 4, 3.0
QUICK = 0.01  # seconds of CPU that are not worth a closer look
MEASURE = Measure(estimate, 1, 64, "", False)


def chunked(layout: Layout, form: str = "") -> Read:
    def read(text: str) -> None:
        document = Document("d", {"kind": "file"}, "p", "File: p", layout, to_lines(text), form)
        list(lay_out(document, document.lines, Splitter(MEASURE)))

    return read


def of_history(text: str) -> None:
    mark, lines = b"n" * 40, text.encode()
    head = mark + b"\n0123\n2025-01-01\n"
    stream = io.BytesIO(head + lines + b"\n" + mark + b"\ndiff --git a/a b/a\n" + lines + b"\n" + head + mark + b"\n")
    source = Source("x", "x", Path())
    for commit in history._read(stream, mark, Globs(), frozenset(), 1 << 20):
        history._document(commit, source)


def asked(kind: str) -> Read:
    """Questions about a document of two rows, and of a row for each line."""

    def read(text: str) -> None:
        about = {"kind": kind, "path": "a.py", "number": 1, "repository": "a", "revision": "ab"}
        for parts in ([text[: len(text) // 2], text[len(text) // 2 :]], text.split("\n")[:2000]):
            rows = [Passage(part, "a:b", {**about, "lines": [i, i], "heading": [part]}) for i, part in enumerate(parts)]
            list(questions(SourceDocument("a:b", kind, rows)))

    return read


def rows_of(text: str) -> list[Row]:
    turns = (Message("user", text), Message("assistant", text))
    return [Row("text", "x", 1, text, doc="d"), Row("messages", "x", 2, messages=turns, doc="d")]


def leaks(text: str) -> None:
    find_leaks([Row("text", "x", 1, f"{text}z"), Row("text", "x", 3, text[1:])], rows_of(text[:-1]))


def streamed(text: str) -> None:
    words, stream = Speech(), TextStream(("</s>", "\n\n\n", "aaaaaaab"))
    for at in range(0, len(text), 5):
        words.feed(stream.feed(text[at : at + 5].encode()))


def of_file(folder: Path, suffix: str, written: Callable[[str], str] = str, sample_start: str | None = None) -> Read:
    path = folder / f"x{suffix}"

    def read(text: str) -> None:
        path.write_text(written(text), encoding="utf-8")
        read_file(path, sample_start)

    return read


def readers(folder: Path) -> dict[str, Read]:
    """Everything that takes a text."""
    wording = RunWording(vocabs.bpe(folder, template=vocabs.CHATML), None, False, "2026-01-01", False)
    mask = Mask('a%25&"sk-secret-aaaa', "[key]")
    lines = {"lines of jsonl": lambda text: "".join(json.dumps({"text": each}) + "\n" for each in text.split("\n"))}
    return {
        **{f"{layout} in chunks": chunked(layout) for layout in ("code", "text", "diff")},
        **{f"page of {form}": chunked("page", form) for form in ("markdown", "rst")},
        "front matter": front_matter,
        "html": to_markdown,
        "history": of_history,
        "secrets": redact_text,
        "secrets of a diff": lambda text: redact_text(text, True),
        "file rules": lambda text: reason_by_content("a.py", text.encode(), ()),
        "prose": lambda text: prose(text, {"a": "author"}, False),
        "parts": lambda text: split(
            [Section("T", "x", "d"), Section("h", text, "n"), Section("p", text, "n", True)], MEASURE
        ),
        "saved JSON": lambda text: list(scan(Path("x"), text)),
        "mask": mask.text,
        "has content": has_content,
        "pairs": lambda text: (PairFilter().keep(text, f"{text}a"), needs_text(text), Support(text).of(text)),
        **{f"questions about a {kind}": asked(kind) for kind in ("file", "page", "commit", "pull_request")},
        "a model's reply": read_pairs,
        "normal form": lambda text: letters(normal(text)),
        **{f"a {suffix} file": of_file(folder, suffix) for suffix in (".txt", ".jsonl", ".json", ".csv")},
        "a text in samples": of_file(folder, ".txt", sample_start="a"),
        "lines of jsonl": of_file(folder, ".jsonl", lines["lines of jsonl"]),
        "lines of csv": of_file(folder, ".csv", lambda text: f"text\n{text}"),
        "data check": lambda text: look_at_rows(rows_of(text), "train"),
        "leakage": leaks,
        "documents": lambda text: number_documents(rows_of(text)),
        # a token is a letter here, and each is asked for by itself
        "data show": lambda text: page(
            "t", [], [r for row in rows_of(text[: len(text) // 8]) for r in show_row(row, 1, wording)]
        ),
        "an error": lambda text: DatasetError(text, text),
        "addresses": without_secrets,
        "what is shown": lambda text: (visible(text), readable(text), spoken(text), one_line(text)),
        "a stream": streamed,
    }


def seconds(read: Read, text: str) -> float:
    """CPU seconds, whether it is read or refused."""
    before = time.process_time()
    with contextlib.suppress(LocalftError, ValueError):
        read(text)
    return time.process_time() - before


def steepest(read: Read, make: Callable[[int], str]) -> float:
    """The largest ratio of two times of which the second is for a text twice as long; best of three each."""
    times = [min(seconds(read, make(SHORT << i)) for _ in range(3)) for i in range(DOUBLINGS + 1)]
    return max(after / max(before, QUICK / 4) for before, after in itertools.pairwise(times))


def is_linear(read: Read, make: Callable[[int], str]) -> bool:
    """Whether a text that is 16 times as long takes about 16 times as long; looked at closely where it seems not."""
    before, after = (seconds(read, make(SHORT << i)) for i in (0, DOUBLINGS))
    return after < QUICK or after < 1.5 * 2**DOUBLINGS * before or steepest(read, make) < MOST


def test_twice_as_long_a_text_takes_twice_the_time(tmp_path: Path) -> None:
    for name, read in readers(tmp_path).items():
        seconds(read, "warm up\n")  # what is loaded or compiled once
        slow = [text for text, make in odd_texts() if not is_linear(read, make)]
        assert (name, slow) == (name, [])
