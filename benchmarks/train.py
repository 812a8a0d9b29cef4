"""Measure training: localft's native engine against PyTorch with PEFT, both in one run on one machine.

    python benchmarks/train.py                                      the yardstick job, every side, about 30 minutes
    python benchmarks/train.py --sides native:q8_0 peft:f32:4 --repeats 1 --steps 2
    python benchmarks/train.py --shape tiny-4m                      a minute, to try the script

A side is ENGINE:MODE[:ROWS], ROWS being the sequences in one forward and backward pass (native 1, peft 4 where not
given): native:f32, native:bf16, native:q8_0, native:q4_k_m …, peft:f32, peft:bf16, peft:autocast. Each measurement
runs in a process of its own, after --warmup steps that do not count; the sides take turns, --repeats times. One JSON
per side goes to benchmarks/results/; benchmarks/table.py makes a table of them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE), str(ROOT)]

from job import SHAPES, Job, model_file  # noqa: E402

DEFAULT_SIDES = ("native:f32", "native:bf16", "native:q8_0", "peft:f32", "peft:f32:1", "peft:bf16", "peft:autocast")
DEFAULT_ROWS = {"native": 1, "peft": 4}


@dataclass(frozen=True)
class Side:
    """One way to do the job."""

    engine: str
    mode: str
    rows_per_pass: int

    @staticmethod
    def parse(text: str) -> Side:
        engine, mode, *rows = text.split(":")
        if engine not in DEFAULT_ROWS:
            raise argparse.ArgumentTypeError(f'"{engine}" is neither native nor peft')
        return Side(engine, mode, int(rows[0]) if rows else DEFAULT_ROWS[engine])

    def __str__(self) -> str:
        return f"{self.engine}-{self.mode}-r{self.rows_per_pass}"


def main() -> None:
    """Measure every side in turn and write the results."""
    args = parse_args()
    job = Job(args.shape, n_row=args.rows, n_ctx=args.ctx)
    sides = [Side.parse(text) for text in args.sides]
    for side in sides:
        model_file(job.shape, side.engine, side.mode)
    runs: dict[Side, list[dict[str, Any]]] = {side: [] for side in sides}
    about = describe_run(args, job)
    for repeat in range(args.repeats):
        for side in sides:
            runs[side].append(measured := measure(side, job, args))
            rate = statistics.median(rates(job, measured, args.warmup))
            peak = measured["peak_mem_bytes"] / 2**30
            print(f"{repeat + 1}/{args.repeats}  {side!s:22} {rate:7.1f} tok/s {peak:6.2f} GiB", file=sys.stderr)
        check_losses(runs)
        for side in sides:
            write_result(args.out, summary(side, job, runs[side], about, args))
    for side in sides:
        print(result_path(args.out, job, side))


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", nargs="+", default=DEFAULT_SIDES, metavar="SIDE")
    parser.add_argument("--shape", choices=SHAPES, default="tinymistral-248m")
    parser.add_argument("--rows", type=int, default=4, help="sequences per step (4)")
    parser.add_argument("--ctx", type=int, default=512, help="tokens per sequence (512)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--arithmetic", choices=("auto", "f32", "int16"), default="auto", help="of native sides (auto)")
    parser.add_argument("--warmup", type=int, default=2, help="steps that do not count (2)")
    parser.add_argument("--steps", type=int, default=3, help="measured steps per repeat (3)")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peft-python", default=sys.executable, help="interpreter that has torch and peft")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    return parser.parse_args()


def measure(side: Side, job: Job, args: argparse.Namespace) -> dict[str, Any]:
    """One child process: warm-up and measured steps of one side."""
    spec = {
        **asdict(side),
        "job": asdict(job),
        "model": str(model_file(job.shape, side.engine, side.mode)),
        "threads": args.threads,
        "arithmetic": args.arithmetic,
        "n_warmup": args.warmup,
        "n_step": args.steps,
    }
    python = args.peft_python if side.engine == "peft" else sys.executable
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(args.threads)}
    load = os.getloadavg()[0]
    command = [python, str(HERE / "side.py"), json.dumps(spec)]
    child = subprocess.run(command, env=env, text=True, capture_output=True, check=False)
    if child.returncode:
        sys.exit(f"error: {side} failed with {child.returncode}\n\n{child.stderr}")
    return {**json.loads(child.stdout), "load_average_before": round(load, 2)}


def rates(job: Job, measured: dict[str, Any], n_warmup: int) -> list[float]:
    """Tokens per wall second of every measured step, update included."""
    return [job.n_tok / seconds for seconds in measured["seconds"][n_warmup:]]


def check_losses(runs: dict[Side, list[dict[str, Any]]]) -> None:
    """At B = 0 every side must begin with the same loss: else they do not do the same job."""
    first = {str(side): measured[0]["loss"][0] for side, measured in runs.items()}
    if max(first.values()) > 1.01 * min(first.values()):
        sys.exit(f"error: the sides do not do the same job, their first losses differ: {first}")


def summary(
    side: Side, job: Job, runs: list[dict[str, Any]], about: dict[str, Any], args: argparse.Namespace
) -> dict[str, Any]:
    """One side's result: medians and spread over every measured step of every repeat, and all that they rest on."""
    every = [rate for measured in runs for rate in rates(job, measured, args.warmup)]
    peaks = [measured["peak_mem_bytes"] for measured in runs]
    return {
        "benchmark": "train",
        "side": asdict(side),
        "tok_per_sec": {"median": statistics.median(every), "min": min(every), "max": max(every)},
        "peak_mem_bytes": {"median": int(statistics.median(peaks)), "min": min(peaks), "max": max(peaks)},
        **about,
        "versions": {**about["versions"], **runs[0]["versions"]},
        "engine_settings": runs[0]["engine_settings"],
        "repeats": [{key: run[key] for key in run if key not in ("versions", "engine_settings")} for run in runs],
    }


def describe_run(args: argparse.Namespace, job: Job) -> dict[str, Any]:
    """Everything about this run that all sides share."""
    dirty = _git("status", "--porcelain", "--untracked-files=no", "--", "localft", "native", "benchmarks/*.py")
    return {
        "run": time.strftime("%Y-%m-%dT%H:%M:%S"),
        "command": command_line(sys.argv[1:]),
        "commit": _git("rev-parse", "HEAD") + ("+changes" if dirty else ""),
        "versions": {"python": platform.python_version()},
        "cpu": cpu_name(),
        "n_cpu": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "threads": args.threads,
        "n_warmup": args.warmup,
        "model": asdict(SHAPES[job.shape]),
        "data": "random tokens, every target supervised, the same for every side",
        "job": asdict(job),
    }


def command_line(arguments: list[str]) -> str:
    """The command, with the interpreter that is this machine's own left open."""
    shown = [
        "PYTHON" if before == "--peft-python" else word
        for before, word in zip(["", *arguments[:-1]], arguments, strict=True)
    ]
    return shlex.join(["python", "benchmarks/train.py", *shown])


def cpu_name() -> str:
    """The processor's own name, and which of its instruction sets matter here."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.processor()
    fields = dict(line.split(":", 1) for line in info.read_text().splitlines() if ":" in line)
    found = {key.strip(): value.strip() for key, value in fields.items()}
    wanted = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
    flags = [flag for flag in wanted if flag in found.get("flags", "").split()]
    return f"{found.get('model name', 'unknown')} ({' '.join(flags)})"


def write_result(folder: Path, result: dict[str, Any]) -> None:
    """One file per job and side; a later run replaces it, git keeps the earlier one."""
    path = result_path(folder, Job(**result["job"]), Side(**result["side"]))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def result_path(folder: Path, job: Job, side: Side) -> Path:
    return folder / f"train-{job.shape}-{side}.json"


def _git(*args: str) -> str:
    return subprocess.run(["git", *args], cwd=ROOT, text=True, capture_output=True, check=False).stdout.strip()


if __name__ == "__main__":
    main()
