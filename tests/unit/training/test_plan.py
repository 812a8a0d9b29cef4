"""How long a run is, and which settings play no part in it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from localft.settings.resolve import resolve
from localft.training.plan import TrainPlan


def plan(**settings: Any) -> Any:
    config = resolve({"model": "demo", "data": "d", **settings}, card_defaults=lambda _: {"epochs": 2})
    asked = config.source("epochs") in ("flag", "config file")
    return SimpleNamespace(config=config, batches=SimpleNamespace(steps_per_epoch=10), epochs_asked=asked)


def test_validations_are_weighed_against_the_steps_of_an_epoch() -> None:
    """With weights an epoch holds other tokens than the rows do."""
    made = SimpleNamespace(
        batches=SimpleNamespace(epoch_tokens=4000, steps_per_epoch=10),
        validation=[SimpleNamespace(n_tok=3600)],
        total_steps=100,
    )
    assert TrainPlan._val_every(made) == 20  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "total"),
    [
        ({}, 20),
        ({"epochs": 5}, 50),
        ({"max_steps": 7}, 7),
        ({"max_steps": 70}, 70),
        ({"max_steps": 70, "epochs": 5}, 50),
        ({"max_steps": 7, "epochs": 5}, 7),
    ],
)
def test_steps_of_a_run(settings: dict[str, int], total: int) -> None:
    """A card's epochs once cut short a run that had been asked for so many steps."""
    made = plan(**settings)
    assert TrainPlan.epochs_asked.fget(made) == made.epochs_asked  # type: ignore[attr-defined]
    assert TrainPlan.total_steps.fget(made) == total  # type: ignore[attr-defined]
