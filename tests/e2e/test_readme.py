"""What the README and the guide tell a reader to type is what the program takes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from localft.cli import COMMANDS, cli

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "docs/guide.md", "docs/data.md", "docs/chat.md", "docs/limits.md", "examples/README.md")
# Flags of the old llama.cpp program, which are translated and not declared, and of other programs.
FOREIGN = {"--model-base", "--train-data"}


def commands(page: str) -> list[list[str]]:
    """The `localft …` lines of a page, as argument lists."""
    lines = re.findall(r"^    (localft .+?)(?:   +.*)?$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    return [shlex.split(line.split(" > ")[0])[1:] for line in lines]


def known_flags() -> set[str]:
    flags = {"--help", "--version"}
    for command in commands_of(cli):
        flags |= {option for param in command.params for option in (*param.opts, *param.secondary_opts)}
    return flags


def commands_of(group: click.Command) -> Iterator[click.Command]:
    yield group
    if isinstance(group, click.Group):
        for name in group.list_commands(click.Context(group)):
            command = group.get_command(click.Context(group), name)
            assert command is not None
            yield from commands_of(command)


@pytest.mark.parametrize("page", PAGES)
def test_every_flag_exists(page: str) -> None:
    flags, known = set(), known_flags() | FOREIGN
    for arguments in commands(page):
        assert arguments[0] in COMMANDS or arguments[0].startswith("-"), arguments
        flags |= {argument.split("=")[0] for argument in arguments if argument.startswith("--")}
    assert flags <= known, flags - known


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", text):
        assert target.startswith("https://") or ((ROOT / page).parent / target).exists(), target


def test_the_readme_has_its_two_commands() -> None:
    assert commands("README.md")[:2] == [
        ["finetune", "--model", "demo", "--data", "examples/parrot"],
        ["chat", "--lora"],
    ]


def test_the_python_of_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    exec(compile(block.replace("epochs=2", "max_steps=1"), "README.md", "exec"), {})
    assert "grass" in capsys.readouterr().out.splitlines()[-1]
