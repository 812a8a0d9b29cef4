"""What was asked for and changes nothing in this run, or not what was meant: a sentence each."""

from __future__ import annotations

from collections.abc import Iterator

from localft import hardware
from localft.data.rows.reader import PLAIN_TEXT
from localft.settings.setting import flag_name
from localft.training.plan import TrainPlan
from localft.units import count

_INTERVALS = ("val_every", "checkpoint_every", "report_every")


def idle_notes(plan: TrainPlan) -> Iterator[str]:
    """Sentences on settings of `plan` that the user gave."""
    config, total = plan.config, plan.total_steps
    given = [name for name in config.sources if config.source(name) in ("flag", "config file")]
    if config.warmup >= 1 and round(config.warmup) > total:
        reached = config.lr * total / round(config.warmup)
        yield (
            f"--warmup {config.warmup:g} is longer than the run of {count(total, 'step')}: "
            f"the learning rate ends at {reached:.2g} and never reaches {config.lr:g}"
        )
    for name in _INTERVALS:
        every = getattr(config, name)
        if name in given and every > total:
            yield f"{flag_name(name)} {every} is longer than the run of {count(total, 'step')}: one comes at its end"
    if "train_on_prompt" in given and config.train_on_prompt and _only_texts(plan):
        yield "--train-on-prompt changes nothing: there are only texts, without prompts"
    if "lora_layers" in given and config.lora_targets == "output" and config.lora_layers != "all":
        yield f"--lora-layers {config.lora_layers} changes nothing: `output` lies in no layer"
    if "threads" in given and (note := hardware.threads_note(config.threads)):
        yield note


def _only_texts(plan: TrainPlan) -> bool:
    return all(name == "text" or name.startswith(PLAIN_TEXT) for name in plan.dataset.summary.formats)
