"""A file that the user named is replaced only where localft wrote it and nobody changed it since, or with --force."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from checkpoints import write_checkpoint
from tiny_llama import random_adapter, write_model

from localft.adapter import merge, read_adapter, to_peft, write_adapter
from localft.cli import main
from localft.cli.chat_repl import Repl
from localft.errors import ConfigError, LocalftError
from localft.files import atomic_path
from localft.outputs import output_path, output_paths, require_replaceable, require_writable, write_output
from localft.run.folder import require_free
from localft.run.writer import require_free_outputs
from localft.settings.train_config import TrainConfig

MINE = b"written by hand\n"
ROWS = [{"prompt": f"What is {i} + {i}?", "completion": f"It is {i + i}.", "doc": f"d{i}"} for i in range(20)]
TEXTS = [
    {"text": f"File a{i}.py\n\nx = {i}\n", "doc": f"r:a{i}.py", "source": {"kind": "file", "path": f"a{i}.py"}}
    for i in range(3)
]


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, rows in (("pairs.jsonl", ROWS), ("texts.jsonl", TEXTS)):
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").write_text("def f(x):\n    return x\n")
    return tmp_path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """The program in this process: exit status and stderr."""

    def call(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["localft", *arguments])
        try:
            main()
        except SystemExit as end:
            return int(end.code or 0), capsys.readouterr().err
        return 0, capsys.readouterr().err

    return call


def model(folder: Path) -> str:
    return str(write_model(folder / "m.gguf", chat=True))


COMMANDS: dict[str, tuple[str, Callable[[Path], tuple[str, ...]]]] = {
    "build": ("out.jsonl", lambda _: ("data", "build", "src", "-o", "out.jsonl")),
    "split": ("d/train.jsonl", lambda _: ("data", "split", "pairs.jsonl", "-o", "d")),
    "synth": ("out.jsonl", lambda _: ("data", "synth", "texts.jsonl", "-o", "out.jsonl")),
    "show": ("o.html", lambda f: ("data", "show", "pairs.jsonl", "--model", model(f), "--html", "o.html")),
    "convert": ("out.gguf", lambda f: ("convert", str(write_checkpoint(f / "hf")), "--out", "out.gguf")),
    "github": ("out.jsonl", lambda _: ("data", "github", "owner/name", "--from", "saved", "-o", "out.jsonl")),
}


@pytest.mark.parametrize("name", list(COMMANDS))
def test_a_command_keeps_what_it_did_not_write(
    name: str, work: Path, home: Path, run: Callable[..., tuple[int, str]]
) -> None:
    from hostile.sound import github

    github(work)
    out, arguments = COMMANDS[name]
    words, path = arguments(work), work / out
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(MINE)
    status, said = run(*words)
    assert (status, path.read_bytes()) == (2, MINE)
    assert f"error: `{out}` is there already, and localft has no record of having written it" in said
    assert "or replace it with --force" in said
    assert run(*words, "--force")[0] == 0
    assert path.read_bytes() != MINE
    again, once_more = ((status, re.sub(r"\d+\.\d s", "", said)) for status, said in (run(*words), run(*words)))
    assert again == once_more, "what localft wrote is replaced without a word"
    whole = path.read_bytes()
    path.write_bytes(whole + b"\n")
    status, said = run(*words)
    if name != "convert":  # of which a file that is larger is whole, and kept
        assert (status, path.read_bytes()) == (2, whole + b"\n")
        assert "was changed since localft wrote it" in said
    path.write_bytes(whole)
    shutil.rmtree(home)
    if name != "convert":
        assert run(*words)[0] == 2, "a lost home overwrote"
    assert path.read_bytes() == whole


def test_a_test_set_stays_with_force_too(work: Path, run: Callable[..., tuple[int, str]]) -> None:
    (work / "d").mkdir()
    (work / "d/test.jsonl").write_text(json.dumps(ROWS[3]) + "\n")
    (work / "d/train.jsonl").write_bytes(MINE)
    assert run("data", "split", "pairs.jsonl", "-o", "d", "--force")[0] == 0
    assert (work / "d/test.jsonl").read_text() == json.dumps(ROWS[3]) + "\n"


def test_nothing_is_asked_fetched_or_read_before_a_refusal(work: Path, run: Callable[..., tuple[int, str]]) -> None:
    (work / "out").write_bytes(MINE)
    for words in (
        ("data", "build", "https://127.0.0.1:9/x.git", "-o", "out"),
        ("data", "synth", "texts.jsonl", "-o", "out", "--endpoint", "http://127.0.0.1:9/v1", "--endpoint-model", "m"),
        ("data", "github", "owner/name", "--api-url", "http://127.0.0.1:9", "-o", "out"),
        ("data", "show", "no-such-file", "--model", "no-such-model", "--html", "out"),
        ("convert", "owner/name", "--out", "out"),
    ):
        status, said = run(*words)
        assert (status, "`out` is there already" in said) == (2, True), said


@pytest.mark.parametrize("place", ["out", "link", "pipe", "/dev/null"])
def test_what_is_no_file_is_never_replaced(place: str, work: Path) -> None:
    """`-o /dev/null`, by root, put a file in its place."""
    (work / "out").mkdir()
    (work / "link").symlink_to("mine")
    os.mkfifo(work / "pipe")
    for force in (False, True)[: 1 if place == "link" else 2]:
        with pytest.raises(ConfigError, match=r"is no file|no record"), output_path(Path(place), force):
            raise AssertionError("it went on")
    assert not Path(place).is_file()


def test_an_empty_file_is_nobodys(work: Path) -> None:
    (work / "out").touch()
    write_output(work / "out", "rows\n")
    assert (work / "out").read_text() == "rows\n"


def test_a_file_that_came_meanwhile_stays(work: Path) -> None:
    def meanwhile() -> None:
        with output_path(work / "out") as temporary:
            temporary.write_text("ours")
            (work / "out").write_bytes(MINE)

    with pytest.raises(ConfigError, match="is there already"):
        meanwhile()
    assert (work / "out").read_bytes() == MINE


def test_of_several_files_all_are_replaced_or_none(work: Path) -> None:
    (work / "b").write_bytes(MINE)
    with pytest.raises(ConfigError, match="b` is there already"), output_paths(work / "a", work / "b"):
        raise AssertionError("it went on")
    assert not (work / "a").exists()


def test_what_was_there_stays_known_until_it_is_replaced(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was killed between its record and the renaming was refused the next time."""
    write_output(work / "out", "first\n")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("localft.files._replace", killed)
        with pytest.raises(KeyboardInterrupt):
            write_output(work / "out", "second\n")
    write_output(work / "out", "third\n")
    assert (work / "out").read_text() == "third\n"


def test_a_record_is_of_one_place(work: Path) -> None:
    """A copy of what localft wrote is the user's: it may be why it was copied."""
    write_output(work / "out", "rows\n")
    shutil.copy(work / "out", work / "kept")
    with pytest.raises(ConfigError, match="kept` is there already"):
        require_replaceable(work / "kept")


@pytest.mark.parametrize("home", ["~nobody-here/x", "file/x", "damaged"])
def test_without_a_home_outputs_are_written_once(home: str, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (work / "file").touch()
    (work / "damaged").mkdir()
    (work / "damaged/outputs").mkdir()
    monkeypatch.setenv("LOCALFT_HOME", home)
    write_output(work / "out", "rows\n")
    for path in (work / "damaged/outputs").glob("*"):
        path.write_text('{"path": 7, "sha256": [["x"]]}')
    with pytest.raises(ConfigError, match="no record"):
        write_output(work / "out", "others\n")
    assert (work / "out").read_text() == "rows\n"


def test_names_that_are_not_utf8(work: Path) -> None:
    name = os.fsdecode(b"caf\xe9.jsonl")
    for text in ("one", "two"):
        write_output(work / name, text)
    assert (work / name).read_text() == "two"


def test_functions_that_write_files_keep_to_it(work: Path) -> None:
    base = Path(model(work))
    write_adapter(work / "a.gguf", random_adapter())
    (work / "merged.gguf").write_bytes(MINE)
    (work / "adapter_config.json").write_bytes(MINE)
    adapter = read_adapter(work / "a.gguf")
    with pytest.raises(ConfigError, match=r"merged\.gguf` is there already"):
        merge(work / "a.gguf", base, work / "merged.gguf")
    with pytest.raises(ConfigError, match=r"adapter_config\.json` is there already"):
        to_peft(adapter, work, base)
    assert not (work / "adapter_model.safetensors").exists()
    for force in (True, False):
        to_peft(adapter, work, base, force=force)
        merge(work / "a.gguf", base, work / "merged.gguf", force=force)


@pytest.mark.parametrize("name", ["metrics.jsonl", "checkpoint.gguf", "adapter-best.gguf", "adapter-last.gguf"])
def test_a_run_does_not_move_into_a_folder_with_files_of_its_names(name: str, work: Path) -> None:
    (work / name).write_bytes(MINE)
    with pytest.raises(LocalftError, match=rf"no run's folder, and holds a {name}"):
        require_free(".")


@pytest.mark.parametrize("name", ["l.gguf", "l-LATEST.gguf", "l-12.gguf"])
def test_the_old_forms_files_are_no_others(name: str, work: Path) -> None:
    pattern = "l-ITERATION.gguf" if "-" in name else "l.gguf"
    config = TrainConfig().with_values("flag", {"lora_out": pattern})
    require_free_outputs(config)
    (work / name).write_bytes(MINE)
    with pytest.raises(ConfigError, match=f"`{name}` is there already") as caught:
        require_free_outputs(config)
    assert caught.value.hint == "move it away, or give another --lora-out"
    both = {"checkpoint_in": name, "checkpoint_out": pattern}
    require_free_outputs(TrainConfig().with_values("flag", both))


def test_a_conversation_is_saved_again_unless_it_was_changed(work: Path) -> None:
    class Session:
        messages = ("something",)

        def to_row(self) -> dict[str, str]:
            return {"text": "Said."}

    repl = Repl(Session())  # type: ignore[arg-type]
    repl.save("chat.jsonl")
    repl.save("")
    (work / "chat.jsonl").write_bytes(MINE)
    with pytest.raises(ConfigError, match="was changed since"):
        repl.save("")
    assert (work / "chat.jsonl").read_bytes() == MINE


def test_places_are_looked_at_before_long_work(work: Path, run: Callable[..., tuple[int, str]]) -> None:
    (work / "file").write_bytes(MINE)
    with pytest.raises(ConfigError, match=r"`file/x/y` cannot be made: .*file` is no folder"):
        require_writable(Path("file/x/y"), "")
    require_writable(Path("new/x/y"), "")
    assert not (work / "new").exists()
    status, said = run("finetune", "--model", "no-such-model", "--data", "pairs.jsonl", "--out", "file/run")
    assert (status, "`file/run` cannot be made" in said, "--out" in said) == (2, True, True)


def test_a_home_that_cannot_be_used_is_named_before_a_download(
    work: Path, run: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hint was to give --out, of a run as well."""
    (work / "file").write_bytes(MINE)
    monkeypatch.setenv("LOCALFT_HOME", "file")
    for words in (("convert", "owner/name"), ("finetune", "--model", "owner/name", "--data", "pairs.jsonl")):
        status, said = run(*words)
        assert (status, "`file/models` cannot be made" in said) == (2, True), said
        assert "hint: set LOCALFT_HOME to a folder that you may write" in said


def test_nothing_of_localfts_own_asks_for_a_record(work: Path) -> None:
    (work / "cache").write_bytes(MINE)
    with atomic_path(work / "cache") as temporary:
        temporary.write_text("new")
    assert (work / "cache").read_text() == "new"
