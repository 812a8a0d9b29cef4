"""Ctrl-C in the middle of native work: heard at once, and the engine goes on."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from engines import assert_same_bits, gradients, load
from golden import models

from localft.data.batching.micro_batch import MicroBatch
from localft.engine.native import NativeEngine

SHAPE = models.MODELS["w"]
SMALL = models.batch(SHAPE, (9, 5))


@pytest.fixture
def engine(tmp_path: Path) -> NativeEngine:
    return load(SHAPE, models.write_gguf(SHAPE, tmp_path))


@pytest.fixture
def long_batch(engine: NativeEngine) -> MicroBatch:
    """A micro-batch of a second's work on this machine: five times as long as the signal takes to come."""
    n_row = 8
    while True:
        batch = models.batch(SHAPE, (256,) * n_row)
        start = time.monotonic()
        engine.evaluate(batch)
        if time.monotonic() - start > 1:
            return batch
        n_row *= 2


def seconds_until_heard(call: Callable[[], object], after: float) -> float:
    """Send ourselves SIGINT `after` seconds into `call`; seconds from there to the KeyboardInterrupt."""
    sent = []

    def send() -> None:
        time.sleep(after)
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=send)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        call()
    heard = time.monotonic()
    thread.join()
    return heard - sent[0]


def test_accumulate_is_interrupted_and_starts_anew(engine: NativeEngine, long_batch: MicroBatch) -> None:
    """What was accumulated before is gone too: half a micro-batch cannot be told from none."""
    engine.accumulate(SMALL)
    expected = gradients(engine)
    assert any(values.any() for values in expected.values())
    engine.accumulate(SMALL)
    assert seconds_until_heard(lambda: engine.accumulate(long_batch), 0.2) < 1
    for name, values in gradients(engine).items():
        assert not values.any(), name
    engine.accumulate(SMALL)
    assert_same_bits(gradients(engine), expected)
    assert np.isfinite(engine.apply(1e-3))


def test_evaluate_is_interrupted(engine: NativeEngine, long_batch: MicroBatch) -> None:
    engine.accumulate(SMALL)
    expected = gradients(engine), engine.evaluate(SMALL)
    assert seconds_until_heard(lambda: engine.evaluate(long_batch), 0.2) < 1
    assert_same_bits(gradients(engine), expected[0])
    assert engine.evaluate(SMALL) == expected[1]


def test_other_threads_run_meanwhile(engine: NativeEngine, long_batch: MicroBatch) -> None:
    """The GIL is released: a thread ticks while the engine works."""
    ticks, done = [], threading.Event()

    def tick() -> None:
        while not done.wait(0.02):
            ticks.append(time.monotonic())

    thread = threading.Thread(target=tick)
    thread.start()
    start = time.monotonic()
    engine.evaluate(long_batch)
    end = time.monotonic()
    done.set()
    thread.join()
    assert sum(start < t < end for t in ticks) >= 3


def test_an_engine_off_the_main_thread(engine: NativeEngine) -> None:
    """Signals belong to the main thread; elsewhere there is nothing to ask, and nothing breaks."""
    expected, seen = engine.evaluate(SMALL), []
    thread = threading.Thread(target=lambda: seen.append(engine.evaluate(SMALL)))
    thread.start()
    thread.join()
    assert seen == [expected]
