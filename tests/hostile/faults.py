"""Writers that are killed, or refused by the disk, at each file operation: all is whole or not there, and it goes on.

python -m hostile.faults                         (in tests/; part of `make hostile`)
python -m hostile.faults --writer resume --at 7 --fault kill

A writer's file operations are counted by an audit hook; writes inside native code, and in the middle of a file, are met
by a limit on the size of files.
"""

from __future__ import annotations

import argparse
import errno
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

for name in ("helpers", "native", "."):
    sys.path.append(str(Path(__file__).parents[1] / name))

from hostile import sound  # noqa: E402
from hostile.attempt import attempt  # noqa: E402
from hostile.campaign import server  # noqa: E402
from hostile.sound import BUILD, TRAIN  # noqa: E402
from hostile.targets import ASK, EXPORT, SHOW, Command  # noqa: E402

_OPERATIONS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.link", "os.symlink", "os.truncate")
_DELETIONS = ("os.remove", "os.rmdir")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
ERRORS = {"full": errno.ENOSPC, "broken": errno.EIO, "forbidden": errno.EACCES}
_ROOM = 4096
KILLED = ("crash by SIGKILL", "crash by SIGXFSZ")


@dataclass(frozen=True)
class Writer:
    """A command that writes.

    Attributes:
        make: writes what it reads into an empty folder.
        command: "URL" in it becomes the address of the server.
        results: globs of what it writes; the same each time.
        again: goes on after a fault, where that is another command; taken if what `needs` names is there.
    """

    name: str
    make: Callable[[Path], None]
    command: Command
    results: Sequence[str]
    again: Command = ()
    needs: str = ""

    def recovery(self, folder: Path) -> Command:
        return self.again if self.again and (folder / self.needs).exists() else self.command


def _synthetic(folder: Path) -> None:
    sound.repository(folder)
    sound.run(folder, *BUILD)


_RUN = ("run/adapter-*.gguf",)
_STEPS = ("d.jsonl", "--out", "run", "--checkpoint-every", "1", "--val-every", "2", "--max-steps")
_RESUME = ("finetune", "--resume", "run")


def _writers() -> Iterator[Writer]:
    convert, quantise = (
        ("convert", "hf", "--out", "m.gguf", "--outtype", "f32"),
        ("convert", "hf", "--outtype", "q4_k_m"),
    )
    yield Writer("convert", sound.checkpoint("llama3"), convert, ["m.gguf"])
    yield Writer("quantise", sound.checkpoint("smollm"), quantise, ["home/models/*.gguf"])
    yield Writer("train", sound.model, (*TRAIN, *_STEPS, "4"), _RUN, _RESUME, "run/checkpoint.gguf")
    yield Writer("resume", sound.trained, (*_RESUME, "--max-steps", "4"), _RUN)
    count = (*TRAIN, "d.jsonl", "--no-val", "--dry-run", "--ctx", "32")
    yield Writer("tokens", sound.large, count, ["home/tokens/[!.]*/*"])
    yield Writer("split", sound.data, ("data", "split", "chats.jsonl", "rows.jsonl", "-o", "out"), ["out/*.jsonl"])
    yield Writer("show", sound.data, (*SHOW[:-1], "rows.jsonl", "--html", "o.html"), ["o.html"])
    yield Writer("build", sound.repository, BUILD, ["out.jsonl"])
    yield Writer("github", sound.github, (*EXPORT, "--api-url", "URL"), ["out.jsonl"])
    yield Writer("synth", _synthetic, ("data", "synth", "out.jsonl", "-o", "pairs.jsonl"), ["pairs.jsonl"])
    yield Writer("ask", sound.endpoint, (*ASK, "URL/v1"), ["pairs.jsonl"])
    yield Writer("merge", sound.adapter, ("call", "merge", "a.gguf", "m.gguf", "out.gguf"), ["out.gguf"])
    yield Writer("peft", sound.adapter, ("call", "to_peft", "a.gguf", "out", "m.gguf"), ["out/adapter*"])


WRITERS = {writer.name: writer for writer in _writers()}


class Operations:
    """An audit hook that counts what changes files under `folder`, and does `act` at the one numbered `at`, from 1."""

    def __init__(self, folder: Path, at: int, act: Callable[[], None], count: int = -1) -> None:
        self.folder, self.at, self.act, self.count, self.n = os.path.realpath(folder), at, act, count, 0

    def install(self) -> None:
        sys.addaudithook(self)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not (event == "open" and arguments[2] & _WRITES) and event not in _OPERATIONS:
            return
        path = arguments[0]
        if isinstance(path, int) or not os.path.realpath(os.fsdecode(path)).startswith(self.folder):
            return
        self.n += 1
        if self.count >= 0:
            os.write(self.count, b"-" if event in _DELETIONS else b".")
        if self.n == self.at:
            self.act()


def _kill() -> None:
    os.killpg(0, signal.SIGKILL)


def _fail(code: int) -> Callable[[], None]:
    def act() -> None:
        raise OSError(code, os.strerror(code))

    return act


def _limited(n_bytes: int, deadly: bool) -> Callable[[], None]:
    """No file may grow beyond `n_bytes`: the write fails, or ends the process."""

    def install() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL if deadly else signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))

    return install


class Bench:
    """Tries faults on one writer."""

    def __init__(self, writer: Writer, top: Path, url: str) -> None:
        self.writer, self.sound, self.case, self.url = writer, top / f"sound-{writer.name}", top / "case", url
        self.sound.mkdir(parents=True)
        writer.make(self.sound)
        self._fresh()
        ready, says = os.pipe()
        os.set_blocking(ready, False)
        counter = Operations(self.case, 0, _kill, says)
        outcome = self._run(writer.command, counter.install)
        assert outcome == "accepted", (writer.name, outcome)
        done = os.read(ready, 1 << 16)
        self.n_operations = len(done)
        # what cannot be deleted stays
        self.deletions = {at for at, kind in enumerate(done, 1) if kind == ord("-")}
        self.expected = self._results()
        assert self.expected, writer.name
        self.largest = max(map(len, self.expected.values()))

    def faults(self, rng: random.Random) -> Iterator[tuple[str, int]]:
        """Every operation with a kill and an error; sizes at which a write is cut off."""
        for at in range(1, self.n_operations + 1):
            yield "kill", at
            if at not in self.deletions:
                yield rng.choice(list(ERRORS)), at
        # what the command says goes to files too, and must have room
        for _ in range(16 * (self.largest > _ROOM)):
            yield "cut", rng.randrange(_ROOM, self.largest)
            yield "killed write", rng.randrange(_ROOM, self.largest)

    def fault(self, name: str, at: int) -> str:
        """What was wrong after that fault, or "" where nothing was."""
        self._fresh()
        if name in ("cut", "killed write"):
            install = _limited(at, name == "killed write")
        else:
            install = Operations(self.case, at, _kill if name == "kill" else _fail(ERRORS[name])).install
        outcome = self._run(self.writer.command, install)
        if outcome not in ("accepted", "refused", *KILLED):
            return outcome
        for path, data in self._results().items():
            if self.writer.name not in ("train", "resume", "ask") and data != self.expected.get(path):
                return f"{path} is not whole after it"
        recovered = self._run(self.writer.recovery(self.case))
        if recovered != "accepted":
            return f"then, {recovered}"
        if left := [path.name for path in self.case.rglob(".*.part")]:
            return f"left behind: {left[0]}"
        return "" if self._results() == self.expected else "then, another result"

    def _run(self, command: Command, install: Callable[[], None] | None = None) -> str:
        outcome = attempt([part.replace("URL", self.url) for part in command], self.case, install)
        kind = "accepted" if outcome.kind == "left behind" and install else outcome.kind
        return kind if kind in ("accepted", "refused", *KILLED) else f"{kind}: {outcome.words}"

    def _fresh(self) -> None:
        shutil.rmtree(self.case, ignore_errors=True)
        shutil.copytree(self.sound, self.case, symlinks=True)

    def _results(self) -> Mapping[str, bytes]:
        found = (path for glob in self.writer.results for path in self.case.glob(glob) if path.is_file())
        return {str(path.relative_to(self.case)): path.read_bytes() for path in found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--writer", action="append", choices=list(WRITERS), help="only this; repeatable")
    parser.add_argument("--fault", choices=("kill", *ERRORS, "cut", "killed write"))
    parser.add_argument("--at", type=int, help="the operation, or the byte")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--most", type=int, default=1 << 30, help="so many of each writer, chosen at random")
    given = parser.parse_args()
    top, n_wrong = Path(tempfile.mkdtemp(prefix="faults-")), 0
    with server(top / "case") as url:
        for name in given.writer or WRITERS:
            bench, rng, tried = Bench(WRITERS[name], top, url), random.Random(given.seed), Counter[str]()
            faults = list(bench.faults(rng)) if given.at is None else [(given.fault, given.at)]
            for fault, at in rng.sample(faults, min(len(faults), given.most)):
                tried[fault] += 1
                if wrong := bench.fault(fault, at):
                    n_wrong += 1
                    print(f"{name}: {fault} at {at}: {wrong}", flush=True)
            counts = ", ".join(f"{n} × {fault}" for fault, n in sorted(tried.items()))
            print(f"{name}: {bench.n_operations} operations; {counts}", flush=True)
    shutil.rmtree(top)
    sys.exit(n_wrong > 0)


if __name__ == "__main__":
    main()
