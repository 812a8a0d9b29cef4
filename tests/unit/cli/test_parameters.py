"""Values of options: `~` behind `=`, and what a shell offers for them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import BashComplete
from click.testing import CliRunner

from localft.chat.target import find_target
from localft.cli import cli
from localft.errors import AdapterError, LocalftError


def offered(line: str) -> list[tuple[str, str]]:
    """Kind and value of what is offered for the last word of `line`."""
    *words, begun = line.split(" ")
    complete = BashComplete(cli, {}, "localft", "_LOCALFT_COMPLETE")
    return [(item.type, item.value) for item in complete.get_completions(words, begun)]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("b", "a"):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        (folder / "config.json").touch()


@pytest.mark.usefixtures("runs")
@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("ch", ["chat"]),
        ("data s", ["synth", "split", "show"]),
        ("finetune --model smol", ["smollm2-135m", "smollm2-360m"]),
        ("chat --model dem", ["demo"]),
        ("bench --model tinym", ["tinymistral"]),
        ("convert tinym", ["tinymistral"]),
        ("data build --model tinym", ["tinymistral"]),
        ("data synth --model tinym", ["tinymistral"]),
        ("data show x --model tinym", ["tinymistral"]),
        ("data check x --model tinym", ["tinymistral"]),
        ("chat --lora r", ["runs/a", "runs/b"]),
        ("finetune --resume runs/b", ["runs/b"]),
        ("finetune --lr-schedule co", ["constant", "cosine"]),
        ("data build --kind d", ["docs"]),
    ],
)
def test_names_are_offered(line: str, values: list[str]) -> None:
    assert [value for kind, value in offered(line) if kind == "plain"] == values


@pytest.mark.parametrize(
    "line",
    [
        *("finetune --data x", "finetune --val-data x", "finetune --config x", "finetune --out x", "chat --template x"),
        *("chat --model ./x", "chat --lora ./x", "convert ./x", "data check x", "data show x", "data build x"),
        *("data split x", "data synth x", "data github a/b --from x", "data build a --out x", "convert a --out x"),
    ],
)
def test_files_are_offered(line: str) -> None:
    assert [kind for kind, _ in offered(line)] == ["file"]


def test_completion_loads_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys, os; from localft.cli import cli; os.environ.update(COMP_WORDS='localft chat --model d', "
        "COMP_CWORD='3', _LOCALFT_COMPLETE='bash_complete')\n"
        "try: cli.main(prog_name='localft')\n"
        "except SystemExit: print(sorted({m.split('.')[0] for m in sys.modules} & {'numpy', 'rich', 'gguf'}))"
    )
    said = subprocess.check_output([sys.executable, "-c", code], text=True, cwd=tmp_path)
    assert said.splitlines() == ["file,", "plain,demo", "[]"]


def run(line: str) -> LocalftError:
    done = CliRunner().invoke(cli, line.split(" "))
    assert isinstance(done.exception, LocalftError), done.output
    return done.exception


def test_a_tilde_behind_an_equals_sign_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    there = f"{tmp_path}/no"
    assert run("finetune --model demo --data=~/no").message.startswith(f"no data file `{there}`")
    assert f"`{there}`" in run("finetune --config=~/no").message
    assert f"`{there}`" in run("finetune --resume=~/no").message
    assert f"`{there}.gguf`" in run("chat --model=~/no.gguf").message
    assert f"`{there}`" in run("chat --lora=~/no").message
    assert f"`{there}`" in run("data show --model demo ~/no").message
    assert f"`{there}`" in CliRunner().invoke(cli, ["data", "check", "~/no"]).output
    assert f"`{there}`" in run("data split ~/no -o d").message
    assert f"`{there}`" in run("data github a/b -o x --from=~/no").message
    with pytest.raises(AdapterError, match=there):
        find_target("~/no", None)
