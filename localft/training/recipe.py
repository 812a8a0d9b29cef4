"""Batch size, epochs and learning rate where nobody gave them: from the rows, and the size of the model.

The evidence is in benchmarks/results/defaults.jsonl (`python benchmarks/defaults.py --table`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from localft.model.gguf.header import read_header
from localft.settings.train_config import TrainConfig
from localft.units import count

FEW_ROWS = 128  # so few are learned better in more and smaller steps
SMALL_BATCH, BATCH = 4, 8
STEPS = 180  # fewer leave a small data set half learned
LEAST_EPOCHS, MOST_EPOCHS = 3, 20
# a learning rate that suits a model of 135 million parameters, and how it falls with size
LR, LR_SIZE, LR_POWER, HIGHEST_LR = 1e-3, 135e6, 0.4, 3e-3


def with_recipe(config: TrainConfig, n_rows: int, base: Path) -> TrainConfig:
    """Fill in batch size, epochs and learning rate where nothing was given.

    Args:
        n_rows: rows, or windows of texts, to train on.
        base: the GGUF.
    """
    values: dict[str, int | float] = {}
    batch_size = config.batch_size
    if config.source("batch_size") == "default":
        batch_size = SMALL_BATCH if n_rows < FEW_ROWS else BATCH
        batch_size = max(batch_size, config.micro_batch_size or 1)
        values["batch_size"] = batch_size
    if config.source("epochs") == "default" and config.max_steps is None:
        values["epochs"] = epochs(n_rows, batch_size)
    n_parameters = parameters(base)
    if config.source("lr") == "default":
        values["lr"] = max(learning_rate(n_parameters), config.min_lr)
    return config.with_values("data", values, _reasons(values, n_rows, n_parameters))


def epochs(n_rows: int, batch_size: int) -> int:
    """So many that a small data set gets its `STEPS`, and a large one is passed over a few times."""
    per_epoch = max(math.ceil(n_rows / batch_size), 1)
    return min(max(round(STEPS / per_epoch), LEAST_EPOCHS), MOST_EPOCHS)


def learning_rate(n_parameters: int) -> float:
    """Higher for a smaller model, to one digit."""
    exact = min(LR * (LR_SIZE / max(n_parameters, 1)) ** LR_POWER, HIGHEST_LR)
    return float(f"{exact:.0e}")


def parameters(base: Path) -> int:
    """Weights of a GGUF."""
    return sum(math.prod(tensor.ne) for tensor in read_header(base).tensors.values())


def _reasons(values: Mapping[str, object], n_rows: int, n_parameters: int) -> dict[str, str]:
    # not how many steps that makes: weights of sources and packing have a say in those
    reasons = {name: f"for {count(n_rows, 'row')}" for name in ("batch_size", "epochs") if name in values}
    if "lr" in values:
        size = f"{n_parameters / 1e9:.1f}B" if n_parameters >= 1e9 else f"{n_parameters / 1e6:.0f}M"
        reasons["lr"] = f"for {size if n_parameters >= 1e6 else f'{n_parameters:,}'} parameters"
    return reasons
