"""Cost curves: what a training step of the native engine costs against one thing at a time, in tok/s and peak memory.

    python benchmarks/curves.py                     every point that is not there yet, about an hour; then the pictures
    python benchmarks/curves.py --curve rank type   these curves alone: n_ctx, rank, threads, size, type
    python benchmarks/curves.py --again             measure points again that are there
    python benchmarks/curves.py --draw              pictures and page alone (pip install 'localft[bench]')

Every point is a process of its own and takes turns, after one warm-up step, with a reference job that is always the
same (one sequence of 512 tokens, rank 8, q8_0). Speeds are given at the reference's median speed, so that points of
different minutes of a busy machine can be compared. benchmarks/results/curves.json is written after every point, so an
interrupted run goes on where it was; the pictures and docs/costs.md are made from that file.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from child import Child, Side  # noqa: E402
from job import Job  # noqa: E402
from machine import describe  # noqa: E402
from model import SHAPES, matrices, model_file, n_weight  # noqa: E402
from rounds import rates, run  # noqa: E402

CURVES = ("n_ctx", "rank", "threads", "size", "type")
TYPES = ("f32", "f16", "bf16", "q8_0", "q6_k", "q5_k_m", "q4_k_m", "q4_0")
ONE_STEP = 4e9  # weights from which a point is a single step of half the tokens
MUCH = 1e12  # weights times tokens that a point's measured steps pass in all; at least two steps, at most MOST_ROUNDS
MOST_ROUNDS = 6


@dataclass(frozen=True)
class Point:
    """One measurement: `x` on the curve's axis, one line of it (`series`), and the job."""

    curve: str
    series: str
    x: float | str
    side: str
    shape: str
    n_ctx: int = 512
    rank: int = 8
    threads: int = 2

    @property
    def key(self) -> str:
        return f"{self.curve}/{self.series}/{self.x}"


def points(curve: str, shape: str, threads: int) -> Iterator[Point]:
    """The points of a curve, cheap ones first."""
    if curve == "n_ctx":
        for series, side in (("activations kept", "native:q8_0"), ("recomputed", "native:q8_0+recompute")):
            yield from (Point(curve, series, n, side, shape, n, 8, threads) for n in (256, 512, 1024, 2048, 4096, 8192))
    elif curve == "rank":
        for name in dict.fromkeys((shape, "llama-110m")):
            most = min(min(sides) for sides in matrices(SHAPES[name]).values())
            ranks = (rank for rank in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512) if rank <= most)
            yield from (Point(curve, name, rank, "native:q8_0", name, 512, rank, threads) for rank in ranks)
    elif curve == "threads":
        n_cpu = os.cpu_count() or 1
        counts = sorted({n_cpu, *(2**i for i in range(10) if 2**i < n_cpu)})
        yield from (Point(curve, shape, n, "native:q8_0", shape, 512, 8, n) for n in counts)
    elif curve == "size":
        for mode in ("q8_0", "q4_k_m"):
            yield from (_size_point(name, mode, threads) for name in SHAPES if _belongs(name, mode))
    else:
        yield from (Point(curve, shape, mode, f"native:{mode}", shape, 512, 8, threads) for mode in TYPES)


def _belongs(name: str, mode: str) -> bool:
    return name != "tiny-4m" and (mode == "q4_k_m" or n_weight(SHAPES[name]) < ONE_STEP)


def _size_point(name: str, mode: str, threads: int) -> Point:
    size = n_weight(SHAPES[name])
    return Point("size", mode, size, f"native:{mode}", name, 256 if size > ONE_STEP else 512, 8, threads)


def main() -> None:
    """Measure what is missing, then draw."""
    args = parse_args()
    found: dict[str, Any] = json.loads(args.results.read_text(encoding="utf-8")) if args.results.exists() else {}
    wanted = [point for curve in args.curve for point in points(curve, args.shape, args.threads)]
    for point in wanted if not args.draw else ():
        if point.key in found and not args.again:
            continue
        found[point.key] = measured = {**asdict(point), **measure(point, args), **describe("curves.py", sys.argv[1:])}
        args.results.parent.mkdir(parents=True, exist_ok=True)
        partial = args.results.with_suffix(".partial")
        partial.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        partial.replace(args.results)
        print(f"{point.key:40} {said(measured)}", file=sys.stderr)
    from plot import draw

    draw(comparable(found), args.docs)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--curve", nargs="+", choices=CURVES, default=CURVES, metavar="CURVE")
    add("--shape", choices=SHAPES, default="tinymistral-248m")
    add("--threads", type=int, default=2)
    add("--again", action="store_true", help="measure points again that are there")
    add("--draw", action="store_true", help="measure nothing")
    add("--results", type=Path, default=HERE / "results" / "curves.json")
    add("--docs", type=Path, default=HERE.parent / "docs", help="folder of costs.md and its pictures")
    return parser.parse_args()


def measure(point: Point, args: argparse.Namespace) -> dict[str, Any]:
    """Rates of the point and of the reference in a few rounds, and the point's peak memory."""
    reference = Point("", "", "", "native:q8_0", args.shape, threads=args.threads)
    children = [_child(reference), _child(point)]
    size = n_weight(SHAPES[point.shape])
    n_round = 1 if size > ONE_STEP else min(max(2, round(MUCH / (size * point.n_ctx))), MOST_ROUNDS)
    theirs, ours = run(children, 0 if size > ONE_STEP else 1, n_round, breakdown=False)
    if "failed" in ours or "failed" in theirs:
        return {"failed": ours.get("failed") or theirs["failed"]}
    return {
        "rates": rates(ours),
        "reference_rates": rates(theirs),
        "peak_mem_bytes": ours["peak_mem_bytes"],
        "engine_settings": ours["engine_settings"],
        "versions": ours["versions"],
    }


def _child(point: Point) -> Child:
    side = Side.parse(point.side)
    job = Job(point.shape, n_row=1, n_ctx=point.n_ctx, rank=point.rank)
    return Child(side, asdict(job), model_file(point.shape, side.engine, side.mode), point.threads)


def said(measured: dict[str, Any]) -> str:
    if "failed" in measured:
        return f"failed: {measured['failed']}"
    return f"{statistics.median(measured['rates']):8.1f} tok/s {measured['peak_mem_bytes'] / 2**30:6.2f} GiB"


def comparable(found: dict[str, Any]) -> list[dict[str, Any]]:
    """The points that did not fail, each with `tok_per_sec` as it were at the reference's median speed."""
    good = [point for point in found.values() if "failed" not in point]
    if not good:
        sys.exit("error: there is no point to draw")
    usual = statistics.median(rate for point in good for rate in point["reference_rates"])
    for point in good:
        pairs = zip(point["rates"], point["reference_rates"], strict=True)
        point["tok_per_sec"] = usual * statistics.median(ours / theirs for ours, theirs in pairs)
    return good


if __name__ == "__main__":
    main()
