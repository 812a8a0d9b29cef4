"""`localft data github`: flags, what goes to stdout and to stderr, and that the token is in neither."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from github_server import NOW, Clock, Fault, GitHub

from localft.cli.data.github import command
from localft.curation.github.api import client
from localft.errors import ConfigError, LocalftError

SECRET = "ghp_" + "z9" * 18


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[GitHub]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GH_ENTERPRISE_TOKEN", SECRET)
    github = GitHub()
    github.token = SECRET
    monkeypatch.setattr(client, "time", Clock(github))
    github.issue(1, "First", body="x" * 700 + "\n\n" + "y" * 700)
    github.pull(2, "Second")
    github.file(2, "a.py", "@@ -0,0 +1,20 @@\n" + "\n".join("+" + "z" * 99 for _ in range(20)))
    yield github
    github.stop()


def call(github: GitHub, *flags: str) -> Result:
    arguments = ["owner/name", "-o", "out.jsonl", "--api-url", github.url, *flags]
    done = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert SECRET not in done.output
    return done


def test_the_screen_says_what_came_of_it(github: GitHub) -> None:
    done = call(github, "--chunk-tokens", "400")
    assert done.stdout == ""
    assert re.sub(r"[\d.]+ s$", "1 s", done.stderr).splitlines() == [
        "rows      5 rows from 1 pull request and 1 issue; 2 items in several",
        "tokens    about 1,564; 312 a row, at most 379",
        "chunks    of at most 400 tokens: --chunk-tokens; estimated at 2.5 bytes a token",
        "secrets   none found",
        "requests  4; 4,996 left this hour",
        "written   out.jsonl, 5 KiB, in 1 s",
    ]
    done = call(github)
    assert "requests  1, 1 of them answered “not modified”; 4,996 left this hour" in done.stderr
    assert "cache     2 items needed no request" in done.stderr


def test_what_was_left_out_stands_above_with_its_reason(github: GitHub) -> None:
    secret = "glpat-" + "aB3dE6gH9jK2mN5pQ8sT"
    github.comment(1, "lee", "2024-03-02T10:00:00Z", f"Mine is {secret}")
    github.comment(1, "codecov[bot]", "2024-03-02T10:00:00Z", "93 %")
    github.pull(3, "Bump", user={"login": "dependabot[bot]", "type": "Bot"})
    lines = call(github).stderr.splitlines()
    assert lines[0] == "left out (2)"
    assert sorted(lines[1:4]) == [
        "",
        "  bots' comments and reviews            1",
        "  pull requests that bots opened        1",
    ]
    assert "secrets   1 in 1 item redacted: 1 × gitlab token" in lines
    assert "secrets   1 in 1 item found and KEPT: 1 × gitlab token" in call(github, "--secrets", "keep").stderr
    assert secret in Path("out.jsonl").read_text("utf-8")
    done = call(github, "--secrets", "drop")
    assert "  issues with secrets " in done.stderr
    assert secret not in done.output + Path("out.jsonl").read_text("utf-8")


def test_json_is_on_stdout_alone(github: GitHub) -> None:
    found = json.loads(call(github, "--json", "--kind", "pr").stdout)
    assert (found["n_rows"], found["n_pull_requests"], found["n_issues"], found["n_requests"]) == (1, 1, 0, 4)
    assert found["left_out"] == {}
    assert found["output"] == "out.jsonl"


def test_waits_and_tries_are_shown(github: GitHub) -> None:
    github.faults += [Fault("/issues", 429, headers={"Retry-After": "30"}), Fault("/files", 502)]
    done = call(github)
    assert re.search(r"^GitHub's secondary rate limit: waiting 0:30, until \d\d:\d\d$", done.stderr, re.MULTILINE)
    assert "GitHub answered 502; try 2 of 5 in 1 s\n" in done.stderr


def test_a_wait_that_is_too_long(github: GitHub) -> None:
    github.remaining, github.reset = 0, NOW + 3000
    with pytest.raises(LocalftError, match=r"and --max-wait allows 2\.5 minutes"):
        call(github, "--max-wait", "2.5")
    assert not Path("out.jsonl").exists()


def test_a_bad_token_is_refused_and_not_printed(github: GitHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GH_ENTERPRISE_TOKEN", SECRET[:-1])
    with pytest.raises(LocalftError) as caught:
        call(github)
    assert caught.value.message == "GitHub refused the token in GH_ENTERPRISE_TOKEN (401: Bad credentials)"
    assert SECRET[:-1] not in f"{caught.value.hint}"


def test_nothing_in_the_cache_holds_the_token(github: GitHub, home: Path) -> None:
    import gzip

    call(github)
    files = list((home / "github").rglob("*.gz"))
    assert len(files) == 3
    assert not any(SECRET.encode() in gzip.decompress(file.read_bytes()) for file in files)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--from", "x", "--offline"], "`--from` reads files"),
        (["--from", "x", "--api-url", "https://x"], "`--from` reads files"),
        (["--chunk-tokens", "99"], "--chunk-tokens `99` is too small"),
        (["--kind", "issue", "--state", "merged"], "issues are open or closed, never merged"),
        (["--since", "monday"], "`--since monday` is no date"),
        (["--api-url", "here"], "`--api-url here` is no address of an API"),
    ],
)
def test_flags_that_make_no_sense(flags: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        CliRunner().invoke(command, ["owner/name", "-o", "out.jsonl", *flags], catch_exceptions=False)


def test_help_imports_no_client() -> None:
    program = (
        "import sys\n"
        "from localft.cli import cli\n"
        "cli.main(['data', 'github', '--help'], standalone_mode=False)\n"
        "unwanted = {'httpx2', 'numpy', 'rich', 'localft.curation.github.api.client'}\n"
        "print(sorted(unwanted & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert "localft data github owner/name -o prs.jsonl" in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_ctrl_c_keeps_what_was_fetched(github: GitHub) -> None:
    """A real process, a real wait: the server asks to wait a minute, and the user does not want to."""
    github.faults.append(Fault("/issues/1/", 429, headers={"Retry-After": "60"}))
    github.comment(1, "lee", "2024-03-02T00:00:00Z", "Hi")
    command = [sys.executable, "-m", "localft.cli", "data", "github", "owner/name", "-o", "out.jsonl"]
    command[1:3] = ["-c", "from localft.cli import main; main()"]
    process = subprocess.Popen(
        [*command, "--api-url", github.url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    )
    assert process.stderr is not None
    line = process.stderr.readline()
    assert "waiting 1:00" in line
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (130, "")
    assert list(filter(None, err.split("\n"))) == [
        "what was fetched is kept: the same command goes on from there",
        "interrupted",
    ]
    assert not Path("out.jsonl").exists()
    github.asked.clear()
    call(github)
    assert github.paths == ["/repos/owner/name/issues 304", "/repos/owner/name/issues/1/comments"]
