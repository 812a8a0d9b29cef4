"""The first load of a GGUF: in a process of its own, once, and an abort in it is a sentence."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from gguf_file import File, u32
from gguf_mutations import whole_files
from tiny_llama import random_adapter, write_model

from localft.adapter import write_adapter
from localft.chat import ChatSession
from localft.cli import cli
from localft.errors import AdapterError, LocalftError, ModelError
from localft.hashes import file_sha256, recall
from localft.model import probe
from localft.model.convert import convert
from localft.model.gguf.check import check_gguf
from localft.model.probe import remember_usable, require_usable_adapter, usable_gguf
from localft.python_process import module_command


@pytest.fixture(autouse=True)
def no_probe() -> None:
    """Here the process is started."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, File]:
    return whole_files(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def fatal(files: dict[str, File], tmp_path: Path) -> Path:
    """Passes every check; llama.cpp asserts something of this architecture while it builds its graph."""
    path = tmp_path / "fatal.gguf"
    path.write_bytes(files["qwen2"].set(qwen2__attention__key_length=u32(6)).write())
    check_gguf(path)
    return path


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of what would be tried in a process."""
    tried: list[str] = []

    def note(gguf: Path, adapter: Path | None) -> None:
        tried.append(" on ".join(path.name for path in (adapter, gguf) if path))

    monkeypatch.setattr(probe, "_try", note)
    return tried


@pytest.mark.parametrize("name", ["llama spm", "gpt2"])
def test_a_sound_model_is_remembered(name: str, files: dict[str, File], tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    path.write_bytes(files[name].write())
    assert usable_gguf(path).architecture == name.split()[0]
    assert list(recall("tried.json")) == [file_sha256(path)]


def test_it_is_tried_once(tmp_path: Path, starts: list[str]) -> None:
    path = write_model(tmp_path / "a.gguf")
    usable_gguf(path)
    usable_gguf(path)
    path.rename(path.with_name("b.gguf"))
    usable_gguf(path.with_name("b.gguf"))
    assert starts == ["a.gguf"]


def test_it_is_tried_again_when_its_content_or_llama_cpp_changes(
    tmp_path: Path, starts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_model(tmp_path / "a.gguf")
    usable_gguf(path)
    write_model(path, seed=1)
    usable_gguf(path)
    monkeypatch.setattr(probe, "_version", lambda: "99.0")
    usable_gguf(path)
    usable_gguf(path)
    assert starts == ["a.gguf"] * 3


def test_content_that_changes_behind_its_size_and_date_is_tried_again(tmp_path: Path, starts: list[str]) -> None:
    path = write_model(tmp_path / "a.gguf")
    usable_gguf(path)
    date = path.stat().st_mtime_ns
    write_model(path, seed=1)
    os.utime(path, ns=(date, date))
    usable_gguf(path)
    assert len(starts) == 2


def test_an_abort_is_a_sentence_and_is_not_remembered(fatal: Path) -> None:
    with pytest.raises(ModelError) as caught:
        usable_gguf(fatal)
    said = "qwen2.cpp:56: GGML_ASSERT(n_embd_head == hparams.n_embd_head_k()) failed"
    assert caught.value.message == f"`{fatal}` makes llama.cpp end its process: {said}"
    assert caught.value.hint
    assert recall("tried.json") == {}


def test_a_refusal_is_a_sentence(files: dict[str, File], tmp_path: Path) -> None:
    path = tmp_path / "refused.gguf"
    path.write_bytes(files["qwen2"].drop("blk.1.ffn_up.weight").write())
    words = r"refused.gguf` cannot be loaded by llama.cpp: .*tensor 'blk.1.ffn_up.weight' not found"
    with pytest.raises(ModelError, match=words) as caught:
        usable_gguf(path)
    assert len(caught.value.message.replace(str(path), "")) < 400


@pytest.mark.parametrize(
    "arguments",
    [
        ["chat", "--prompt", "x", "--model"],
        ["finetune", "--data", "DATA", "--model"],
        ["data", "check", "DATA", "--model"],
        ["data", "show", "DATA", "--model"],
        ["bench", "--model"],
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_every_command_says_it(
    arguments: list[str], fatal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "data.jsonl"
    data.write_text('{"prompt": "a", "completion": "b"}\n' * 4)
    done = CliRunner().invoke(cli, [str(data) if word == "DATA" else word for word in arguments] + [str(fatal)])
    words = done.output if done.exception is None else str(done.exception)
    assert isinstance(done.exception, (LocalftError, type(None)))
    assert "makes llama.cpp end its process: qwen2.cpp:56" in words


def test_an_adapter_is_tried_with_its_base(tmp_path: Path, starts: list[str]) -> None:
    base, lora = write_model(tmp_path / "base.gguf"), tmp_path / "lora.gguf"
    write_adapter(lora, random_adapter())
    for _ in range(2):
        with ChatSession(base, lora, max_tokens=2, n_threads=1) as chat:
            assert "".join(chat.ask("the cat"))
    assert starts == ["base.gguf", "lora.gguf on base.gguf"]


def test_an_adapter_that_llama_cpp_refuses(tmp_path: Path) -> None:
    base, lora = write_model(tmp_path / "base.gguf"), tmp_path / "lora.gguf"
    write_adapter(lora, random_adapter())
    require_usable_adapter(lora, base)
    assert list(recall("tried.json")) == [f"{file_sha256(base)}+{file_sha256(lora)}"]
    with pytest.raises(AdapterError, match=r"is refused by llama\.cpp"):
        require_usable_adapter(base, base)


def test_what_localft_made_itself_is_not_tried(tmp_path: Path, starts: list[str]) -> None:
    usable_gguf(convert("demo").path)
    base = write_model(tmp_path / "base.gguf")
    remember_usable(base)
    usable_gguf(base)
    remember_usable(tmp_path / "missing.gguf")
    assert starts == []


@pytest.fixture
def hangs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A process that does nothing, in the place of the one that tries; its number is in a file."""
    number = tmp_path / "pid"
    program = f"import os, time, pathlib; pathlib.Path({str(number)!r}).write_text(str(os.getpid())); time.sleep(60)"
    monkeypatch.setattr(probe, "module_command", lambda *_: [sys.executable, "-c", program])
    monkeypatch.setattr(probe, "_NOTE_SECONDS", 0.2)
    return number


def is_gone(number: Path) -> bool:
    try:
        os.kill(int(number.read_text()), 0)
    except ProcessLookupError:
        return True
    return False


def test_a_model_that_takes_long_is_said_and_one_that_never_ends_is_refused(
    hangs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "_LEAST_SECONDS", 0.5)
    said: list[str] = []
    with pytest.raises(ModelError, match=r"keeps llama\.cpp busy for more than 0 seconds"):
        usable_gguf(write_model(tmp_path / "a.gguf"), lambda what, *_: said.append(what))
    assert said == ["checking the model once"]
    assert is_gone(hangs)


def test_an_interrupt_ends_the_process(hangs: Path, tmp_path: Path) -> None:
    def interrupt(*_: object) -> None:
        while not (hangs.exists() and hangs.read_text()):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        usable_gguf(write_model(tmp_path / "a.gguf"), interrupt)
    assert is_gone(hangs)


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("import os; os.write(2, b'a\\x1b[2Jb' * 99 + b'\\n'); os.abort()", "a␛[2Jba␛[2Jb"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        ("import sys; sys.exit(3)", "exit code 3"),
    ],
)
def test_the_last_words_are_short_and_clean(
    program: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "module_command", lambda *_: [sys.executable, "-c", program])
    path = write_model(tmp_path / "a.gguf")
    with pytest.raises(ModelError) as caught:
        usable_gguf(path)
    said = caught.value.message.partition("end its process: ")[2]
    assert said.startswith(words)
    assert len(said) <= 80
    assert said.isprintable()


def test_a_process_imports_nothing_from_where_it_is_started(tmp_path: Path) -> None:
    """`python -m` did: a folder with a numpy.py in it ran in every process that tokenized data from there."""
    for name in ("json", "numpy", "llama_cpp", "localft", "pickle", "runpy"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a stranger ran')")
    for module in ("localft.model.probe_process", "localft.data.tokens.workers"):
        done = subprocess.run(
            module_command(module), cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        assert "a stranger ran" not in done.stderr
        assert done.returncode in (0, 1)


def test_a_process_is_ended_by_an_interrupt_while_llama_cpp_works() -> None:
    code = "from localft.model.probe_process import _limit; from pathlib import Path; import os, signal\n"
    code += f"_limit(9, Path({__file__!r})); os.kill(os.getpid(), signal.SIGINT)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGINT
