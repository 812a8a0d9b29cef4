"""The speed of localft's own CPU kernels beside ggml's own ops, for two layers and the head of every card's shape.

    python benchmarks/kernels.py                          `make bench-kernels`; minutes
    python benchmarks/kernels.py tinymistral --outtype f32 --n-tok 256

Both sides run the same training micro-batch in one process, by turns; the figures are medians over --rounds. A second
look at one kernel alone is `NativeEngine.profile`, which this prints.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from localft.data.batching.micro_batch import MicroBatch  # noqa: E402
from localft.engine import AdamSpec, LoraSpec  # noqa: E402
from localft.engine.native import NativeEngine, lora_targets  # noqa: E402
from localft.model.card import Shape, load_cards  # noqa: E402
from localft.model.conversion.outtype import find_outtype  # noqa: E402
from localft.model.conversion.stand_in import write_stand_in  # noqa: E402

SIDES = {"int16": ("auto", "int16"), "f32": ("auto", "f32"), "ggml": ("plain", "f32")}
KINDS = ("product", "attention", "elementwise", "low-rank", "head")


def main() -> None:
    """Print a table for each card."""
    args = parse_args()
    for name, card in load_cards().items():
        if card.shape and (not args.cards or name in args.cards):
            print("\n".join(table(name, card.shape, args)), flush=True)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cards", nargs="*", help="names of model cards (all that give their shape)")
    parser.add_argument("--outtype", default="q8_0", help="of the base (q8_0)")
    parser.add_argument("--n-tok", type=int, default=512, help="tokens, one row (512)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


def table(name: str, shape: Shape, args: argparse.Namespace) -> Iterator[str]:
    """Milliseconds of each kind of operation, and how often ggml's time ours goes into."""
    found = measure(replace(shape, n_layer=2), args)
    work = f"two layers and the head, {args.outtype}, {args.n_tok} tokens, {args.threads} threads"
    yield f"{name}: {work}; ms, and × ggml's own ops"
    yield f"{'':14}" + "".join(f"{side:>18}" for side in SIDES)
    for kind in (*KINDS, "all"):
        ggml = total(found["ggml"], kind)
        cells = [(1000 * total(found[side], kind), ggml / total(found[side], kind)) for side in SIDES]
        yield f"  {kind:12}" + "".join(f"{ms:10.1f} {ratio:6.2f}×" for ms, ratio in cells)
    yield ""


def total(seconds: dict[str, float], kind: str) -> float:
    return sum(seconds.values()) if kind == "all" else seconds[kind]


def measure(shape: Shape, args: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Median seconds of each kind, by side."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "layers.gguf"
        write_stand_in(shape, path, find_outtype(args.outtype))
        engines = {side: open_engine(path, *how, args) for side, how in SIDES.items()}
        batch = random_batch(shape.n_vocab, args.n_tok)
        rounds: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
        for index in range(args.rounds + 1):
            for side, engine in engines.items():
                seconds = {kind: each for kind, (_, each) in engine.profile(batch).items()}
                if index:  # the first warms up
                    rounds[side].append(seconds)
        for engine in engines.values():
            engine.close()
    return {
        side: {kind: statistics.median(each[kind] for each in some) for kind in KINDS} for side, some in rounds.items()
    }


def open_engine(path: Path, kernels: str, arithmetic: str, args: argparse.Namespace) -> NativeEngine:
    lora = LoraSpec(tuple(name for name in lora_targets(path) if name.startswith("blk.")), rank=8, alpha=16.0)
    limits = {"device": "cpu", "n_threads": args.threads, "max_tokens": args.n_tok}
    return NativeEngine(path, lora, AdamSpec(), kernels=kernels, arithmetic=arithmetic, **limits)


def random_batch(n_vocab: int, n_tok: int) -> MicroBatch:
    """One row of random tokens, all supervised."""
    tokens = np.random.default_rng(0).integers(3, n_vocab, n_tok + 1).astype(np.int32)
    return MicroBatch(tokens[:-1], tokens[1:], np.ones(n_tok, np.uint8), np.array([0, n_tok], np.int32))


if __name__ == "__main__":
    main()
