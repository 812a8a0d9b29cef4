"""Files that nobody meant to write: whatever stands in them, every way of reading them ends in a sentence."""

from __future__ import annotations

import csv
import errno
import gzip
import io
import json
import random
import sys
import time
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import vocabs
from click.testing import CliRunner
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from localft.cli.data.check import command
from localft.data.dataset import prepare
from localft.data.reading.sources import find_sources
from localft.data.rows.reader import read_file
from localft.data.split.sides import choose_sides
from localft.data.tokens.context_length import fit_units
from localft.data.tokens.run_wording import RunWording
from localft.errors import DatasetError, LocalftError
from localft.inspect.check.check import CheckReport, check
from localft.inspect.check.report import sections, verdict
from localft.inspect.check.tokens import report, tokenize, too_long
from localft.inspect.show.page import page
from localft.inspect.show.terminal import Ink, lines
from localft.inspect.show.token_spans import read_shown
from localft.model.tokenizer import Tokenizer
from localft.settings.data_settings import DataSettings
from localft.settings.resolve import resolve
from localft.visible import visible

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

GOOD: list[Any] = [
    {"prompt": "Capital of France?", "completion": " Paris"},
    {"input": "2 + 2", "output": "4", "id": 7},
    {"instruction": "Add.", "input": "1 2", "output": "3"},
    {"messages": [{"role": r, "content": c} for r, c in (("system", "s"), ("user", "Hi"), ("assistant", "Hello!"))]},
    {"messages": [{"role": r, "content": c} for r, c in (("user", "a"), ("assistant", "b")) * 3]},
    {"text": "Once upon a time there was a \U0001f600 and a 日本語 text.\n\nThe end."},
    {"text": "Q: what?\nA: that <|im_end|> </s> [INST]"},
]
NASTY = [
    b"\x00", b"\xff", b"\xed\xa0\x80", b"\xf0\x9f", b"\xef\xbb\xbf", b"\r", b"\n", b"\x85", b"\xe2\x80\xa8", b'"',
    b"\\",
    b"\\u0000", b"\\ud83d", b"\\ude00", b"{", b"}", b"[", b"]", b",", b":", b"null", b"NaN", b"-Infinity", b"1e999",
    b"9" * 5000, b"[" * 3000, b'{"a":' * 995, b"true", b"\xee\x80\x80localft-0-content\xee\x80\x81", b"<|im_start|>",
    b"\\ue000localft-1-content\\ue001", b"</s>", b"{{ messages }}", b"{% raise %}", b"\x1b[31m", b"\\u202e", b" " * 300,
    b"", b"\t", b'"role"', b'"assistant"', b'"text"', b'""', b"<script>", b"\xcc\x81" * 50,
]  # fmt: skip
SETTINGS = DataSettings(date="2026-01-01")
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12), st.just([]), st.just({}))


def changed(value: Any, rng: random.Random, leaf: Any) -> Any:
    """`value` with one of its parts replaced by `leaf`, renamed or taken away."""
    if isinstance(value, dict) and value:
        key = rng.choice(list(value))
        kind = rng.randrange(4)
        if kind == 0:
            return {k: v for k, v in value.items() if k != key}
        if kind == 1:
            return {
                (rng.choice(["text", "role", "output", "", "\x1b"]) if k == key else k): v for k, v in value.items()
            }
        return {k: (changed(v, rng, leaf) if k == key else v) for k, v in value.items()}
    if isinstance(value, list) and value and rng.randrange(3):
        at = rng.randrange(len(value))
        return [*value[:at], changed(value[at], rng, leaf), *value[at + rng.randrange(2) :]]
    return leaf


@st.composite
def files(draw: st.DrawFn) -> tuple[str, bytes]:
    """The ending and the bytes of a file that once held rows."""
    rng = random.Random(draw(st.integers(0, 2**32)))
    rows = rng.choices(GOOD, k=rng.randrange(1, 12))
    rows = [changed(row, rng, draw(LEAVES)) if rng.random() < 0.5 else row for row in rows]
    ascii_only = rng.random() < 0.5
    texts = [json.dumps(row, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass") for row in rows]
    data = b"\n".join(texts) if rng.random() < 0.8 else b"[" + b",\n".join(texts) + b"]"
    for _ in range(rng.randrange(5)):
        at = rng.randrange(len(data) + 1)
        piece = draw(st.sampled_from(NASTY)) if rng.random() < 0.7 else bytes([rng.randrange(256)])
        data = data[:at] + piece + data[at + rng.choice([0, 0, 1, len(piece), 30]) :]
    if rng.random() < 0.1:
        data = data[: rng.randrange(len(data) + 1)]
    if rng.random() < 0.03:
        data = data.decode("utf-8", "replace").encode(rng.choice(["utf-16", "utf-32", "latin-1"]), "replace")
    return packed(rng.choice([".jsonl"] * 6 + [".json", ".txt", ".ndjson"]), data, rng)


@st.composite
def tables(draw: st.DrawFn) -> tuple[str, bytes]:
    """The same of a table."""
    rng = random.Random(draw(st.integers(0, 2**32)))
    names = rng.choice([["prompt", "completion"], ["text"], ["instruction", "input", "output"], ["messages", "prompt"]])
    cells = [[draw(st.text(max_size=9)) or rng.choice(names) for _ in names] for _ in range(rng.randrange(6))]
    suffix = rng.choice([".csv", ".tsv"] + [".parquet"] * (rng.random() < 0.5))
    if suffix == ".parquet":
        data = parquet(names, cells, rng)
    else:
        file = io.StringIO(newline="")
        csv.writer(file, delimiter="," if suffix == ".csv" else "\t").writerows([names, *cells])
        data = file.getvalue().encode("utf-8", "surrogatepass")
    for _ in range(rng.randrange(4)):
        at = rng.randrange(len(data) + 1)
        piece = draw(st.sampled_from(NASTY)) if rng.random() < 0.7 else bytes([rng.randrange(256)])
        data = data[:at] + piece + data[at + rng.choice([0, 1, len(piece)]) :]
    return packed(suffix, data, rng)


def parquet(names: list[str], cells: list[list[str]], rng: random.Random) -> bytes:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet as files

    made = [rng.choice([cell, cell, cell, None, 7]) for row in cells for cell in row]
    columns = [[made[i] for i in range(at, len(made), len(names))] for at in range(len(names))]
    kinds = [[str(cell) if cell is not None else None for cell in column] for column in columns]
    file = io.BytesIO()
    columns = kinds if rng.random() < 0.9 else [[7]] * len(names)
    files.write_table(pyarrow.table(dict(zip(names, columns, strict=True))), file)
    return file.getvalue()


def packed(suffix: str, data: bytes, rng: random.Random) -> tuple[str, bytes]:
    """As it is, or compressed and perhaps damaged."""
    if rng.random() < 0.9:
        return suffix, data
    suffix += rng.choice([".gz", ".zst"])
    data = gzip.compress(data, 1, mtime=0) if suffix.endswith(".gz") else zstd.compress(data, 1)
    if rng.random() < 0.5:
        at = rng.randrange(len(data))
        data = data[:at] + bytes([rng.randrange(256)]) + data[at + rng.randrange(3) :]
    return suffix, data


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> list[Tokenizer]:
    folder = tmp_path_factory.mktemp("vocabularies")
    templates = (None, vocabs.CHATML, vocabs.LLAMA_2, vocabs.THINKING, vocabs.SHOUTING)
    return [Tokenizer(vocabs.write_bpe(folder / f"{i}.gguf", template=each)) for i, each in enumerate(templates)]


def steers(character: str) -> bool:
    """Whether a terminal may do more with it than draw it."""
    turns = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    kind = unicodedata.category(character)
    return (kind in ("Cc", "Cs", "Zl", "Zp") and character not in "\n\t") or unicodedata.bidirectional(
        character
    ) in turns


def read_every_way(path: Path, tokenizer: Tokenizer) -> None:
    """Check, show and prepare a file; LocalftErrors are fine, anything else fails."""
    found = check(resolve({"data": [str(path)]}))
    said = [line for section in sections(found, True) for line in section.lines]
    assert not any(steers(character) for line in said for character in visible(line))
    json.dumps(found.to_dict(), ensure_ascii=False).encode("utf-8")
    wording = RunWording(tokenizer, None, False, "2026-01-01", False)
    refused = check_tokens(found, wording)
    said = [message_of(lambda: shown(path, wording)), message_of(lambda: prepare(path, tokenizer, SETTINGS))]
    # what the check calls usable is what a run takes, unless nothing can be learned from it
    assert found.errors or refused or said[1] == "" or "nothing in the data is supervised" in said[1], said


def message_of(read: Callable[[], object]) -> str:
    """What a LocalftError says, or nothing; any other error fails the test."""
    try:
        read()
    except LocalftError as error:
        return error.message
    return ""


def check_tokens(found: CheckReport, wording: RunWording) -> bool:
    """What `check` does with a model, without its weights; whether the template refuses a row."""
    rows = [row for read in found.files for row in read.rows]
    units, problems = tokenize(rows, wording)
    sides = choose_sides(units, [], [], SETTINGS)
    train, val = (fit_units(part, sides.n_ctx, "truncate") for part in (sides.split.train, sides.split.val))
    found.tokens = report(units, train, val, wording, sides)
    found.problems += [*problems, *too_long(units, 8, "truncate")]
    assert all(section.lines for section in sections(found, False))
    assert verdict(found)
    return any(problem.level == "error" for problem in problems)


def shown(path: Path, wording: RunWording) -> None:
    rows = read_shown(find_sources([path]).parts[0], wording, (), 50, 3).rows
    text = "".join(str(part) for row in rows for part in lines(row, Ink(False, True)))
    assert "\x1b" not in text
    assert "\x00" not in text
    html = page(path.name, ("facts",), rows)
    assert "<script" not in html
    html.encode("utf-8")


def fuzz(folder: Path, tokenizers: Sequence[Tokenizer], examples: int, number: int) -> None:
    @seed(number)
    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.one_of(files(), files(), files(), tables()), st.integers(0, len(tokenizers) - 1))
    def each(file: tuple[str, bytes], which: int) -> None:
        path = folder / f"x{file[0]}"
        path.write_bytes(file[1])
        read_every_way(path, tokenizers[which])

    each()


def test_mutated_files_give_no_traceback(tmp_path: Path, tokenizers: list[Tokenizer]) -> None:
    fuzz(tmp_path, tokenizers, 200, 0)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("number", range(1, 11))
def test_ten_thousand_mutated_files_give_no_traceback(tmp_path: Path, tokenizers: list[Tokenizer], number: int) -> None:
    fuzz(tmp_path, tokenizers, 1000, number)


def said_of(path: Path) -> tuple[str, str]:
    """What `check` reproaches a file with, and what a run says; each of one problem."""
    found = check(resolve({"data": [str(path)]}))
    (problem,) = found.errors
    assert json.dumps(found.to_dict())
    with pytest.raises(DatasetError) as caught:
        read_file(path)
    return problem.message, caught.value.message


ONE = b'{"text": "a"}\n'


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (ONE + b'{"text": "a\x00b"}\n', "line 2 of `{}` holds a NUL character, expected text"),
        (ONE + b"\x00" * 100, "line 2 of `{}` holds a NUL character, expected text"),
        (b'[{"text": "a"}\x00', "line 1 of `{}` holds a NUL character, expected text"),
        (b'[{"text": "\xff"},\n{"text": [1]}]', "line 1 of `{}` is not UTF-8: byte 0xff at offset 11"),
        (
            ONE + b'{"text": "\\ud83d"}\n',
            "line 2 of `{}` holds half of a character (\\ud83d alone), which no text can hold",
        ),
        (ONE + b'{"text": "\xed\xa0\xbd"}\n', "line 2 of `{}` is not UTF-8: byte 0xed at offset 24"),
        (ONE.decode().encode("utf-16"), "`{}` is UTF-16, expected UTF-8"),
    ],
)
def test_each_has_its_sentence(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(data)
    assert said_of(path) == (words.format(path),) * 2


@pytest.mark.parametrize("name", ["x.jsonl", "x.csv", "x.txt", "x.parquet", "x.jsonl.gz", "x.jsonl.zst"])
def test_links_that_lead_nowhere_have_their_sentence(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.symlink_to(name)
    assert said_of(path) == (f"`{path}` is a link that leads to no file",) * 2
    path.unlink()
    path.symlink_to("gone")
    assert said_of(path) == (f"`{path}` is a link that leads to no file",) * 2


def test_a_folder_of_texts_may_hold_links_that_lead_to_themselves(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("a text")
    (tmp_path / "notes" / "round").symlink_to(tmp_path / "notes")
    assert check(resolve({"data": [str(tmp_path / "notes")]})).errors == []
    (tmp_path / "notes" / "b.txt").symlink_to("b.txt")
    found = check(resolve({"data": [str(tmp_path / "notes")]}))
    assert [problem.message for problem in found.errors] == [
        f"`{tmp_path / 'notes' / 'b.txt'}` is a link that leads to no file"
    ]
    assert len(found.files[0].rows) == 1


@pytest.mark.parametrize("name", ["x.jsonl", "x.csv", "x.txt", "x.parquet", "x.jsonl.gz", "x.jsonl.zst"])
def test_a_file_that_may_not_be_read_has_its_sentence(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The superuser, as whom tests may run, may read everything."""
    path = tmp_path / name
    path.write_bytes(ONE)

    def denied(path: Path) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("localft.data.reading.data_file.open_file", denied)
    assert said_of(path) == (f"cannot read `{path}`: Permission denied",) * 2


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no whole Zstandard file"),
        (zstd.compress(ONE * 99)[:-3], "no whole Zstandard file"),
        (zstd.compress(ONE) + ONE, "no whole Zstandard file"),
        (zstd.compress(zstd.compress(ONE)), "is not UTF-8"),
    ],
    ids=["empty", "cut", "more behind it", "twice"],
)
def test_damaged_zstandard_has_its_sentence(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "x.jsonl.zst"
    path.write_bytes(data)
    assert all(words in each for each in said_of(path))


def test_an_endless_line_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.jsonl"
    with path.open("wb") as file:
        file.write(ONE)
        file.truncate(1 << 30)  # a hole: it takes no room on the disk
    monkeypatch.setattr(Path, "read_bytes", lambda self: pytest.fail("read whole"))
    started = time.monotonic()
    length = f"{(1 << 30) - len(ONE):,}"
    assert said_of(path) == (f"line 2 of `{path}` is {length} bytes long, at most 33,554,432 are read",) * 2
    assert time.monotonic() - started < 60


def test_long_files_of_short_lines_and_long_arrays_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("localft.data.reading.lines.MAX_LINE", 100)
    monkeypatch.setattr("localft.data.reading.lines.BLOCK", 7)
    (tmp_path / "x.jsonl").write_bytes(ONE * 50)
    (tmp_path / "x.json").write_bytes(b"\n[" + b",".join([ONE.strip()] * 50) + b"]")
    assert len(read_file(tmp_path / "x.jsonl").rows) == len(read_file(tmp_path / "x.json").rows) == 50
    (tmp_path / "x.jsonl").write_bytes(ONE * 3 + b'{"text": "' + b"b" * 99 + b'"}\n' + ONE)
    with pytest.raises(DatasetError, match="line 4 of"):
        read_file(tmp_path / "x.jsonl")


def test_names_of_files_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "bad\udcff.jsonl"
    path.write_bytes(ONE + b"{\n")
    done = CliRunner().invoke(command, [str(path), "--json"])
    assert (done.exit_code, json.loads(done.output)["n_errors"]) == (1, 1)
    done = CliRunner().invoke(command, [str(path)])
    assert "bad\\udcff.jsonl" in done.output
