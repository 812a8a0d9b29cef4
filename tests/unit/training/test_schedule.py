"""The learning rate."""

from __future__ import annotations

import pytest

from localft.training.schedule import Schedule, warmup_steps


def test_warm_up_then_cosine() -> None:
    lr = Schedule("cosine", 1.0, total_steps=8, warmup_steps=4)
    assert [round(lr(step), 6) for step in range(8)] == [0.25, 0.5, 0.75, 1.0, 1.0, 0.853553, 0.5, 0.146447]


def test_linear_to_a_floor() -> None:
    lr = Schedule("linear", 1.0, total_steps=4, min_lr=0.2)
    assert [round(lr(step), 6) for step in range(6)] == [1.0, 0.8, 0.6, 0.4, 0.2, 0.2]


def test_constant() -> None:
    assert {Schedule("constant", 0.5, 3)(step) for step in range(3)} == {0.5}


@pytest.mark.parametrize(
    ("warmup", "total", "steps"), [(0.05, 100, 5), (0.05, 10, 1), (0, 10, 0), (3, 10, 3), (99, 10, 10), (0.1, 30, 3)]
)
def test_warmup_is_a_share_or_a_number(warmup: float, total: int, steps: int) -> None:
    assert warmup_steps(warmup, total) == steps
