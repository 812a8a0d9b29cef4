"""A command line that cannot be understood: what is said of it, in one style, with the line that was meant."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from localft.cli import main

Said = Callable[..., tuple[int, str, str, str]]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Said:
    """Runs `localft WORDS` in an empty folder; gives exit status, stdout, message and hint."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str, str, str]:
        monkeypatch.setattr(sys, "argv", ["localft", *words])
        status = 0
        try:
            main()
        except SystemExit as ended:
            status = int(ended.code or 0)
        shown = capsys.readouterr()
        message, _, hint = shown.err.removesuffix("\n").partition("\n\nhint: ")
        return status, shown.out, message.removeprefix("error: "), hint

    return run


@pytest.mark.parametrize(
    ("line", "page"),
    [
        ("help", "Usage: localft [OPTIONS] COMMAND"),
        ("help chat", "Usage: localft chat"),
        ("help data", "Usage: localft data [OPTIONS] COMMAND"),
        ("help data check", "Usage: localft data check"),
        ("data help", "Usage: localft data [OPTIONS] COMMAND"),
        ("data help split", "Usage: localft data split"),
        ("data -h", "Usage: localft data [OPTIONS] COMMAND"),
    ],
)
def test_help_is_a_word_too(line: str, page: str, said: Said) -> None:
    status, out, _, _ = said(*line.split())
    assert status == 0
    assert out.startswith(page)


def test_without_a_command_the_page_is_no_result(said: Said) -> None:
    for line in ("", "data"):
        status, out, page, _ = said(*line.split())
        assert (status, out) == (2, "")
        assert page.startswith(f"Usage: {f'localft {line}'.strip()} [OPTIONS] COMMAND")


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("finetun", "did you mean `localft finetune`?"),
        ("train", "did you mean `localft finetune`?"),
        ("Train", "did you mean `localft finetune`?"),
        ("lora", "did you mean `localft finetune`?"),
        ("run", "did you mean `localft chat`?"),
        ("generate", "did you mean `localft chat`?"),
        ("resume", "did you mean `localft finetune --resume`?"),
        ("pull", "did you mean `localft convert MODEL`?"),
        ("version", "did you mean `localft --version`?"),
        ("check", "did you mean `localft data check`?"),
        ("validate", "did you mean `localft data check`?"),
        ("data buld", "did you mean `localft data build`?"),
        ("data train", "did you mean `localft finetune`?"),
        ("data chat", "did you mean `localft chat`?"),
        ("help finetun", "did you mean `localft finetune`?"),
        (
            "data xyz",
            "the commands are build, synth, split, check, github, show; `localft data --help` says what they do",
        ),
    ],
)
def test_a_command_that_there_is_not(line: str, hint: str, said: Said) -> None:
    words = line.split()
    assert said(*words) == (2, "", f"there is no command `localft {line.removeprefix('help ')}`", hint)


@pytest.mark.parametrize("word", ["list", "ls", "models"])
def test_models_are_listed_where_someone_asks_for_them(word: str, said: Said) -> None:
    _, _, _, hint = said(word)
    assert hint.startswith("`--model` takes demo, ")
    assert "tinymistral" in hint
    assert "runs are folders under `runs/`; `localft chat --lora` takes the newest" in hint


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["chat", "demo"], "chat --model demo"),
        (["chat", "owner/name"], "chat --model owner/name"),
        (["chat", "demo", "Who are you?"], "chat --model demo --prompt 'Who are you?'"),
        (["chat", "demo", "--temp", "1", "who", "are", "you"], "chat --temp 1 --model demo --prompt 'who are you'"),
        (["chat", "hello"], "chat --lora --prompt hello"),
        (["chat", "--lora=runs/a", "hello"], "chat --lora=runs/a --prompt hello"),
        (["chat", "--model", "hello", "hello"], "chat --model hello --prompt hello"),
        (["chat", "adapter-best.gguf"], "chat --lora adapter-best.gguf"),
        (["chat", "my-run"], "chat --lora my-run"),
        (["chat", "help"], "chat --help"),
        (["finetune", "demo", "my.jsonl"], "finetune --model demo --data my.jsonl"),
        (["finetune", "rows"], "finetune --data rows"),
        (
            ["finetune", "--model", "demo", "--data", "a.csv", "b.csv", "hf:a/b"],
            "finetune --model demo --data a.csv --data b.csv --data hf:a/b",
        ),
        (["bench", "demo"], "bench --model demo"),
    ],
)
def test_a_word_too_many_gets_its_flag(words: list[str], line: str, said: Said, tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    (tmp_path / "my-run").mkdir()
    (tmp_path / "my-run" / "metrics.jsonl").touch()
    status, out, message, hint = said(*words)
    assert (status, out, hint) == (2, "", f"did you mean `localft {line}`?")
    assert message.startswith(f"`localft {words[0]}` has no place for `")


def test_a_word_that_means_nothing(said: Said) -> None:
    assert said("doctor", "x") == (
        2,
        "",
        "`localft doctor` has no place for `x`",
        "`localft doctor --help` shows its use",
    )


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("chat --modle demo", "unknown option `--modle`", "did you mean `--model`?"),
        ("chat --temperature 1", "unknown option `--temperature`", "did you mean `--temp`?"),
        ("chat -m demo", "unknown option `-m`", "did you mean `--model`?"),
        ("chat --max-new-tokens 9", "unknown option `--max-new-tokens`", "did you mean `--max-tokens`?"),
        ("chat --adapter x", "unknown option `--adapter`", "did you mean `--lora`?"),
        ("convert x --dtype f16", "unknown option `--dtype`", "did you mean `--outtype`?"),
        ("data split x --test-size 0.2", "unknown option `--test-size`", "did you mean `--test`?"),
        ("finetune --learning_rate 1", "unknown option `--learning-rate`", "did you mean `--lr`?"),
        ("finetune --zzz", "unknown option `--zzz`", "`localft finetune --help` lists the options"),
        ("--verison", "unknown option `--verison`", "did you mean `--version`?"),
        (
            "--model demo",
            "unknown option `--model`",
            "a command comes before its options: `localft` and one of convert, finetune, chat, bench, data, doctor",
        ),
        ("convert", "`localft convert` needs MODEL", "such as `localft convert demo`"),
        (
            "data split",
            "`localft data split` needs ROWS",
            "such as `localft data split rows.jsonl pairs.jsonl -o data`",
        ),
        ("data build .", "`localft data build` needs `--out FILE`", "such as `localft data build . -o data.jsonl`"),
        (
            "chat --ctx abc",
            "`--ctx`: `abc` is not a valid integer",
            "Tokens of context. [default: the model's, at most 4096]",
        ),
        ("data synth x -o y --pairs 0", "`--pairs`: 0 is not in the range 1<=x<=50", "Asked for, of each row"),
        (
            "chat --ctx \t\\d",
            "`--ctx`: `\\d` is not a valid integer",
            "Tokens of context. [default: the model's, at most 4096]",
        ),
        (r"bench '\x'", r"`localft bench` has no place for `'\x'`", "`localft bench --help` shows its use"),
        (
            r"data build . -o x --max-file-size '\x'",
            r"`--max-file-size`: `'\x'` is no size: give bytes, or 64k, 1M",
            "Leave larger files out",
        ),
        (
            "chat --prompt",
            "option `--prompt` requires an argument",
            "`localft chat --help` lists the options",
        ),
    ],
)
def test_one_style(line: str, message: str, hint: str, said: Said) -> None:
    assert said(*line.split()) == (2, "", message, hint)


def test_underscores_in_flags_are_dashes(said: Said) -> None:
    status, _, message, _ = said("finetune", "--lora_rank", "many")
    assert (status, message) == (2, "`--lora-rank` cannot be `many`: expected a whole number")


def test_python_runs_the_package(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "localft", "chat", "--help"], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.startswith("Usage: localft chat [OPTIONS]")
