"""Where the time of a micro-batch goes: every node once, under its own kind."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from engines import assert_same_bits, gradients, make
from golden import models

from localft.engine.native import NativeEngine

SHAPE = models.MODELS["w"]
KINDS = {"product", "attention", "elementwise", "low-rank", "head"}


@pytest.mark.parametrize("kernels", ["generic", "plain"])
def test_a_profile_is_an_accumulation(kernels: str, tmp_path: Path) -> None:
    """Every node ran, and none twice: the gradients are the same to the bit."""
    batch = models.batch(SHAPE, (21, 12))
    whole, pieces = (make(SHAPE, tmp_path / name, kernels=kernels) for name in "ab")
    result = whole.accumulate(batch)
    assert set(pieces.profile(batch)) == KINDS
    assert_same_bits(gradients(pieces), gradients(whole))
    assert pieces.apply(1e-3) == whole.apply(1e-3)
    assert pieces.accumulate(batch) == whole.accumulate(batch) != result


def test_kinds_count_what_they_say(tmp_path: Path) -> None:
    """Fused kernels. Under one adapted tensor, the last layer's ffn_down, nothing else runs backwards."""
    one = make(SHAPE, tmp_path, kernels="generic", targets=["blk.1.ffn_down.weight"])
    assert counts(one) == {
        "product": 14,
        "attention": 2 * 2,  # the kernel's result, and the view of it without logsumexp
        # Rows, and a view of them: norms, activations and again the last; a view of each low product; RoPE of three
        "elementwise": 4 * 2 + 3 * 2 + 2 + 2 + 4 * 3,
        "low-rank": 2 + 2,  # copies of the low products, the gradients
        "head": 9,
    }
    every = counts(make(SHAPE, tmp_path, kernels="generic"))
    # on the way back the logsumexp is viewed too, and the kernel runs
    assert (every["product"], every["attention"]) == (14 + 7 + 4, 2 * 2 + 2 * 2)


def counts(engine: NativeEngine) -> dict[str, int]:
    return {kind: n_node for kind, (n_node, _) in engine.profile(models.batch(SHAPE, (9,))).items()}


def test_seconds_are_those_of_the_wall(tmp_path: Path) -> None:
    shape = models.Shape("slow", 256, 512, 4, 4, 4, 2000, tied=False)
    engine, batch = make(shape, tmp_path), models.batch(shape, (512,))
    engine.profile(batch)
    start = time.perf_counter()
    found = engine.profile(batch)
    wall = time.perf_counter() - start
    assert 0 < sum(seconds for _, seconds in found.values()) < wall
