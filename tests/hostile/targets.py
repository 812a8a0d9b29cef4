"""What is attacked: files of each kind, and the commands that read them."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from checkpoints import VOCABULARIES, write_checkpoint
from repos import Repo

from hostile import sound
from hostile.sound import BUILD, SMALL, TRAIN
from localft.cli import cli

Command = tuple[str, ...]
CHAT = ("chat", *SMALL, "--max-tokens", "2", "--prompt", "Hello there")
SHOW = ("data", "show", "--model", "m.gguf", "--tokens")
CHECK = ("data", "check", "--model", "m.gguf")
EXPORT = ("data", "github", "owner/name", "-o", "out.jsonl")
ASK = ("data", "synth", "out.jsonl", "-o", "pairs.jsonl", "--retries", "0", "--endpoint-model", "m", "--endpoint")
SPLIT = ("data", "split", "rows.jsonl", "-o", "out")
ARGUMENTS = (
    *("", " ", "0", "-1", "1", "1e-300", "1e300", "nan", "inf", "-inf", "1e999", "9" * 400, "0x10", "1_000", "٣", "²"),
    *("1.5", "2147483648", "9223372036854775808", "5%", "-5%", "1:2", ":", "a:b", "a=b", "=", "-", "--", "--help", "*"),
    *("é", "\x1b[2J", "\u202e", "\udcff", "a\nb", "a" * 5000, "{}", "[", "None", "true", "all", "repo", "..", "~"),
    *("https://", "hf:", "hf:a/b", "file:///etc/passwd", "chats.jsonl:2", "rows.jsonl", "rows.parquet", "m.gguf"),
)
LINES = ("rows.jsonl", "chats.jsonl", "sharegpt.jsonl", "rows.jsonl.gz")
TABLES = ("rows.json", "rows.csv", "rows.tsv", "rows.parquet", "text.txt", "page.md")


@dataclass(frozen=True)
class Target:
    """One kind of reading.

    Attributes:
        make: writes sound files into an empty folder.
        files: globs of the files that are mutated.
        commands: what reads them; one is chosen for each attempt. "URL" in them becomes the address of the server,
            "VALUE" one of `ARGUMENTS`.
        around: in a program of its own, with another environment and other streams each time.
    """

    name: str
    make: Callable[[Path], None]
    files: Sequence[str]
    commands: Sequence[Command]
    around: bool = False


def _targets() -> Iterator[Target]:
    yield Target("model", sound.model, ["m.gguf"], [CHAT, (*TRAIN, "d.jsonl", "--dry-run"), (*SHOW, "d.jsonl")])
    bench = ("bench", *SMALL, "--ctx", "16")
    yield Target("byte bpe", sound.byte_bpe, ["m.gguf"], [CHAT, bench, (*SHOW, "d.jsonl")])
    merge = ("call", "merge", "a.gguf", "m.gguf", "out.gguf")
    yield Target("adapter", sound.adapter, ["a.gguf"], [(*CHAT, "--lora", "a.gguf"), merge])
    yield Target("peft", sound.adapter, ["peft/*"], [("call", "from_peft", "peft", "m.gguf")])
    for kind in VOCABULARIES:
        convert = ("convert", "hf", "--out", "m.gguf", "--outtype", "f16")
        yield Target(f"checkpoint {kind}", sound.checkpoint(kind), ["hf/*"], [convert])
    yield Target("template", sound.data, ["t.jinja"], [(*CHAT, "--template", "t.jinja")])
    yield from _runs()
    yield from _data()
    yield from _made()
    yield Target("arguments", _places, [], list(_arguments()))
    yield Target("surroundings", _around, [], _QUICK, around=True)
    yield Target("surroundings of a model", _around, [], _SLOW, around=True)


ODD_NAME = os.fsdecode(b"caf\xe9 \xff")
_QUICK = (
    *(("--help",), ("data", "build", "--help"), ("no-such-command",), ("doctor",), ("doctor", "--json")),
    *(
        (*BUILD, "--model", "m.gguf"),
        BUILD,
        ("data", "build", ODD_NAME, "-o", f"{ODD_NAME}.jsonl", "--kind", "history"),
    ),
    *(("data", "check", name) for name in ("rows.jsonl", f"{ODD_NAME}/rows.jsonl", "no\udcff.jsonl")),
    *(("data", "split", "rows.jsonl", "-o", "out"), ("data", "split", f"{ODD_NAME}/rows.jsonl", "-o", ODD_NAME)),
    *(("data", "synth", "texts.jsonl", "-o", "pairs.jsonl"), (*EXPORT, "--offline"), (*EXPORT, "--from", "rows.jsonl")),
    (*EXPORT, "--api-url", "http://127.0.0.1:9", "--max-wait", "0"),
)
_SLOW = (
    *((*CHAT[:-1], "-"), CHAT[:-2], CHAT[:-2], (*CHAT[:-1], "\udcff"), (*CHAT, "--system", "a\udc80b")),
    *((*CHAT, *odd) for odd in (("--stop", "\udcff"), ("--template", "\udcff"), ("--lora", "\udcff"))),
    *((*SHOW, "rows.jsonl"), (*SHOW[:-1], "rows.jsonl", "--html", f"{ODD_NAME}.html")),
    *((*CHECK, "rows.jsonl", "--json"), (*TRAIN, "rows.jsonl", "--dry-run")),
    *((*TRAIN, f"{ODD_NAME}/rows.jsonl", "--max-steps", "1", *more) for more in (("--json",), ("--out", ODD_NAME))),
    *(("convert", name, "--out", f"{ODD_NAME}.gguf") for name in ("demo", f"{ODD_NAME}/m.gguf", f"{ODD_NAME}/hf")),
    *(("convert", "demo"), ("convert", "owner/name"), ("chat", "--lora"), ("bench", "--model", f"{ODD_NAME}/m.gguf")),
    *(
        ("chat", "--model", f"{ODD_NAME}/m.gguf", "--prompt", "a", "--max-tokens", "1"),
        (*CHECK[:3], f"{ODD_NAME}/m.gguf", "rows.jsonl"),
    ),
    (*ASK[:2], "texts.jsonl", *ASK[3:], "http://127.0.0.1:9/v1"),
)


def _around(folder: Path) -> None:
    """Rows and a repository, both also under a name that is not UTF-8, in its files and commits too."""
    _places(folder)
    sound.run(folder, *BUILD[:4], "texts.jsonl")
    odd = folder / ODD_NAME
    odd.mkdir()
    for name in ("rows.jsonl", "m.gguf"):
        shutil.copy(folder / name, odd)
    write_checkpoint(odd / "hf", vocabulary="smollm", n_merges=60)
    repo = Repo(odd)
    repo.commit(
        "first",
        {
            f"{ODD_NAME}.py": "def f(x):\n    return x\n" * 5,
            "d\udcff/README.md": "# Words\n\nMore.\n",
            "b.py": "y = 1\n",
        },
    )
    repo.commit("second \udcff", {f"{ODD_NAME}.py": "def f(x):\n    return x + 1\n" * 5})
    (folder / "file").touch()


def _places(folder: Path) -> None:
    sound.data(folder)
    sound.repository(folder)


def _runs() -> Iterator[Target]:
    resume, talk = ("finetune", "--resume", "run"), ("chat", "--prompt", "Hi", "--max-tokens", "2", "--lora")
    yield Target("run", sound.trained, ["run/*", "home/*"], [resume, (*resume, "--dry-run"), (*talk, "run")])
    again = (*TRAIN, "d.jsonl", "--no-val", "--max-steps", "1", "--ctx", "32", "--out", "run")
    yield Target("tokens", sound.tokens, ["home/tokens/*/*", "home/*.json"], [again])
    yield Target("config", sound.data, ["c.toml"], [(*TRAIN, "rows.jsonl", "--config", "c.toml", "--dry-run")])
    yield Target("card", sound.data, ["c.toml"], [("call", "read_card", "c.toml")])


def _data() -> Iterator[Target]:
    for name in (*LINES, *TABLES):
        commands: list[Command] = [(*CHECK, name), (*SHOW, name), (*TRAIN, name, "--dry-run")]
        if name in LINES:
            commands += [("data", "split", name, "-o", "out"), ("data", "synth", name, "-o", "out.jsonl")]
        yield Target(name, sound.data, [name], commands)


def _made() -> Iterator[Target]:
    tree = ["repo/*", "repo/.gitignore", "repo/.gitattributes", "repo/pkg/*"]
    yield Target("repository", sound.repository, tree, [BUILD])
    git = ["repo/.git/*", "repo/.git/refs/heads/*", "repo/.git/objects/*/*"]
    yield Target("git", sound.repository, git, [BUILD, (*BUILD, "--rev", "main")])
    yield Target("github", sound.github, ["served/*"], [(*EXPORT, "--api-url", "URL")])
    yield Target("saved", sound.github, ["saved/*"], [(*EXPORT, "--from", "saved")])
    yield Target("endpoint", sound.endpoint, ["served/*", "out.jsonl"], [(*ASK, "URL/v1")])


def _arguments() -> Iterator[Command]:
    """Every option of every command that takes a value, with an odd one."""
    for base in (
        CHAT,
        (*TRAIN, "rows.jsonl", "--dry-run"),
        (*CHECK, "rows.jsonl"),
        (*SHOW, "rows.jsonl"),
        BUILD,
        SPLIT,
    ):
        words = base[:2] if base[0] == "data" else base[:1]
        command: click.Command = cli
        for word in words:
            assert isinstance(command, click.Group)
            command = command.get_command(click.Context(command), word) or command
        for option in command.params:
            if isinstance(option, click.Option) and not option.is_flag and "--out" not in option.opts:
                yield (*base, option.opts[-1], "VALUE")


TARGETS = {target.name: target for target in _targets()}


def odd_file(path: Path, rng: random.Random) -> None:
    """Something in the file's place that is no file, or none at all."""
    path.unlink()
    choice = rng.choice(("none", "folder", "pipe", "nowhere", "/dev/zero", path.name))
    if choice == "folder":
        path.mkdir()
    elif choice == "pipe":
        os.mkfifo(path)
    elif choice != "none":
        path.symlink_to(choice)
