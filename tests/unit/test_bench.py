"""The arithmetic of `localft bench`, on an engine whose time is known."""

from __future__ import annotations

import numpy as np
import pytest
from timed_engine import APPLY, FIXED, PER_TOKEN, TimedEngine

from localft.bench import ENOUGH_SECONDS, LEAST, WARM_UP, batch, measure, rows_per_step


def test_rows_that_share_a_step() -> None:
    assert [rows_per_step(n_ctx, 8) for n_ctx in (32, 128, 300, 1024, 4000)] == [8, 8, 3, 1, 1]


def test_a_batch_is_random_tokens_in_rows() -> None:
    micro = batch(50, 16, 3)
    assert (micro.n_tok, micro.n_supervised, micro.row_starts.tolist()) == (48, 48, [0, 16, 32, 48])
    assert micro.tokens.min() >= 0
    assert micro.tokens.max() < 50
    assert np.array_equal(micro.tokens[1:], micro.targets[:-1])


def test_speed_is_of_the_timed_steps_alone() -> None:
    engine = TimedEngine()
    speed = measure(engine, batch(50, 100, 2), engine.clock)
    step = FIXED + PER_TOKEN * 200 + APPLY
    assert speed.n_tok == 200
    assert speed.tok_per_sec == pytest.approx([200 / step] * int(-(-ENOUGH_SECONDS // step)))


def test_a_slow_machine_takes_fewer_tokens() -> None:
    engine = TimedEngine()
    speed = measure(engine, batch(50, 1000, 4), engine.clock)
    assert 500 < speed.n_tok < 1000
    assert len(speed.tok_per_sec) == LEAST
    assert len(engine.passes) == 2 + WARM_UP + LEAST
