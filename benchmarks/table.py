"""Print Markdown tables of the results in benchmarks/results/ (or of the files and folders given).

    python benchmarks/table.py [FILE_OR_FOLDER ...]

tok/s are medians over the rounds. Ratios are medians over the ratios of the rounds, with the smallest and the largest:
to PEFT f32, and to the fastest PEFT side of the run. A second table says where the time of our own steps goes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rounds import speedup, spread

PEFT = {"f32": "f32", "bf16": "weights in bf16", "autocast": "bf16 autocast"}
OPTIONS = {"ckpt": "checkpointing", "compile": "compiled", "int16": "int16 arithmetic", "f32": "f32 arithmetic"}
KINDS = ("product", "attention", "elementwise", "low-rank", "head", "optimizer", "rest")

Result = dict[str, Any]


def main() -> None:
    """Print the tables of every result."""
    given = [Path(text) for text in sys.argv[1:]] or [Path(__file__).resolve().parent / "results"]
    paths = [path for name in given for path in (sorted(name.glob("train-*.json")) if name.is_dir() else [name])]
    if not paths:
        sys.exit(f"error: no results in `{given[0]}`\n\nhint: run `python benchmarks/train.py` first")
    for path in paths:
        result = json.loads(path.read_text(encoding="utf-8"))
        print("\n".join([*comparison(result), "", *breakdown(result)]))


def title_of(result: Result) -> str:
    """What every side of a result has in common."""
    job, data = result["job"], result["data"]
    work = f"{count(job['n_row'], 'sequence')} × {job['n_ctx']} tokens per step"
    if "file" in data:
        mean = data["tok_per_row"]["mean"]
        work = f"{data['n_row']} rows of {data['file']} (mean {mean:.0f} tokens), {job['n_row']} per step"
    rounds = max((len(side["seconds"]) for side in result["sides"] if "seconds" in side), default=0)
    where = f"{result['cpu']}, {count(result['threads'], 'thread')}"
    return f"{job['shape']}, {work}, LoRA rank {job['rank']}, {where}, {count(rounds, 'round')}:"


def count(n: int, thing: str) -> str:
    return f"{n} {thing}{'s' * (n != 1)}"


def comparison(result: Result) -> Iterator[str]:
    """The sides, slowest first, those that failed last."""
    sides = [side for side in result["sides"] if "failed" not in side]
    epoch = ["epoch"] if "n_step" in result["data"] else []
    yield from (title_of(result), "")
    yield row(["trainer", "rows per pass", "tok/s", "× PEFT f32", "× best PEFT", "peak RSS", *epoch])
    yield "|---|" + "--:|" * (5 + len(epoch))
    base, best = plain_peft(sides), best_peft(sides)
    for side in sorted(sides, key=lambda side: side["tok_per_sec"]["median"]):
        rate = side["tok_per_sec"]["median"]
        cells = [title(side), str(side["rows_per_pass"] or "auto"), f"{rate:.0f}" if rate >= 10 else f"{rate:.1f}"]
        cells += [ratio(side, base), ratio(side, best), f"{side['peak_mem_bytes'] / 2**30:.1f} GiB"]
        yield row(cells + [epoch_time(side, result["data"]) for _ in epoch])
    for side in result["sides"]:
        if "failed" in side:
            yield row([title(side), str(side["rows_per_pass"] or "auto"), f"failed: {side['failed']}"])


def row(cells: list[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def title(side: Result) -> str:
    options = "".join(f", {OPTIONS.get(option, option)}" for option in side["options"])
    if side["engine"] == "peft":
        return f"PyTorch + PEFT, {PEFT[side['mode']]}{options}"
    return f"localft, {side['mode']} base{options}"


def plain_peft(sides: list[Result]) -> Result | None:
    """PEFT f32 without further options, with the number of rows per pass that serves it best."""
    return best_peft([side for side in sides if side["mode"] == "f32" and not side["options"]])


def best_peft(sides: list[Result]) -> Result | None:
    """The fastest PEFT side."""
    peft = [side for side in sides if side["engine"] == "peft"]
    return max(peft, key=lambda side: side["tok_per_sec"]["median"], default=None)


def ratio(side: Result, baseline: Result | None) -> str:
    """Median and range of the rounds' ratios; a dash without a baseline."""
    if baseline is None:
        return "–"
    if side is baseline:
        return "1"
    found = speedup(side, baseline)
    return f"{found['median']:.2f} ({found['min']:.2f}–{found['max']:.2f})"


def epoch_time(side: Result, data: Result) -> str:
    """Wall time of all steps of an epoch; "≈" where it follows from some of them, by tokens."""
    whole = len(side["seconds"]) == data["n_step"]
    seconds = sum(side["seconds"]) * (1 if whole else data["n_tok"] / sum(side["n_tok"]))
    return f"{'' if whole else '≈ '}{seconds / 60:.1f} min"


def breakdown(result: Result) -> Iterator[str]:
    """Where the time of a native step goes, in percent of one step that was run node by node."""
    sides = [side for side in result["sides"] if "breakdown" in side]
    if not sides:
        return
    yield row(["percent of a step", *KINDS, "seconds"])
    yield "|---|" + "--:|" * (len(KINDS) + 1)
    for side in sides:
        seconds = side["breakdown"]["seconds"]
        total = sum(seconds.values())
        shares = [f"{100 * seconds.get(kind, 0) / total:.1f}" for kind in KINDS]
        yield row([title(side), *shares, f"{total:.2f} ({spread(side['seconds'])['median']:.2f} at once)"])
    yield ""


if __name__ == "__main__":
    main()
