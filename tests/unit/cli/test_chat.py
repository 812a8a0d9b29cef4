"""`localft chat`: stdout is the answer, stderr everything else; and the conversation's commands."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from tiny_llama import random_adapter, write_model

from localft.adapter import write_adapter
from localft.adapter.origin import BASE_NAME, BASE_PATH, BASE_SHA256, BASE_TYPE
from localft.chat import ChatSession
from localft.cli.chat import command
from localft.errors import AdapterError, ConfigError, LocalftError
from localft.hashes import file_sha256

SHORT = ["--max-tokens", "8", "--threads", "1"]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    base = write_model(folder / "tiny.gguf", chat=True)
    metadata = {BASE_PATH: str(base), BASE_SHA256: file_sha256(base), BASE_NAME: "tiny", BASE_TYPE: "f32"}
    write_adapter(folder / "lora.gguf", random_adapter(**metadata))
    return {"base": base, "lora": folder / "lora.gguf"}


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def chat(*arguments: str | Path, stdin: str | None = None) -> Result:
    return CliRunner().invoke(command, [*SHORT, *map(str, arguments)], input=stdin)


def answer(files: dict[str, Path], lora: bool, prompt: str = "the cat", **settings: object) -> str:
    settings = {"max_tokens": 8, "n_threads": 1, **settings}
    with ChatSession(files["base"], files["lora"] if lora else None, **settings) as session:  # type: ignore[arg-type]
        return "".join(session.ask(prompt)) + "\n"


def failure(result: Result, kind: type[LocalftError]) -> str:
    assert isinstance(result.exception, kind), result.exception
    assert result.stdout == ""
    return result.exception.message


def test_a_prompt_gives_the_answer_alone_on_stdout(files: dict[str, Path]) -> None:
    plain = chat("--model", files["base"], "--prompt", "the cat")
    tuned = chat("--model", files["base"], "--lora", files["lora"], "--prompt", "the cat")
    assert (plain.stdout, plain.stderr, plain.exit_code) == (answer(files, False), "", 0)
    assert (tuned.stdout, tuned.stderr) == (answer(files, True), "")
    assert plain.stdout != tuned.stdout


def test_the_base_is_found_from_the_adapter(files: dict[str, Path]) -> None:
    assert chat("--lora", files["lora"], "--prompt", "the cat").stdout == answer(files, True)


def test_a_base_that_moved_is_found_by_its_hash(files: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "moved.gguf").write_bytes(files["base"].read_bytes())
    metadata = {BASE_PATH: "/nowhere/tiny.gguf", BASE_SHA256: file_sha256(files["base"]), BASE_NAME: "tiny"}
    write_adapter(tmp_path / "a.gguf", random_adapter(**metadata))
    assert chat("--lora", "a.gguf", "--prompt", "the cat").stdout == answer(files, True)
    (tmp_path / "moved.gguf").unlink()
    message = failure(chat("--lora", "a.gguf", "--prompt", "the cat"), AdapterError)
    assert message == 'the base model of `a.gguf` was not found: "tiny"'


def test_adapter_scale_zero_and_raw(files: dict[str, Path]) -> None:
    off = chat("--lora", files["lora"], "--adapter-scale", "0", "--prompt", "the cat")
    assert off.stdout == answer(files, False)
    raw = chat("--model", files["base"], "--raw", "--prompt", "the cat")
    assert raw.stdout == answer(files, False, raw=True)
    assert raw.stdout != off.stdout


def test_the_prompt_can_come_from_stdin(files: dict[str, Path]) -> None:
    assert chat("--model", files["base"], "--prompt", "-", stdin="the cat").stdout == answer(files, False)


def test_sampling_flags_reach_the_session(files: dict[str, Path]) -> None:
    flags = ["--temp", "1.5", "--top-k", "0", "--top-p", "0.9", "--seed", "0", "--stop", "q"]
    expected = answer(files, False, temp=1.5, top_k=0, top_p=0.9, seed=0, stop="q")
    assert chat("--model", files["base"], *flags, "--prompt", "the cat").stdout == expected


def test_nothing_to_talk_to_is_a_usage_error() -> None:
    result = chat("--prompt", "the cat")
    assert "neither --lora nor --model" in failure(result, ConfigError)
    assert result.exception.exit_code == 2  # type: ignore[union-attr]


def test_no_run_yet_and_no_such_adapter_are_said(files: dict[str, Path]) -> None:
    assert "no run under `runs/`" in failure(chat("--lora", "--prompt", "x"), LocalftError)
    message = failure(chat("--lora", "gone.gguf", "--prompt", "x"), AdapterError)
    assert message == "`gone.gguf` is neither a run's folder nor an adapter file"


def run_folder(folder: Path, files: dict[str, Path], template: str) -> Path:
    from localft.data.wording.template import choose_templates
    from localft.model.tokenizer import Tokenizer
    from localft.run.folder import Run
    from localft.run.record import BaseModel, Resolved, RunRecord

    folder.mkdir(parents=True)
    base = BaseModel(str(files["base"]), "tiny", "llama", "f32", file_sha256(files["base"]))
    counts = {"target_tensors": (), "n_recompute": None}
    words = dict.fromkeys(("n_ctx_reason", "device", "kernels", "arithmetic"), "")
    numbers = {field.name: 0 for field in fields(Resolved)}
    resolved = Resolved(**{**numbers, **words, **counts})  # type: ignore[arg-type]
    info = choose_templates(Tokenizer(files["base"]), template)["messages"].to_dict()
    known = {
        "settings": {},
        "base": base,
        "resolved": resolved,
        "template": info,
        "data_files": {},
        "versions": {},
        "leaks": {},
    }
    Run(folder).write_record(RunRecord(**{**{field.name: "" for field in fields(RunRecord)}, **known}))
    (folder / "adapter-last.gguf").write_bytes(files["lora"].read_bytes())
    return folder


@pytest.mark.parametrize(
    ("lora", "hint"),
    [
        ("demo", "did you mean `--model demo`? "),
        ("Where is the hen?", "did you mean `--lora --prompt 'Where is the hen?'`? "),
        ("hen?", "did you mean `--lora --prompt 'hen?'`? "),
        ("runs/no", "`localft chat --lora` without a value takes the newest run"),
    ],
)
def test_what_is_no_adapter_gets_its_flag(lora: str, hint: str) -> None:
    result = chat("--lora", lora)
    assert isinstance(result.exception, AdapterError)
    assert result.exception.hint.startswith(hint)


def test_raw_and_a_template_contradict(files: dict[str, Path]) -> None:
    """The template was accepted and ignored."""
    result = chat("--model", files["base"], "--raw", "--template", "alpaca", "--prompt", "x")
    assert failure(result, ConfigError) == "`--raw` and `--template` contradict each other"


def test_a_run_brings_its_base_its_adapter_and_its_template(files: dict[str, Path]) -> None:
    older, newer = Path("runs/older"), Path("runs/newer")
    run_folder(older, files, "chat")
    run_folder(newer, files, "alpaca")
    os.utime(older / "config.json", (1, 1))
    named = chat("--lora", older, "--prompt", "the cat")
    assert (named.stdout, named.stderr) == (answer(files, True), "")
    newest = chat("--lora", "--prompt", "the cat")
    assert newest.stdout == answer(files, True, template="alpaca")
    assert newest.stderr == "newest run: runs/newer\n"
    (newer / "adapter-best.gguf").write_bytes(b"the best one comes first")
    assert "adapter-best.gguf" in failure(chat("--lora", newer, "--prompt", "x"), AdapterError)
    last = chat("--lora", newer, "--last", "--prompt", "the cat")
    assert (last.stdout, last.stderr) == (newest.stdout, "")
    (newer / "adapter-last.gguf").unlink()
    message = failure(chat("--lora", newer, "--last", "--prompt", "x"), AdapterError)
    assert message == "run `runs/newer` has no last adapter yet"


def test_last_is_for_runs(files: dict[str, Path]) -> None:
    for where in (("--lora", files["lora"], "--model", files["base"]), ("--model", files["base"])):
        message = failure(chat(*where, "--last", "--prompt", "x"), ConfigError)
        assert message == "`--last` is for the adapter of a run"


def test_an_adapter_of_another_shape_is_refused(files: dict[str, Path], tmp_path: Path) -> None:
    other = random_adapter()
    name = "blk.0.ffn_up.weight"
    a, b = other.tensors[name]
    other.tensors[name] = type(other.tensors[name])(a, b[:-8])
    write_adapter(tmp_path / "a.gguf", other)
    message = failure(chat("--model", files["base"], "--lora", "a.gguf", "--prompt", "x"), AdapterError)
    assert "64 inputs and 88 outputs" in message


def test_another_file_of_the_same_model_is_used_and_said(files: dict[str, Path], tmp_path: Path) -> None:
    half = write_model(tmp_path / "half.gguf", chat=True, dtype=np.float16)
    result = chat("--model", half, "--lora", files["lora"], "--prompt", "the cat")
    assert result.stderr == "note: the adapter was trained on f32 and is used on f16, another file of the same model\n"
    assert result.exit_code == 0


def test_piped_lines_are_a_conversation(files: dict[str, Path]) -> None:
    with ChatSession(files["base"], n_threads=1, max_tokens=8) as session:
        turns = ["".join(session.ask(text)) for text in ("the cat", "the dog")]
    result = chat("--model", files["base"], stdin="the cat\n\nthe dog\n")
    assert result.stdout == "".join(turn + "\n" for turn in turns)
    assert "/help lists the commands" in result.stderr


def test_the_commands_of_a_conversation(files: dict[str, Path], tmp_path: Path) -> None:
    lines = [
        "/help", "/retry", "the cat", "/retry", "/system a dog", "/system", "/compare the dog", "/save row.jsonl",
        "/save", "/save other.jsonl", "/nonsense", "/rset", "/reset", "/save", "//x", "/exit", "never read",
    ]  # fmt: skip
    result = chat("--lora", files["lora"], stdin="\n".join(lines) + "\n")
    said = result.stderr
    assert result.exit_code == 0, result.exception
    assert "/compare [TEXT]" in said
    assert "nothing has been asked yet" in said
    assert "(system message set)\na dog\n" in said
    assert said.index("── base") < said.index("── adapter")
    assert "`/nonsense` is no command" in said
    assert "did you mean `/reset`?" in said
    assert "there is nothing to save yet" in said
    with ChatSession(files["base"], files["lora"], n_threads=1, max_tokens=8) as session:
        expected = "".join(session.ask("the cat"))
    saved = json.loads((tmp_path / "row.jsonl").read_text())
    assert saved == {
        "messages": [
            {"role": "system", "content": "a dog"},
            {"role": "user", "content": "the cat"},
            {"role": "assistant", "content": expected},
        ]
    }
    assert (tmp_path / "other.jsonl").exists()


def test_saving_never_overwrites_what_another_chat_wrote(files: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text("precious")
    result = chat("--model", files["base"], stdin="the cat\n/save mine.jsonl\n")
    assert "`mine.jsonl` exists already" in result.stderr
    assert (tmp_path / "mine.jsonl").read_text() == "precious"


def test_a_backslash_goes_on_in_the_next_line(files: dict[str, Path]) -> None:
    result = chat("--model", files["base"], stdin="the cat \\\nsat\n")
    assert result.stdout == answer(files, False, "the cat \nsat")


class Terminal:
    """The command on a pseudo-terminal."""

    def __init__(self, *arguments: str | Path) -> None:
        code = "from localft.cli import main; main()"
        parent, child = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, "chat", *map(str, arguments)], stdin=child, stdout=child, stderr=child,
            env={**os.environ, "TERM": "dumb"}, start_new_session=True, close_fds=True,
        )  # fmt: skip
        os.close(child)
        self.parent, self.shown, self.seen = parent, "", 0

    def wait_for(self, text: str, seconds: float = 60) -> None:
        """Wait for a text, or with "" for anything at all, behind what was waited for before."""
        end = time.monotonic() + seconds
        os.set_blocking(self.parent, False)
        while text not in self.shown[self.seen :] or len(self.shown) == self.seen:
            assert time.monotonic() < end, f"{text!r} never came; shown: {self.shown!r}"
            try:
                self.shown += os.read(self.parent, 4096).decode("utf-8", "replace")
            except BlockingIOError:
                time.sleep(0.02)
        self.seen = self.shown.index(text, self.seen) + len(text)

    def type(self, text: str) -> None:
        os.write(self.parent, text.encode())


@pytest.fixture
def terminal(files: dict[str, Path]) -> Iterator[Terminal]:
    one = Terminal("--lora", files["lora"], "--max-tokens", "0", "--threads", "1", "--ctx", "4000")
    yield one
    one.process.kill()
    one.process.wait()
    os.close(one.parent)


def test_ctrl_c_stops_the_answer_and_ctrl_d_leaves(terminal: Terminal) -> None:
    terminal.wait_for("> ")
    terminal.type("the cat\n")
    terminal.wait_for("the cat\r\n")
    terminal.wait_for("")  # the answer has begun
    os.killpg(terminal.process.pid, signal.SIGINT)
    terminal.wait_for("(stopped)")
    terminal.wait_for("> ")
    os.killpg(terminal.process.pid, signal.SIGINT)
    terminal.wait_for("(Ctrl-D or /exit leaves)")
    terminal.wait_for("> ")  # before it the line is not readline's yet, which would see no Ctrl-D
    terminal.type("\x04")
    assert terminal.process.wait(30) == 0
    assert "Traceback" not in terminal.shown
    assert "\x07" not in terminal.shown, "control characters that a model writes must not reach the terminal"
