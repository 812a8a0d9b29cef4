"""Streams that are closed, full or in another encoding, and bytes that are not UTF-8 in what is typed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_llama import write_model

PROGRAM = f"{sys.executable} -c 'from localft.cli import main; main()'"


def shell(command: str, folder: Path, data: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """A command line of bash in which "localft" is the program."""
    line = command.replace("localft", PROGRAM)
    env = {**os.environ, **environment}
    done = subprocess.run(["bash", "-c", line], cwd=folder, input=data, capture_output=True, env=env, check=False)
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    assert b"Exception ignored" not in done.stderr, done.stderr.decode()
    return done


@pytest.fixture
def work(tmp_path: Path) -> Path:
    write_model(tmp_path / "m.gguf", chat=True)
    rows = [{"prompt": f"What is {i}?", "completion": f"It is {i}: é …"} for i in range(20)]
    (tmp_path / "d.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return tmp_path


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_leave_files_alone(closed: str, work: Path) -> None:
    """The next file to be opened took the place of a closed stream, with what was written to that."""
    done = shell(f"localft data split d.jsonl -o s {closed}", work)
    assert done.returncode == 0
    for name in ("train", "test"):
        for line in (work / f"s/{name}.jsonl").read_text().splitlines():
            assert set(json.loads(line)) == {"prompt", "completion"}


@pytest.mark.parametrize("full", ["2>/dev/full", "2>&-"])
def test_messages_that_nobody_takes_do_not_stop_the_work(full: str, work: Path) -> None:
    assert shell(f"localft data split d.jsonl -o s --json {full}", work).returncode == 0


@pytest.mark.parametrize("command", ["data split d.jsonl -o s --json", "--help", "doctor --json", "data split --help"])
def test_an_output_that_is_full_is_said_once(command: str, work: Path) -> None:
    done = shell(f"localft {command} >/dev/full", work)
    assert (done.returncode, done.stderr.count(b"No space left on device")) == (1, 1)


@pytest.mark.parametrize("encoding", ["latin-1", "ascii:strict", "cp1252:strict", "utf-8:strict", "utf-7"])
def test_an_encoding_that_lacks_a_character(encoding: str, work: Path) -> None:
    (work / "…é.jsonl").write_bytes((work / "d.jsonl").read_bytes())
    for command in ("data show …é.jsonl --model m.gguf", "data check …é.jsonl", "data split …é.jsonl -o … --json"):
        assert shell(f"localft {command}", work, PYTHONIOENCODING=encoding).returncode == 0


@pytest.mark.parametrize(
    ("words", "data", "said"),
    [
        ("--prompt $'caf\\xe9'", b"", rb"error: the conversation has a byte that is not UTF-8, \xe9"),
        ("--prompt -", b"caf\xe9", rb"error: the conversation has a byte that is not UTF-8, \xe9"),
        ("--raw --prompt -", b"\xff", rb"error: the conversation has a byte that is not UTF-8, \xff"),
        ("", b"caf\xe9\n/save \xff\nthe cat\n", rb"error: the conversation has a byte that is not UTF-8, \xe9"),
        ("--system $'\\x80' --prompt a", b"", rb"error: the conversation has a byte that is not UTF-8, \x80"),
    ],
)
def test_bytes_that_are_not_utf8_in_chat(words: str, data: bytes, said: bytes, work: Path) -> None:
    done = shell(f"localft chat --model m.gguf --threads 1 --max-tokens 2 {words}", work, data)
    assert said in done.stderr
    assert done.returncode == (0 if not words else 2)


def test_names_that_are_not_utf8_from_data_to_chat(work: Path) -> None:
    odd = os.fsdecode(b"caf\xe9")
    for name in ("m.gguf", "d.jsonl"):
        (work / odd).mkdir(exist_ok=True)
        (work / name).rename(work / odd / name)
    train = "finetune --model caf*/m.gguf --data caf*/d.jsonl --out $'run\\xff' --max-steps 2 --threads 1 --json"
    done = shell(f"localft {train}", work)
    assert done.returncode == 0, done.stderr.decode()
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[-1]["run"] == os.fsdecode(b"run\xff")
    assert shell("localft finetune --resume run* --max-steps 3", work).returncode == 0
    assert shell("localft chat --lora run* --prompt a --max-tokens 1", work).returncode == 0


def test_a_folder_that_is_gone(work: Path) -> None:
    done = shell("mkdir gone; cd gone; rmdir ../gone; localft data check d.jsonl", work)
    assert b"error: the folder that this was started in is not there any more" in done.stderr
