"""Files that nobody meant to write: whatever stands in them, every way of reading them ends in a sentence."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import vocabs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from localft.data.check.checking import CheckReport, CheckSettings, check
from localft.data.check.tokens import report, tokenize, too_long
from localft.data.check.words import sections, verdict
from localft.data.dataset import DataSettings, prepare
from localft.data.fit import choose_n_ctx, fit_units
from localft.data.show.page import page
from localft.data.show.pieces import read_shown
from localft.data.show.terminal import Ink, lines
from localft.data.visible import visible
from localft.data.wording import Wording
from localft.errors import LocalftError
from localft.tokenizer import Tokenizer

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
    return rng.choice([".jsonl"] * 6 + [".json", ".txt", ".ndjson"]), data


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> list[Tokenizer]:
    folder = tmp_path_factory.mktemp("vocabularies")
    templates = (None, vocabs.CHATML, vocabs.LLAMA_2, vocabs.THINKING, vocabs.SHOUTING)
    return [Tokenizer(vocabs.write_bpe(folder / f"{i}.gguf", template=each)) for i, each in enumerate(templates)]


def read_every_way(path: Path, tokenizer: Tokenizer) -> None:
    """Check, show and prepare a file; LocalftErrors are fine, anything else fails."""
    found = check([path], CheckSettings())
    said = [line for section in sections(found, True) for line in section.lines]
    assert all(visible(line).isprintable() or "\n" in line or "\t" in line for line in said)
    json.dumps(found.to_dict(), ensure_ascii=False).encode("utf-8")
    wording = Wording(tokenizer, None, False, "2026-01-01", False)
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


def check_tokens(found: CheckReport, wording: Wording) -> bool:
    """What `check` does with a model, without its weights; whether the template refuses a row."""
    rows = [row for read in found.files for row in read.rows]
    units, problems = tokenize(rows, wording)
    n_ctx = choose_n_ctx(units, None, 0)
    fitted = fit_units(units, n_ctx[0], "truncate")
    found.tokens = report(units, fitted, fit_units([], 8, "drop"), wording, n_ctx)
    found.problems += [*problems, *too_long(units, 8, "truncate")]
    assert all(section.lines for section in sections(found, False))
    assert verdict(found)
    return any(problem.level == "error" for problem in problems)


def shown(path: Path, wording: Wording) -> None:
    rows = read_shown(path, wording, None, (), 50, 3).rows
    text = "".join(lines(row, Ink(None, True)) for row in rows)
    assert "\x1b" not in text
    assert "\x00" not in text
    html = page(path.name, ("facts",), rows)
    assert "<script" not in html
    html.encode("utf-8")


def fuzz(folder: Path, tokenizers: Sequence[Tokenizer], examples: int) -> None:
    @settings(
        max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(files(), st.integers(0, len(tokenizers) - 1))
    def each(file: tuple[str, bytes], which: int) -> None:
        path = folder / f"x{file[0]}"
        path.write_bytes(file[1])
        read_every_way(path, tokenizers[which])

    each()


def test_mutated_files_give_no_traceback(tmp_path: Path, tokenizers: list[Tokenizer]) -> None:
    fuzz(tmp_path, tokenizers, 200)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ten_thousand_mutated_files_give_no_traceback(tmp_path: Path, tokenizers: list[Tokenizer]) -> None:
    fuzz(tmp_path, tokenizers, 10_000)
