"""A short benchmark on this machine: steps on random tokens, timed, and what runs of common sizes would take."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from localft import doctor
from localft.data.batching.micro_batch import MICRO_TOKENS, MicroBatch
from localft.engine import Engine
from localft.errors import ConfigError
from localft.files import temporary_folder
from localft.home import localft_home
from localft.model.conversion.outtype import find_outtype
from localft.model.conversion.stand_in import write_stand_in
from localft.model.convert import convert, converted
from localft.model.gguf.header import file_type, read_header
from localft.model.probe import usable_gguf
from localft.model.source import card_defaults, resolve_model
from localft.report import Report
from localft.settings.resolve import resolve
from localft.settings.train_config import TrainConfig
from localft.training.engine import lora_shapes, open_engine
from localft.training.setup import with_hardware
from localft.training.timing import SMALL, Clock, piece

if TYPE_CHECKING:
    from localft.engine.native import NativeEngine


N_CTX = 128
ROWS = (200, 1_000, 10_000)
WARM_UP = 2
LEAST, MOST = 3, 50  # timed steps
ENOUGH_SECONDS = 10.0  # of timed steps
LONGEST_STEP = 12.0  # seconds; a step on a slow machine takes fewer tokens
LR = 1e-4


@dataclass(frozen=True)
class Speed:
    """Tokens per second of the timed steps. `n_tok`: tokens in each of them."""

    n_tok: int
    tok_per_sec: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.tok_per_sec)


@dataclass(frozen=True)
class BenchResult:
    """What was measured.

    Attributes:
        type: of the base's weights, such as "q8_0".
        weights: "random" where the model is not on this machine and a stand-in of its shape was measured, or "own".
        n_tok: tokens in each step, in rows of `n_ctx`, all supervised.
        n_steps: steps that were timed.
        tok_per_sec, slowest, fastest: their median and range.
        runs: by their rows of `n_ctx` tokens, seconds of training for `epochs`, without validation.
    """

    model: str
    weights: str
    type: str
    cpu: str
    features: tuple[str, ...]
    device: str
    n_threads: int
    kernels: str
    arithmetic: str
    lora_rank: int
    n_trainable: int
    n_ctx: int
    n_tok: int
    n_steps: int
    tok_per_sec: float
    slowest: float
    fastest: float
    peak_mem_bytes: int
    epochs: int
    runs: dict[int, float]


def bench(flags: Mapping[str, Any], report: Report | None = None) -> BenchResult:
    """Measure training on this machine, as `localft finetune` would do it with the same settings.

    Args:
        flags: settings by name, as for `localft.finetune`: model, outtype, ctx, lora_rank, threads.
        report: called as report(stage, done, total) while something takes long.

    Raises:
        ConfigError: a setting is unknown or wrong, or there is no such model.
        LocalftError: the model or the engine cannot be used.
    """
    config = resolve({"model": "demo", **flags}, None, card_defaults)
    with base_file(config, report) as (path, weights):
        config = with_hardware(config, path)
        n_ctx = config.ctx or N_CTX
        n_row = rows_per_step(n_ctx, config.batch_size)
        engine = open_engine(config, path, lora_shapes(config, path), n_ctx * n_row)
        try:
            if report:
                report("timing steps", 0, 0)
            speed = measure(engine, batch(engine.hparams["n_vocab"], n_ctx, n_row))
            return _result(config, engine, path, weights, n_ctx, speed)
        finally:
            engine.close()


def rows_per_step(n_ctx: int, batch_size: int) -> int:
    """Rows of `n_ctx` tokens that share a micro-batch in a run; here that is a step."""
    return max(1, min(batch_size, MICRO_TOKENS // n_ctx))


def batch(n_vocab: int, n_ctx: int, n_row: int) -> MicroBatch:
    """Rows of random tokens, all supervised."""
    tokens = np.random.default_rng(0).integers(0, n_vocab, n_ctx * n_row + 1).astype(np.int32)
    mask, starts = np.ones(n_ctx * n_row, np.uint8), np.arange(n_row + 1, dtype=np.int32) * n_ctx
    return MicroBatch(tokens[:-1], tokens[1:], mask, starts)


def measure(engine: Engine, whole: MicroBatch, clock: Clock = time.perf_counter) -> Speed:
    """Time steps on `whole`, or on a piece of it where the machine is slow, after a few that do not count."""

    def step(part: MicroBatch) -> float:
        start = clock()
        engine.accumulate(part)
        engine.apply(LR)
        return clock() - start

    small = piece(whole, SMALL)
    step(small)
    expected = step(small) / small.n_tok * whole.n_tok
    part = piece(whole, max(SMALL, int(whole.n_tok * LONGEST_STEP / max(expected, LONGEST_STEP))))
    for _ in range(WARM_UP):
        step(part)
    seconds = [step(part) for _ in range(LEAST)]
    while len(seconds) < MOST and sum(seconds) < ENOUGH_SECONDS:
        seconds.append(step(part))
    return Speed(part.n_tok, tuple(part.n_tok / max(each, 1e-9) for each in seconds))


@contextmanager
def base_file(config: TrainConfig, report: Report | None = None) -> Iterator[tuple[Path, str]]:
    """The GGUF to measure with, and whose weights it holds: "own", or "random" in a file that is deleted afterwards.

    Nothing is downloaded where the model's card gives its shape.
    """
    source = resolve_model(config.model)
    if source.gguf is not None and "outtype" in config.sources:
        message = f"`--outtype {config.outtype}` has no meaning for `{config.model}`: it is converted already"
        raise ConfigError(message, "leave it out, or give the checkpoint that it was made from")
    shape = source.card.shape if source.card and source.checkpoint is None else None
    if shape is None or converted(config.model, config.outtype):
        path = convert(config.model, config.outtype, progress=report).path
        usable_gguf(path, report)
        yield path, "own"
        return
    with temporary_folder(localft_home() / "bench") as folder:
        path = folder / f"{source.name}.gguf"
        write_stand_in(shape, path, find_outtype(config.outtype), report)
        yield path, "random"


def _result(
    config: TrainConfig, engine: NativeEngine, path: Path, weights: str, n_ctx: int, speed: Speed
) -> BenchResult:
    cpu = doctor.cpu()
    features = cpu["features"] if isinstance(cpu["features"], list) else []
    return BenchResult(
        model=config.model,
        weights=weights,
        type=file_type(read_header(path)) or "",
        cpu=cpu["name"],
        features=tuple(features),
        device=engine.device_name,
        n_threads=config.threads or 0,
        kernels=engine.kernels,
        arithmetic=engine.arithmetic,
        lora_rank=config.lora_rank,
        n_trainable=engine.n_trainable,
        n_ctx=n_ctx,
        n_tok=speed.n_tok,
        n_steps=len(speed.tok_per_sec),
        tok_per_sec=speed.median,
        slowest=min(speed.tok_per_sec),
        fastest=max(speed.tok_per_sec),
        peak_mem_bytes=sum(engine.peak_mem_bytes().values()),
        epochs=config.epochs,
        runs={rows: rows * n_ctx * config.epochs / speed.median for rows in ROWS},
    )
