"""Pictures of the cost curves (SVG), and the page that shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator

Points = list[dict[str, Any]]

# Curve: heading, label of the axis, what is to be seen.
TEXTS = {
    "n_ctx": (
        "Context",
        "tokens in the sequence",
        "One sequence in one pass. Attention grows with the square of its length, everything else with the length; "
        "activations take memory in proportion. Recomputing them in the backward pass takes time and saves memory; "
        "`localft finetune` does it for as many layers as the memory asks for.",
    ),
    "rank": (
        "Rank of the adapter",
        "rank",
        "One sequence of 512 tokens; every matrix of every layer is adapted. A rank can be no larger than a matrix's "
        "smaller side.",
    ),
    "threads": ("Threads", "threads", "One sequence of 512 tokens."),
    "size": (
        "Size of the model",
        "weights",
        "One sequence of 512 tokens; the largest model is a single step of 256, without warm-up.",
    ),
    "type": ("Type of the base", "", "One sequence of 512 tokens. Peak memory holds the base, which is mapped."),
}
STYLE = {
    "svg.hashsalt": "localft",
    "svg.fonttype": "path",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "axes.axisbelow": True,
    "axes.prop_cycle": matplotlib.cycler(color=["#1f6f8b", "#d1603d"]),
}


def draw(points: Points, docs: Path) -> None:
    """Write docs/costs.md and a picture for each curve that has points."""
    folder = docs / "costs"
    folder.mkdir(parents=True, exist_ok=True)
    parts = [_head(points)]
    for curve, (heading, label, text) in TEXTS.items():
        chosen = [point for point in points if point["curve"] == curve]
        if chosen:
            _picture(chosen, label, folder / f"{curve}.svg")
            parts.append(
                f"## {heading}\n\n{text}\n\n![{heading}](costs/{curve}.svg)\n\n{_table(chosen, label or curve)}\n"
            )
    (docs / "costs.md").write_text("\n".join(parts), encoding="utf-8")
    print(docs / "costs.md")


def _head(points: Points) -> str:
    cpus = ", ".join(sorted({point["cpu"] for point in points}))
    threads = ", ".join(str(n) for n in sorted({point["threads"] for point in points if point["curve"] != "threads"}))
    shapes = ", ".join(sorted({point["shape"] for point in points if point["curve"] in ("n_ctx", "threads", "type")}))
    return (
        "# What training costs\n\n"
        f"Forward, backward and update of the native engine on {cpus}, {threads or 'several'} threads, models of known "
        f"shapes with random weights{f' ({shapes} where no other is named)' if shapes else ''}, rank 8 and q8_0 where "
        "nothing else is said. Speeds are scaled by a reference job that took turns with each point. Made by "
        "`python benchmarks/curves.py` from `benchmarks/results/curves.json`.\n"
    )


def _picture(points: Points, label: str, path: Path) -> None:
    with plt.rc_context(STYLE):
        figure, (speed, memory) = plt.subplots(1, 2, figsize=(8, 2.8), layout="constrained")
        series = dict.fromkeys(point["series"] for point in points)
        for name in series:
            line = [point for point in points if point["series"] == name]
            _plot(speed, line, [point["tok_per_sec"] for point in line])
            _plot(memory, line, [point["peak_mem_bytes"] / 2**30 for point in line])
        for axes, title in ((speed, "tok/s"), (memory, "peak memory, GiB")):
            axes.set_title(title, loc="left")
            axes.set_xlabel(label)
            _scale(axes, points)
        if len(series) > 1:
            speed.legend(frameon=False)
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)


def _plot(axes: Axes, points: Points, values: list[float]) -> None:
    if isinstance(points[0]["x"], str):
        axes.bar([point["x"] for point in points], values, width=0.6)
        axes.tick_params(axis="x", labelsize=7)
        axes.grid(axis="x", visible=False)
    else:
        axes.plot([point["x"] for point in points], values, "o-", label=points[0]["series"], markersize=4)


def _scale(axes: Axes, points: Points) -> None:
    """From zero where values are alike; logarithmic where they span decades."""
    if points[0]["curve"] == "size":
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    else:
        axes.set_ylim(0, 1.08 * axes.dataLim.ymax)
    if not isinstance(points[0]["x"], str):
        axes.set_xscale("log", base=2)
        axes.set_xticks(sorted({point["x"] for point in points}))
        axes.xaxis.set_major_formatter(lambda value, _: short(value))
    axes.minorticks_off()


def short(value: float) -> str:
    """A count as an axis shows it: 8192, 248M, 1.1B."""
    if value < 1e6:
        return f"{value:g}"
    return f"{value / 1e6:.0f}M" if value < 1e9 else f"{value / 1e9:.1f}B"


def _table(points: Points, label: str) -> str:
    lines = [f"| {label} | | tok/s | peak memory |", "|--:|---|--:|--:|"]
    for point in points:
        x = point["x"] if isinstance(point["x"], str) else short(point["x"])
        what = point["shape"] if point["curve"] == "size" else ""
        series = ", ".join(part for part in (what, point["series"]) if part)
        rate = point["tok_per_sec"]
        shown = f"{rate:.0f}" if rate >= 10 else f"{rate:.1f}"
        lines.append(f"| {x} | {series} | {shown} | {point['peak_mem_bytes'] / 2**30:.2f} GiB |")
    return "\n".join(lines)
