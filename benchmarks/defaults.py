"""What epochs, learning rate and batch size do to small jobs: the evidence for the defaults that localft derives.

    python benchmarks/defaults.py --model demo --data facts:48 --epochs 3 10 --lr 2e-4 1e-3 --batch-size 4 8
    python benchmarks/defaults.py --model smollm2.gguf --data ../shared/data/cafe            the defaults alone
    python benchmarks/defaults.py --table                                                    what is there, as Markdown

A data set is a folder with a train.jsonl, or `facts:N` (see facts.py). Each run is a line of
benchmarks/results/defaults.jsonl; one that is there is not repeated. Facts are counted as learned where the greedy
answer is the row's own to the letter: of the training rows, and of test.jsonl where there is one.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from facts import write_facts  # noqa: E402

RESULTS = HERE / "results" / "defaults.jsonl"
GRID = ("epochs", "lr", "batch_size")
MOST_ASKED = 60


def measure(model: str, data: str, settings: dict[str, Any], threads: int) -> dict[str, Any]:
    """Train once and ask."""
    import localft

    with tempfile.TemporaryDirectory(prefix="defaults-") as top:
        folder = write_facts(Path(top) / "facts", int(data.split(":")[1])) if data.startswith("facts:") else Path(data)
        flags = {"model": model, "data": [str(folder)], "out": f"{top}/run", "threads": threads, **settings}
        events = {type(event).__name__: event for event in localft.finetune(**flags)}
        end, start = events["RunEnd"], events["RunStart"]
        counts = {}
        for adapter in ("best", "last"):
            with localft.ChatSession(_base(model), f"{top}/run/adapter-{adapter}.gguf", temp=0, max_tokens=64) as chat:
                for name in ("train", "test"):
                    if (folder / f"{name}.jsonl").exists():
                        counts[f"{name}_{adapter}"] = exact(chat, folder / f"{name}.jsonl")
        used = {name: start.settings[name]["value"] for name in GRID}
        return {
            **{"model": Path(model).name, "data": data if data.startswith("facts:") else folder.name, **used},
            "given": sorted(settings),
            "steps": end.step,
            "val_loss_before": end.val_loss_before,
            "val_loss": end.val_loss_after,
            "best_step": end.best_step,
            "seconds": round(end.seconds, 1),
            **counts,
        }


def exact(chat: Any, path: Path) -> tuple[int, int]:
    """How many of the first rows are answered to the letter, and how many were asked."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()][:MOST_ASKED]
    right = 0
    for row in rows:
        question, answer = (
            (row["messages"][-2]["content"], row["messages"][-1]["content"])
            if "messages" in row
            else (row["prompt"], row["completion"])
        )
        chat.messages = []
        right += "".join(chat.ask(question)).strip() == answer.strip()
    return right, len(rows)


def _base(model: str) -> str:
    import localft

    return str(localft.convert(model).path)


def grid(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    axes = [(name, getattr(args, name)) for name in GRID if getattr(args, name)]
    for values in itertools.product(*(values for _, values in axes)):
        yield dict(zip((name for name, _ in axes), values, strict=True))


def table(results: Sequence[dict[str, Any]]) -> str:
    lines = ["| model | data | epochs | lr | batch | steps | val loss | train | test | seconds |", "|" + "---|" * 10]
    for r in results:
        train, test = ("/".join(map(str, r.get(f"{name}_best", ()))) or "–" for name in ("train", "test"))
        given = "" if r["given"] else " (derived)"
        loss = "–" if r["val_loss"] is None else f"{r['val_loss_before']:.2f} → {r['val_loss']:.3f}"
        cells = (r["model"], r["data"] + given, r["epochs"], f"{r['lr']:g}", r["batch_size"], r["steps"], loss)
        lines.append("| " + " | ".join(map(str, (*cells, train, test, r["seconds"]))) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="+", default=["demo"])
    parser.add_argument("--data", nargs="+", default=[])
    parser.add_argument("--epochs", nargs="*", type=int)
    parser.add_argument("--lr", nargs="*", type=float)
    parser.add_argument("--batch-size", nargs="*", type=int)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()
    results = [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []
    if args.table:
        print(table(results))
        return
    for model, data, settings in itertools.product(args.model, args.data, list(grid(args))):
        name = data if data.startswith("facts:") else Path(data).name
        wanted = {"model": Path(model).name, "data": name, **settings, "given": sorted(settings)}
        if any(wanted.items() <= result.items() for result in results if settings):
            continue
        result = measure(model, data, settings, args.threads)
        results.append(result)
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(json.dumps(result) + "\n")
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
