"""Words that llama.cpp takes hours for, or ends the process with, are refused; long texts are cut without a trace."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import vocabs
from click.testing import CliRunner

from localft.cli import cli
from localft.data.rows.row import Message, Row
from localft.data.tokens.run_wording import RunWording
from localft.errors import DatasetError, TextError
from localft.model import word_limits
from localft.model.tokenizer import Tokenizer
from localft.model.word_limits import BY_HAND, MOST_CHARACTERS, long_run

PRES = (
    "gpt-2",
    "llama-bpe",
    "qwen2",
    "deepseek-llm",
    "deepseek-v3",
    "falcon",
    "gpt-4o",
    "tekken",
    "bloom",
    "chameleon",
)


@pytest.mark.parametrize(
    ("pre", "text", "words"),
    [
        ("superbpe", "a " + "1" * 20_000, "20,000 characters of digits in a row"),
        ("superbpe", "7" * 301, "301 characters of digits"),
        ("jais-2", "a" + " " * 30_000 + "b", "30,000 characters of white space"),
        ("jais-2", "\n\t" * 200_000, "400,000 characters of white space"),
        ("deepseek-llm", "a" * 4_000_000, "a word of more than 500,000 characters"),
        ("default", "é!" * 300_000, "a word of more than 500,000 characters"),
        ("falcon", "a" + " \n" * 300_000, "white space of more than 500,000 characters"),
        ("llama-bpe", "日" * 5_000_000, "a stretch of 5,000,000 characters that cannot be cut"),
    ],
)
def test_what_takes_too_long_or_ends_the_process_is_refused_at_once(
    pre: str, text: str, words: str, tmp_path: Path
) -> None:
    """20,000 digits took half a minute, 4,000,000 letters the process."""
    tokenizer = vocabs.bpe(tmp_path, pre=pre)
    started = time.monotonic()
    with pytest.raises(TextError) as caught:
        tokenizer.encode(text)
    assert words in caught.value.message
    assert len(caught.value.message) < 400
    assert time.monotonic() - started < 5


def test_as_much_as_is_allowed_is_quick(tmp_path: Path) -> None:
    for pre, text in (("superbpe", "1" * 300 + "a"), ("jais-2", " " * 20_000), ("superbpe", "1a" * 5000)):
        started = time.monotonic()
        assert vocabs.bpe(tmp_path, pre=pre).encode(text)
        assert time.monotonic() - started < 5


def test_the_longest_word_that_is_allowed_leaves_the_process_alive(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from localft.model.tokenizer import Tokenizer\n"
        f"print(len(Tokenizer(Path(sys.argv[1])).encode('x' * {MOST_CHARACTERS})))"
    )
    path = vocabs.write_bpe(tmp_path / "x.gguf", pre="deepseek-llm")
    environment = {**os.environ, "GGML_NO_BACKTRACE": "1"}
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout.strip()) == (0, str(MOST_CHARACTERS)), done.stderr[-500:]


def test_the_row_is_named(tmp_path: Path) -> None:
    wording = RunWording(vocabs.bpe(tmp_path, pre="superbpe"), None, False, "2026-01-01", False)
    answered = (Message("user", "pi?"), Message("assistant", "3." + "14" * 500))
    for row in (Row("text", "x.jsonl", 7, "9" * 400), Row("completion", "x.jsonl", 7, "", answered)):
        with pytest.raises(DatasetError, match=r"^line 7 of `x.jsonl` has [\d,]+ characters of digits in a row"):
            wording.unit(row)


def test_check_lists_such_rows_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    vocabs.write_bpe(tmp_path / "m.gguf", pre="superbpe")
    monkeypatch.setattr("localft.model.local_base.local_base", lambda *_: tmp_path / "m.gguf")
    monkeypatch.setattr("localft.inspect.check.check.local_base", lambda *_: tmp_path / "m.gguf")
    Path("x.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in ("one", "1" * 9999, "two")))
    found = json.loads(CliRunner().invoke(cli, ["data", "check", "x.jsonl", "--model", "m", "--json"]).output)
    assert [(each["level"], each["line"]) for each in found["problems"] if "digits" in each["message"]] == [
        ("error", 2)
    ]


def text_of(rng: random.Random, n: int) -> str:
    words = [
        "the",
        "thing",
        " ",
        "  ",
        "\n",
        "\n\n",
        "Hi",
        "!",
        "12",
        "'s",
        "日本",
        "é",
        "_",
        "\t",
        ".",
        "ab cd",
        "x\ny",
    ]
    return "".join(rng.choice(words) + rng.choice(["", " ", "\n"]) for _ in range(n))


@pytest.mark.parametrize("pre", [*PRES, "exaone-moe", "superbpe", "gemma4"])
def test_a_text_that_is_cut_has_the_same_tokens(pre: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer, rng = vocabs.bpe(tmp_path, pre=pre), random.Random(7)
    texts = [text_of(rng, 60) for _ in range(25)]
    whole = [tokenizer.encode(text) for text in texts]
    monkeypatch.setattr(word_limits, "_STRETCH", 10)
    assert [tokenizer.encode(text) for text in texts] == whole
    n_stretch = sum(len(list(tokenizer._limits.stretches(text))) for text in texts)
    assert (n_stretch > len(texts)) == (pre != "superbpe")


def test_a_sentencepiece_text_that_is_cut_has_the_same_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer, rng = vocabs.spm(tmp_path), random.Random(7)
    texts = [text_of(rng, 120).replace("\n", rng.choice(["\n", " ", "▁"])) for _ in range(60)]
    whole = [tokenizer.encode(text) for text in texts]
    monkeypatch.setattr(word_limits, "_PIECE_STRETCH", 10)
    assert [tokenizer.encode(text) for text in texts] == whole
    assert all(len(list(tokenizer._limits.stretches(text))) > 5 for text in texts)


def test_long_runs_are_found_wherever_they_are() -> None:
    rng = random.Random(1)
    for _ in range(3000):
        text = "".join(
            rng.choice(["a", "bb", " ", "\n ", "\t", "é" * 5, "\u3000" * 4]) for _ in range(rng.randrange(12))
        )
        runs, start = [], 0
        for at in range(1, len(text) + 1):
            if at == len(text) or text[at].isspace() != text[start].isspace():
                runs.append((start, at - start))
                start = at
        for most in (1, 2, 4, 7):
            longer = [at for at, length in runs if length > most]
            assert long_run(text, most) == (longer[0] if longer else None), (text, most)


def test_names_that_are_split_by_hand_need_no_stack(tmp_path: Path) -> None:
    for pre in BY_HAND:
        tokenizer = vocabs.bpe(tmp_path, pre=pre)
        assert isinstance(tokenizer, Tokenizer)
        assert len(tokenizer.encode("x" * 300_000)) == 300_000
