"""What is attacked: files of each kind, and the commands that read them."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from checkpoints import VOCABULARIES

from hostile import sound
from hostile.sound import BUILD, SMALL, TRAIN

Command = tuple[str, ...]
CHAT = ("chat", *SMALL, "--max-tokens", "2", "--prompt", "Hello there")
SHOW = ("data", "show", "--model", "m.gguf", "--tokens")
CHECK = ("data", "check", "--model", "m.gguf")
EXPORT = ("data", "github", "owner/name", "-o", "out.jsonl")
ASK = ("data", "synth", "out.jsonl", "-o", "pairs.jsonl", "--retries", "0", "--endpoint-model", "m", "--endpoint")
LINES = ("rows.jsonl", "chats.jsonl", "sharegpt.jsonl", "rows.jsonl.gz")
TABLES = ("rows.json", "rows.csv", "rows.tsv", "rows.parquet", "text.txt", "page.md")


@dataclass(frozen=True)
class Target:
    """One kind of reading.

    Attributes:
        make: writes sound files into an empty folder.
        files: globs of the files that are mutated.
        commands: what reads them; one is chosen for each attempt. "URL" in them becomes the address of the server.
    """

    name: str
    make: Callable[[Path], None]
    files: Sequence[str]
    commands: Sequence[Command]


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
