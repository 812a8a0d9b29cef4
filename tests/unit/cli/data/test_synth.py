"""The command data synth: stdout and stderr apart, errors as sentences, a run that is killed goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from chat_server import chat_server, completion, refusal
from click.testing import CliRunner, Result

from localft.cli.data.synth import command
from localft.cli.output import print_error
from localft.errors import LocalftError

TEXT = "The option --ctx sets the tokens of a row."


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("LOCALFT_API_KEY", "sk-hidden")
    rows = [
        {"text": f"File: {i}.txt\n\n{TEXT}\n", "doc": f"n:{i}.txt", "source": {"kind": "file", "path": f"{i}.txt"}}
        for i in range(4)
    ]
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, ["rows.jsonl", "-o", "out.jsonl", *arguments])


def answer(n: int, body: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
    name = body["messages"][1]["content"].partition("of the file ")[2].partition(" ")[0]
    return completion(json.dumps({"pairs": [{"question": f"What does --ctx of {name} set?", "answer": TEXT}]}))


def made() -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]


def test_templates_need_no_model() -> None:
    done = run("--phrasings", "2")
    assert (done.exit_code, done.stdout) == (0, "")
    assert [line.split()[0] for line in done.stderr.splitlines()] == ["read", "pairs", "written"]
    assert "8 by template: 8 of files" in done.stderr
    assert [row["doc"] for row in made()] == [f"n:{i}.txt" for i in range(4) for _ in range(2)]
    assert not Path("out.jsonl.journal").exists()


def test_the_summary_as_json() -> None:
    with chat_server(answer) as server:
        done = run("--endpoint", server.url, "--endpoint-model", "m", "--json", "--price", "10:100", "--limit", "2")
    found = json.loads(done.stdout)
    assert found["pairs"] == {"template": {"file": 2}, "model": {"file": 2}}
    asked = found["asked"]
    assert (asked["rows"], asked["prompt_tokens"], asked["completion_tokens"]) == (2, 200, 40)
    assert asked["cost"] == pytest.approx((200 * 10 + 40 * 100) / 1e6)
    assert server.paths == ["/v1/chat/completions"] * 2
    assert server.headers[0]["Authorization"] == "Bearer sk-hidden"
    assert "sk-hidden" not in done.output + Path("out.jsonl").read_text() + Path("out.jsonl.journal").read_text()


def test_tokens_and_cost_are_said() -> None:
    with chat_server(answer) as server:
        done = run("--endpoint", server.url, "--endpoint-model", "m", "--phrasings", "0", "--price", "10:100")
    assert "4 by model: 4 of files" in done.stderr
    assert "400 read, 80 written;" in done.stderr
    assert "cost 0.01" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--endpoint", "http://127.0.0.1:1"], "without the model to ask"),
        (["--endpoint-model", "m"], "without --endpoint"),
        (["--endpoint", "http://127.0.0.1:1", "--endpoint-model", "m", "--model", "demo"], "are both given"),
        (["--parallel", "2"], "--parallel is for --endpoint"),
        (["--phrasings", "0"], "nobody to ask"),
    ],
)
def test_options_that_do_not_go_together(arguments: list[str], message: str) -> None:
    error = run(*arguments).exception
    assert isinstance(error, LocalftError)
    assert message in error.message
    assert error.hint


@pytest.mark.parametrize(
    ("arguments", "message"), [(["--kind", "pages"], "'pages' is not one of"), (["--price", "1"], "is no price")]
)
def test_values_that_are_none(arguments: list[str], message: str) -> None:
    done = run(*arguments)
    assert (done.exit_code, message in done.stderr) == (2, True)


def test_what_a_server_says_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with chat_server(lambda *_: refusal(404, "\x1b[2Jno such model")) as server:
        error = run("--endpoint", server.url, "--endpoint-model", "m").exception
    assert isinstance(error, LocalftError)
    print_error(error)
    said = capsys.readouterr().err
    assert "no such model" in said
    assert "\x1b" not in said
    assert not Path("out.jsonl").exists()


def test_a_run_that_fails_says_what_is_kept() -> None:
    with chat_server(lambda n, body: answer(n, body) if n < 2 else refusal(401)) as server:
        done = run("--endpoint", server.url, "--endpoint-model", "m", "--parallel", "1")
    assert isinstance(done.exception, LocalftError)
    assert "refuses the key (401)" in done.exception.message
    assert "replies so far are kept in `out.jsonl.journal`" in done.stderr
    assert "sk-hidden" not in done.output


def test_a_run_that_is_killed_goes_on() -> None:
    def stuck(n: int, body: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        if n >= 2:
            time.sleep(2)
        return answer(n, body)

    with chat_server(stuck) as server:
        arguments = ["--endpoint", server.url, "--endpoint-model", "m", "--phrasings", "0", "--parallel", "1"]
        program = [sys.executable, "-m", "localft", "data", "synth", "rows.jsonl", "-o", "out.jsonl", *arguments]
        program[1:3] = ["-c", "from localft.cli import main; main()"]
        process = subprocess.Popen(program, stderr=subprocess.DEVNULL, env=dict(os.environ))
        deadline = time.monotonic() + 60
        while len(server.bodies) < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not Path("out.jsonl").exists()
        assert len(Path("out.jsonl.journal").read_bytes().splitlines()) == 2
        server.respond = answer
        done = run(*arguments)
    assert "2 rows answered in an earlier run" in done.stderr
    assert len(server.bodies) == 3 + 2
    assert [row["doc"] for row in made()] == [f"n:{i}.txt" for i in range(4)]
