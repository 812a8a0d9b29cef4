"""Many attempts: so many cases of each target, or as many as there is time for.

python -m hostile.campaign --minutes 10          (in tests/; `make hostile`)
python -m hostile.campaign --target peft --seed 1234 --cases 1 --keep
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

for name in ("helpers", "native", "."):
    sys.path.append(str(Path(__file__).parents[1] / name))

from hostile.attempt import FINE, Outcome, attempt, with_children  # noqa: E402
from hostile.mutate import mutated  # noqa: E402
from hostile.server import served  # noqa: E402
from hostile.surroundings import surrounding  # noqa: E402
from hostile.targets import ARGUMENTS, TARGETS, odd_file  # noqa: E402

FOUND = Path(__file__).with_name("found.json")
ODD = 0.03


class Range:
    """A folder for the attempts of one worker, and the server that they may ask. Sound files are made once."""

    def __init__(self, top: Path, sound: Path) -> None:
        self.case, self.sound = top / "case", sound
        top.mkdir(parents=True)

    def attempt(self, name: str, seed: int, url: str = "") -> tuple[str, Outcome]:
        """What was tried, and what came of it. The same name and seed give the same case."""
        target, rng = TARGETS[name], random.Random(f"{name}:{seed}")
        shutil.rmtree(self.case, ignore_errors=True)
        shutil.copytree(self.sound / name, self.case, symlinks=True)
        files = sorted(path for glob in target.files for path in self.case.glob(glob) if path.is_file())
        for path in rng.sample(files, min(len(files), rng.choice((1, 1, 1, 2)))):
            if rng.random() < ODD:
                odd_file(path, rng)
            else:
                path.write_bytes(mutated(path.read_bytes(), path.name, rng))
        value = rng.choice(ARGUMENTS)
        command = [part.replace("URL", url) if part != "VALUE" else value for part in rng.choice(target.commands)]
        around = surrounding(rng) if target.around else None
        return " ".join([*command, *([str(around)] if around else [])]), attempt(command, self.case, around=around)


def make_sound(folder: Path, names: Sequence[str]) -> Path:
    """The sound files of each target, in a folder of its name."""
    made: dict[Any, Path] = {}
    for name in names:
        make = TARGETS[name].make
        if make in made:
            shutil.copytree(made[make], folder / name)
        else:
            made[make] = folder / name
            made[make].mkdir(parents=True)
            make(made[make])
    return folder


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """A process that serves what is in `folder`/served; its address."""
    says, hears = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        with served(folder / "served") as url:
            os.write(hears, url.encode())
            time.sleep(1e6)
    url = os.read(says, 100).decode()
    try:
        yield url
    finally:
        with_children(pid)
        os.waitpid(pid, 0)


def work(top: Path, sound: Path, jobs: Iterator[tuple[str, int]], until: float, report: Path) -> None:
    """Attempts, one after another, each a line of `report`."""
    place = Range(top, sound)
    with server(place.case) as url, report.open("w") as file:
        for name, seed in jobs:
            if time.monotonic() > until:
                break
            command, outcome = place.attempt(name, seed, url)
            line = {"target": name, "seed": seed, "command": command, **vars(outcome)}
            file.write(json.dumps(line) + "\n")
            file.flush()
            if outcome.kind not in FINE:
                said = f"{outcome.kind}: {name} {seed}: {outcome.words}\n    {command}"
                print(said.encode(errors="backslashreplace").decode(), flush=True)


def campaign(
    cases: Callable[[], Iterator[tuple[str, int]]], names: Sequence[str], minutes: float, n_workers: int, top: Path
) -> list[dict[str, Any]]:
    """Every attempt with its outcome.

    Args:
        cases: begins anew the names and seeds of all cases.
        names: of all targets that are among them.
    """
    sound = make_sound(top / "sound", names)
    until = time.monotonic() + 60 * minutes
    pids = []
    for worker in range(n_workers):
        pid = os.fork()
        if pid == 0:
            try:
                mine = islice(cases(), worker, None, n_workers)
                work(top / f"worker{worker}", sound, mine, until, top / f"report{worker}")
            finally:
                os._exit(0)
        pids.append(pid)
    for pid in pids:
        os.waitpid(pid, 0)
    return [json.loads(line) for n in range(n_workers) for line in (top / f"report{n}").read_text().splitlines()]


def table(found: Sequence[dict[str, Any]]) -> str:
    """Counts by target and kind."""
    kinds = sorted({each["kind"] for each in found} | set(FINE), key=lambda kind: (kind not in FINE, kind))
    counts = Counter((each["target"], each["kind"]) for each in found)
    rows = [["target", "tried", *kinds]]
    for name in [*dict.fromkeys(each["target"] for each in found), "all"]:
        here = [sum(n for (of, kind), n in counts.items() if kind == k and name in (of, "all")) for k in kinds]
        rows.append([name, str(sum(here)), *map(str, here)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1e6, help="stop after this time")
    parser.add_argument("--cases", type=int, default=1 << 40, help="so many of each target")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the first case")
    parser.add_argument("--target", action="append", choices=list(TARGETS), help="only this; repeatable")
    parser.add_argument("--found", action="store_true", help="only the cases of found.json")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--keep", action="store_true", help="keep the folders of the last cases")
    given = parser.parse_args()
    top = Path(tempfile.mkdtemp(prefix="hostile-"))
    print(f"seed {given.seed}, in {top}", flush=True)
    names = given.target or list(TARGETS)
    stored = [(case["target"], case["seed"]) for case in json.loads(FOUND.read_text())]
    if given.found:
        names = sorted({name for name, _ in stored})

    def cases() -> Iterator[tuple[str, int]]:
        return iter(stored) if given.found else ((n, given.seed + i) for i in range(given.cases) for n in names)

    found = campaign(cases, names, given.minutes, given.workers, top)
    print(table(found))
    slow, large = max(found, key=lambda each: each["seconds"]), max(found, key=lambda each: each["max_rss"])
    print(f"longest: {slow['seconds']:.1f} s, {slow['target']} {slow['seed']}")
    print(f"largest: {large['max_rss'] / 2**20:.0f} MiB, {large['target']} {large['seed']}")
    if not given.keep:
        shutil.rmtree(top)
    sys.exit(any(each["kind"] not in FINE for each in found))


if __name__ == "__main__":
    main()
