"""Batch size, epochs and learning rate where nobody gave them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_llama import write_model

from localft.settings.resolve import resolve
from localft.training.recipe import epochs, learning_rate, with_recipe


@pytest.mark.parametrize(
    ("n_parameters", "lr"),
    [(260_000, 3e-3), (2_600_000, 3e-3), (135_000_000, 1e-3), (1_100_000_000, 4e-4), (7_000_000_000, 2e-4)],
)
def test_a_smaller_model_learns_faster(n_parameters: int, lr: float) -> None:
    assert learning_rate(n_parameters) == lr


@pytest.mark.parametrize(
    ("n_rows", "batch_size", "n_epochs"),
    [(1, 4, 20), (20, 4, 20), (43, 4, 16), (100, 4, 7), (200, 8, 7), (500, 8, 3), (5000, 8, 3)],
)
def test_few_rows_are_passed_over_more_often(n_rows: int, batch_size: int, n_epochs: int) -> None:
    assert epochs(n_rows, batch_size) == n_epochs


def test_what_was_given_stays(tmp_path: Path) -> None:
    base = write_model(tmp_path / "tiny.gguf")
    derived = with_recipe(resolve({}), 43, base)
    assert (derived.batch_size, derived.epochs, derived.lr) == (4, 16, 3e-3)
    assert {derived.source(name) for name in ("batch_size", "epochs", "lr")} == {"data"}
    assert derived.reasons["epochs"] == "for 43 rows"
    given = with_recipe(resolve({"epochs": 2, "lr": 1e-4, "batch_size": 16}), 43, base)
    assert (given.batch_size, given.epochs, given.lr, dict(given.reasons)) == (16, 2, 1e-4, {})
    assert with_recipe(resolve({"max_steps": 9}), 43, base).source("epochs") == "default"
    assert with_recipe(resolve({"micro_batch_size": 6}), 43, base).batch_size == 6
    assert with_recipe(resolve({"min_lr": 5e-3, "lr": 6e-3}), 43, base).lr == 6e-3


def test_a_card_has_its_say(tmp_path: Path) -> None:
    base = write_model(tmp_path / "tiny.gguf")
    config = resolve({"model": "x"}, card_defaults=lambda _: {"lr": 7e-4, "epochs": 5})
    found = with_recipe(config, 43, base)
    assert (found.lr, found.epochs, found.batch_size) == (7e-4, 5, 4)
