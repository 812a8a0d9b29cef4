"""How long an engine takes for a micro-batch of any size: a few are timed, and nothing of them is kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from localft.data.batching.micro_batch import MicroBatch
from localft.engine import Engine

Clock = Callable[[], float]
Weigh = Callable[[MicroBatch], float]

SHARE = 0.03  # of the run's expected time that timing may take
ONCE_SHARE = 0.1  # that it may take for its only look at a large micro-batch
LEAST_SECONDS, MOST_SECONDS = 0.8, 30.0  # but nobody minds so little, and nobody likes to wait longer
WARM_SECONDS = 0.3
MOST_BATCHES = 8
SMALL = 64  # tokens
EVALUATIONS = 3  # of which the first does not count
FORWARD = 1 / 3  # of a training pass: evaluation goes forward only, and the backward pass costs twice that


@dataclass(frozen=True)
class CostLine:
    """Seconds of a micro-batch: `fixed` + `per_work` · its work."""

    fixed: float
    per_work: float

    def __call__(self, work: float) -> float:
        return self.fixed + self.per_work * work


@dataclass(frozen=True)
class Timing:
    """What was found out.

    Attributes:
        train, evaluate: seconds of one micro-batch by its work.
        apply: seconds of one update.
        n_tok: tokens of the largest micro-batch that was run.
    """

    train: CostLine
    evaluate: CostLine
    apply: float
    n_tok: int


def weigher(hparams: Mapping[str, int]) -> Weigh:
    """A function that counts the multiplications of a micro-batch's forward pass.

    A pass with its backward costs about three times that, whatever the batch, so sums of it compare batches: the
    layers' matrices for each token, the output for each supervised one, attention for each pair within a row.

    Args:
        hparams: `NativeEngine.hparams`.
    """
    h = hparams
    n_q, n_kv = h["n_head"] * h["n_embd_head"], h["n_head_kv"] * h["n_embd_head"]
    per_token = h["n_layer"] * h["n_embd"] * (2 * n_q + 2 * n_kv + 3 * h["n_ff"])
    per_target = h["n_vocab"] * h["n_embd"]
    per_pair = h["n_layer"] * n_q

    def weigh(batch: MicroBatch) -> float:
        n_pair = float((np.diff(batch.row_starts).astype(np.float64) ** 2).sum())
        return batch.n_tok * per_token + batch.n_supervised * per_target + n_pair * per_pair

    return weigh


def fit(points: Sequence[tuple[float, float]]) -> CostLine:
    """The line nearest to the (work, seconds) in the sum of relative deviations; neither part is below 0.

    Such a line goes through two of the points, or through one and 0. Those that something else on the machine held up
    do not move it while they are the fewer.
    """
    through_two = [_through(*pair) for pair in combinations(points, 2)]
    lines = [line for line in through_two if line and line.fixed >= 0 and line.per_work >= 0]
    lines += [CostLine(0.0, seconds / work) for work, seconds in points]
    return min(lines, key=lambda line: sum(abs(line(work) / max(seconds, 1e-9) - 1) for work, seconds in points))


def _through(one: tuple[float, float], other: tuple[float, float]) -> CostLine | None:
    """The line through two points; None where their work hardly differs."""
    (work, seconds), (more_work, more_seconds) = sorted((one, other))
    if more_work < 1.2 * work:
        return None
    per_work = (more_seconds - seconds) / (more_work - work)
    return CostLine(seconds - per_work * work, per_work)


def piece(batch: MicroBatch, n_tok: int) -> MicroBatch:
    """The first `n_tok` tokens of `batch`, with the same share of supervised targets spread over them, at least one."""
    n_tok = min(n_tok, batch.n_tok)
    share = max(batch.n_supervised / batch.n_tok, 1 / n_tok)
    mask = np.diff(np.floor(np.arange(n_tok + 1) * share + 1e-9)).astype(np.uint8)
    starts = batch.row_starts[batch.row_starts < n_tok]
    return MicroBatch(batch.tokens[:n_tok], batch.targets[:n_tok], mask, np.append(starts, n_tok).astype(np.int32))


@dataclass
class Rehearsal:
    """Runs micro-batches through an engine and puts it back as it was: adapter, moments, counters, no gradient.

    with Rehearsal(engine, weigh) as rehearsal:
        timing = rehearsal.run(batches, validation, total_work)

    Inside, a copy of the engine's state is held, as a checkpoint makes it.
    """

    engine: Engine
    weigh: Weigh
    clock: Clock = time.perf_counter
    points: list[tuple[float, float]] = field(default_factory=list)
    total_work: float = 0.0
    spent: float = 0.0
    n_tok: int = 0

    def __enter__(self) -> Rehearsal:
        self.before = self.engine.state()
        return self

    def __exit__(self, *error: object) -> None:
        self.engine.load_state(self.before)
        del self.before

    def run(self, batches: Sequence[MicroBatch], validation: Sequence[MicroBatch], total_work: float) -> Timing:
        """Time a few of `batches`, for at most a small share of the run's time.

        Args:
            batches: micro-batches of the run, from the lightest to the heaviest.
            validation: empty = none.
            total_work: of all that is ahead; bounds the time that is spent here.
        """
        self.total_work, small = total_work, piece(batches[len(batches) // 2], SMALL)
        self.train(small)
        self.points = [self.point(small)]
        apply = self.timed(lambda: self.engine.apply(0.0))
        self.spent = 0.0
        if self.warm_up(batches[-1]):
            self.points = [self.point(small), self.point(small)]
        work, seconds = self.evaluation(validation) if validation else (0.0, 0.0)
        self.passes(batches)
        train = fit(self.points)
        share = seconds / train(work) if validation else FORWARD
        return Timing(train, CostLine(share * train.fixed, share * train.per_work), apply, self.n_tok)

    def warm_up(self, heaviest: MicroBatch) -> bool:
        """Run the heaviest micro-batch, if the run is long enough: buffers get their size, processors their speed."""
        until = min(self.budget() / 3, WARM_SECONDS)
        while self.spent < until and self.affords(3 * self.cost(heaviest)):
            self.train(heaviest)
        return self.spent > 0

    def passes(self, batches: Sequence[MicroBatch]) -> None:
        """Time micro-batches of the run's own; where none is affordable, one of them or the largest piece that is.

        What is fixed in a pass, such as unpacking the weights, cannot be told from a small piece alone.
        """
        n_before = len(self.points)
        for batch in spread(batches, MOST_BATCHES):
            if self.affords(self.cost(batch)):
                self.points.append(self.point(batch))
        typical = batches[len(batches) // 2]
        n_tok = typical.n_tok
        while len(self.points) == n_before and n_tok > SMALL:
            part = piece(typical, n_tok)
            if self.affords(self.cost(part), ONCE_SHARE):
                self.points.append(self.point(part))
            n_tok //= 2

    def evaluation(self, validation: Sequence[MicroBatch]) -> tuple[float, float]:
        """(work, seconds) of the largest validation batch, or of the largest piece of it that leaves time for more."""
        batch = max(validation, key=self.weigh)
        while batch.n_tok > SMALL and not self.affords(2 * EVALUATIONS * FORWARD * self.cost(batch)):
            batch = piece(batch, max(SMALL, batch.n_tok // 2))
        _, *seconds = [self.timed(lambda: self.engine.evaluate(batch)) for _ in range(EVALUATIONS)]
        return self.weigh(batch), sum(seconds) / len(seconds)

    def budget(self, share: float = SHARE) -> float:
        """Seconds that timing may take."""
        return min(max(share * fit(self.points)(self.total_work), LEAST_SECONDS), MOST_SECONDS)

    def affords(self, seconds: float, share: float = SHARE) -> bool:
        return self.spent + seconds <= self.budget(share)

    def cost(self, batch: MicroBatch) -> float:
        return fit(self.points)(self.weigh(batch))

    def point(self, batch: MicroBatch) -> tuple[float, float]:
        return self.weigh(batch), self.train(batch)

    def train(self, batch: MicroBatch) -> float:
        """Seconds of one pass forward and backward."""
        self.n_tok = max(self.n_tok, batch.n_tok)
        return self.timed(lambda: self.engine.accumulate(batch))

    def timed(self, call: Callable[[], object]) -> float:
        start = self.clock()
        call()
        seconds = self.clock() - start
        self.spent += seconds
        return seconds


def spread(batches: Sequence[MicroBatch], most: int) -> Iterator[MicroBatch]:
    """At most `most` of `batches`, the middle first, then further and further out; each position once in turn."""
    last = len(batches) - 1
    for share in (0.5, 0.9, 0.1, 0.7, 0.3, 1.0, 0.0, 0.6)[:most]:
        yield batches[round(share * last)]
