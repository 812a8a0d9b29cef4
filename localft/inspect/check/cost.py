"""What an epoch on the data would take on this machine: a few micro-batches timed, as a run does before it starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from localft.data.batching.batches import plan_batches
from localft.data.batching.micro_batch import MICRO_TOKENS, evaluation_batches
from localft.data.batching.mix import Share
from localft.data.tokens.tokenize import TokenizedRow
from localft.run.checkpoint import Cursor
from localft.settings.train_config import TrainConfig
from localft.training.engine import lora_shapes, open_engine
from localft.training.estimate import estimate
from localft.training.loop import LoopPlan
from localft.training.recipe import with_recipe
from localft.training.schedule import Schedule
from localft.training.setup import with_hardware
from localft.training.timing import weigher


@dataclass(frozen=True)
class Cost:
    """Of one epoch with one validation, at the settings that `localft finetune` would choose.

    Attributes:
        device: that computes, and `n_threads`.
        peak_mem_bytes: resident memory at its peak, devices' buffers included.
    """

    seconds: float
    n_steps: int
    peak_mem_bytes: int
    device: str
    n_threads: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable values."""
        return asdict(self)


def epoch_cost(
    config: TrainConfig,
    base: Path,
    train: Sequence[TokenizedRow],
    val: Sequence[TokenizedRow],
    n_ctx: int,
    shares: Sequence[Share],
) -> Cost:
    """Load the base model, time a few micro-batches of the data's own, and say what an epoch of them takes.

    Args:
        config: the run's settings; those of the hardware are filled in.
        base: its GGUF.
        train, val: rows of at most `n_ctx` positions.
        shares: of `train`, see `mix`.

    Raises:
        LocalftError: the model cannot be trained on here.
    """
    config = with_recipe(with_hardware(config, base), len(train), base)
    batches = plan_batches(
        train,
        batch_size=config.batch_size,
        micro_batch_size=config.micro_batch_size,
        seed=config.seed,
        packing=config.packing,
        n_ctx=n_ctx,
        passes=[(share.n_row, share.weight) for share in shares],
    )
    validation = tuple(evaluation_batches(val, config.val_batch_size, MICRO_TOKENS))
    n_steps = batches.steps_per_epoch
    most = max([batches.max_micro_tokens, *(batch.n_tok for batch in validation)])
    engine = open_engine(config, base, lora_shapes(config, base), most)
    try:
        loop = LoopPlan(batches, Schedule("constant", config.lr, n_steps, 0, 0.0), n_steps, validation, n_steps)
        found = estimate(engine, loop, Cursor(), weigher(engine.hparams), 0.0)
        assert found is not None
        memory, device = found.peak_mem_bytes, engine.device_name
        return Cost(found.epoch_seconds, n_steps, memory, device, config.threads or 0)
    finally:
        engine.close()
