"""Print a Markdown table of the results in benchmarks/results/ (or in the folder given).

    python benchmarks/table.py [FOLDER]

The ratios are to PEFT f32 of the same run; a result whose run had no such side has none.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

NAMES = {"native": "localft", "peft": "PyTorch + PEFT"}
MODES = {"bf16": "weights in bf16", "autocast": "bf16 autocast"}

HEAD = (
    "| trainer | rows per pass | tok/s | range | × PEFT f32 | peak RSS | ÷ PEFT f32 |",
    "|---|--:|--:|--:|--:|--:|--:|",
)


def main() -> None:
    """Print one table per job, machine and number of threads."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent / "results"
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for path in sorted(folder.glob("train-*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        groups[title_of(result)].append(result)
    if not groups:
        sys.exit(f"error: no results in `{folder}`\n\nhint: run `python benchmarks/train.py` first")
    print("\n\n".join(table(title, results) for title, results in groups.items()))


def title_of(result: dict[str, Any]) -> tuple[str, ...]:
    """What results in one table have in common."""
    job = result["job"]
    work = f"{job['n_row']} sequences × {job['n_ctx']} tokens per step, LoRA rank {job['rank']}"
    return job["shape"], work, result["cpu"], f"{result['threads']} threads"


def table(title: tuple[str, ...], results: list[dict[str, Any]]) -> str:
    """Markdown: a line on the job, then its sides, slowest first."""
    baselines = {r["run"]: r for r in results if (r["side"]["engine"], r["side"]["mode"]) == ("peft", "f32")}
    rows = sorted(results, key=lambda r: r["tok_per_sec"]["median"])
    lines = [line(result, baselines.get(result["run"])) for result in rows]
    return "\n".join([f"{', '.join(title)}:", "", *HEAD, *lines])


def line(result: dict[str, Any], baseline: dict[str, Any] | None) -> str:
    """One side's row."""
    side, rate, peak = result["side"], result["tok_per_sec"], result["peak_mem_bytes"]["median"]
    mode = MODES.get(side["mode"], side["mode"]) if side["engine"] == "peft" else f"{side['mode']} base"
    if result["engine_settings"].get("arithmetic") == "int16":
        mode += ", int16"
    faster = smaller = "–"
    if baseline:
        faster = f"{rate['median'] / baseline['tok_per_sec']['median']:.2f}"
        smaller = f"{peak / baseline['peak_mem_bytes']['median']:.2f}"
    cells = (
        f"{NAMES[side['engine']]}, {mode}",
        str(side["rows_per_pass"]),
        f"{rate['median']:.0f}",
        f"{rate['min']:.0f}–{rate['max']:.0f}",
        faster,
        f"{peak / 2**30:.1f} GiB",
        smaller,
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
