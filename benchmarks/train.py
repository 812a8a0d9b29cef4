"""Measure training: localft's native engine against PyTorch with PEFT, step by step in turn on one machine.

    python benchmarks/train.py                                      the yardstick job, every side
    python benchmarks/train.py --sides native:q8_0 peft:f32 --rounds 3
    python benchmarks/train.py --shape tiny-4m                      a minute, to try the script
    python benchmarks/train.py --data rows.jsonl --rows 8 --epoch   a whole epoch over a file of rows
    python benchmarks/train.py --shape llama-7b --sides native:q4_k_m --rows 1 --warmup 0 --rounds 1

A side is ENGINE:MODE[+OPTION...][:ROWS].
  native:f32, native:bf16, native:q8_0, native:q4_k_m ...  the type of the base
      +f32 +int16      arithmetic, in place of the engine's own choice
      +recompute      activations are recomputed wherever they can be
  peft:f32, peft:bf16 (weights), peft:autocast
      +ckpt           gradient checkpointing
      +compile        torch.compile
  ROWS                sequences in one forward and backward pass; peft 4 (8 with --data); native, where not given, fills
                      passes of 1024 tokens as `localft finetune` does

Every side lives in a process of its own. After --warmup steps each that do not count, the sides take turns for --rounds
rounds of one step each, so that a round compares steps that ran within seconds of each other. A side that fails is
reported and the others go on. One JSON goes to benchmarks/results/; benchmarks/table.py makes tables of it.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from child import Child, Side  # noqa: E402
from job import Job  # noqa: E402
from machine import describe  # noqa: E402
from model import SHAPES, cache, model_file  # noqa: E402
from rounds import rates, run, spread  # noqa: E402
from rows import DEMO, write_rows  # noqa: E402

from localft.errors import LocalftError  # noqa: E402

DEFAULT_SIDES = ("native:f32", "native:bf16", "native:q8_0", "peft:f32", "peft:f32:1", "peft:bf16", "peft:autocast")


def main() -> None:
    """Measure every side in turns and write the result."""
    args = parse_args()
    job, data = make_job(args)
    about = describe("train.py", sys.argv[1:])
    children = [
        Child(side, asdict(job), model_file(job.shape, side.engine, side.mode), args.threads, args.pythons[side.engine])
        for side in args.sides
    ]
    n_round = job.n_step or args.rounds if args.epoch else args.rounds
    say = functools.partial(print, file=sys.stderr)
    measured = run(children, args.warmup, n_round, say, breakdown=not args.no_breakdown)
    check_losses(args.sides, measured)
    result = {
        "benchmark": "train",
        **about,
        "threads": args.threads,
        "n_warmup": args.warmup,
        "turns": "one step per side in a round, the order turned round after every round",
        "model": {"name": job.shape, **asdict(SHAPES[job.shape]), "weights": "random, rows repeated"},
        "data": data,
        "job": {**asdict(job), "rows": None},
        "sides": [summary(side, found) for side, found in zip(args.sides, measured, strict=True)],
    }
    path = args.out / f"train-{args.name or name_of(job, data)}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(path)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--sides", nargs="+", default=DEFAULT_SIDES, metavar="SIDE")
    add("--shape", choices=SHAPES, default="tinymistral-248m")
    add("--rows", type=int, help="sequences per step (4; with --data 8)")
    add("--ctx", type=int, default=512, help="tokens per sequence, at most (512)")
    add("--rank", type=int, default=8, help="of the adapter (8)")
    add("--data", type=Path, help="a file of rows, in place of random tokens")
    add("--tokenizer", type=Path, default=DEMO, help="for --data: a GGUF or a checkpoint's folder (the demo model's)")
    add("--threads", type=int, default=2)
    add("--warmup", type=int, default=2, help="steps that do not count (2)")
    add("--rounds", type=int, default=5, help="measured steps of every side (5)")
    add("--no-breakdown", action="store_true", help="leave out the step that says where the time goes")
    add("--epoch", action="store_true", help="with --data: as many rounds as an epoch has steps")
    add("--peft-python", default=sys.executable, help="interpreter that has torch and peft")
    add("--out", type=Path, default=HERE / "results")
    add("--name", help="of the result (from the job)")
    args = parser.parse_args()
    if args.rounds < 1 or args.warmup < 0:
        parser.error("--rounds must be at least 1, --warmup at least 0")
    if args.epoch and not args.data:
        parser.error("--epoch needs --data")
    try:
        args.sides = [Side.parse(text, peft_rows=8 if args.data else 4) for text in args.sides]
    except ValueError as error:
        parser.error(str(error))
    args.pythons = {"native": sys.executable, "peft": args.peft_python}
    return args


def make_job(args: argparse.Namespace) -> tuple[Job, dict[str, Any]]:
    """The job, and what the result says about its data."""
    if not args.data:
        about = {"tokens": "random, every target supervised, the same for every side"}
        return Job(args.shape, args.rows or 4, args.ctx, args.rank), about
    folder = cache()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        rows, about = write_rows(args.data, args.tokenizer, SHAPES[args.shape].n_vocab, args.ctx, folder)
    except LocalftError as error:
        sys.exit(f"error: {error.message}\n\nhint: {error.hint}")
    job = Job(args.shape, args.rows or 8, args.ctx, args.rank, rows=str(rows))
    return job, {**about, "n_step": job.n_step}


def check_losses(sides: list[Side], measured: list[dict[str, Any]]) -> None:
    """At B = 0 every side must begin with the same loss: else they do not do the same job."""
    first = {
        str(side): [*[step["loss"] for step in found["warmup"]], *found["loss"]][0]
        for side, found in zip(sides, measured, strict=True)
        if "failed" not in found
    }
    if first and max(first.values()) > 1.01 * min(first.values()):
        sys.exit(f"error: the sides do not do the same job, their first losses differ: {first}")


def summary(side: Side, found: dict[str, Any]) -> dict[str, Any]:
    """One side's part of the result."""
    name = {"name": str(side), **asdict(side)}
    return {**name, **found} if "failed" in found else {**name, "tok_per_sec": spread(rates(found)), **found}


def name_of(job: Job, data: dict[str, Any]) -> str:
    work = f"{job.n_row}x{job.n_ctx}" if not job.rows else data["file"].rpartition(".")[0].replace("/", "-")
    return f"{job.shape}-{work}" + (f"-rank{job.rank}" if job.rank != Job.rank else "")


if __name__ == "__main__":
    main()
