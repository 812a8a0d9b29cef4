"""DataSettings: what a run says about its data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from localft.errors import ConfigError

Overlength = Literal["drop", "truncate", "refuse"]
OnLeak = Literal["warn", "drop", "refuse"]


@dataclass(frozen=True)
class DataSettings:
    """What a run says about its data; field names are the flags' names with underscores.

    Attributes:
        ctx: positions per sequence; None: from the data.
        overlength: what happens to answer rows that are longer.
        train_on_prompt: supervise prompts too.
        val_data, val_split, val_samples, no_val, all_data: see docs/data.md.
        on_leak: what happens where training rows give validation rows away.
        prompt_column, answer_column: the user's names for the keys of questions and answers.
        replay: text to mix in, with its share of the supervised tokens.
        sample_start: text that stands before each document of a text file.
        packing: several rows share a sequence.
        wrap_packed: texts to train on are joined and cut into windows of n_ctx positions.
        seed: of the split and the order; 0 is a seed.
        template, raw: how rows are worded, in place of what fits the model.
        allow_expansion: compressed files may hold however much they like.
        n_ctx_train: context that the model was trained on; 0 where it is not known.
        date: ISO date that templates see as today; a resumed run passes its recorded `TemplateInfo.date`.
    """

    ctx: int | None = None
    overlength: Overlength = "drop"
    train_on_prompt: bool = False
    val_data: str | Path | None = None
    val_split: float = 0.1
    val_samples: int | None = None
    no_val: bool = False
    all_data: bool = False
    on_leak: OnLeak = "warn"
    prompt_column: str | None = None
    answer_column: str | None = None
    replay: str | None = None
    sample_start: str | None = None
    packing: bool = False
    wrap_packed: bool = False
    seed: int = 42
    template: str | None = None
    raw: bool = False
    allow_expansion: bool = False
    n_ctx_train: int = 0
    date: str | None = None

    def require_sound(self) -> None:
        """Refuse settings that cannot hold.

        Raises:
            ConfigError: names the one at fault.
        """
        if self.all_data and self.no_val:
            raise ConfigError("`--all-data` and `--no-val` contradict each other", "leave one of them out")
        if not 0 <= self.val_split < 1:
            raise ConfigError(f"--val-split `{self.val_split}` is not a share", "give a number from 0 to below 1")
        if self.val_samples is not None and self.val_samples < 0:
            raise ConfigError(f"--val-samples `{self.val_samples}` is below zero", "give 0 or more")
        if self.ctx is not None and self.ctx < 2:
            raise ConfigError(
                f"--ctx `{self.ctx}` is too short to learn from", "leave it out: it is chosen from the data"
            )
        for name, known in (("overlength", ("drop", "truncate", "refuse")), ("on_leak", ("warn", "drop", "refuse"))):
            if (value := getattr(self, name)) not in known:
                flag, words = name.replace("_", "-"), " or ".join((", ".join(known[:-1]), known[-1]))
                raise ConfigError(f"--{flag} `{value}` is unknown", f"give {words}")
