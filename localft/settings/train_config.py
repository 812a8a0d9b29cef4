"""TrainConfig: every setting of a run, with where its value comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields, replace
from typing import Any, Literal

from localft.addresses import without_secrets
from localft.errors import ConfigError
from localft.settings.other_words import OTHER_WORDS
from localft.settings.setting import (
    coerce,
    parse_layers,
    parse_names,
    parse_replay,
    parse_size,
    parse_warmup,
    setting,
)
from localft.spelling import nearest

MOST_THREADS = 512  # ggml's GGML_MAX_N_THREADS
Source = Literal["flag", "config file", "model card", "adapter", "data", "hardware", "default"]

MODEL, VALID, TRAIN, LORA, MACHINE, RUN, OLD = (
    "Model and data",
    "Validation",
    "Training",
    "Adapter",
    "Machine",
    "Run",
    "Old form",
)


@dataclass(frozen=True)
class TrainConfig:
    """The settings of one run. Field names are config keys; the flags are the same with dashes.

    Attributes:
        sources: where each value comes from, by name.
        reasons: why, where a value was derived and not given.
    """

    model: str = setting(
        "", MODEL, "a card's name, a Hugging Face repo id, a folder, or a .gguf file", metavar="MODEL", path=True
    )
    data: tuple[str, ...] = setting(
        (), MODEL, "data file, folder, http(s) address or hf:owner/name; may be given more than once; `:2` behind it = "
        "twice per epoch", metavar="DATA", path=True,
    )  # fmt: skip
    replay: str | None = setting(
        None, MODEL, "general text to mix in against forgetting, `wiki.txt:0.2` for a fifth of the supervised tokens",
        parse=parse_replay, metavar="DATA:SHARE", path=True,
    )  # fmt: skip
    prompt_column: str | None = setting(None, MODEL, "key or column of the questions", metavar="NAME")
    answer_column: str | None = setting(None, MODEL, "key or column of the answers", metavar="NAME")
    outtype: str = setting(
        "q8_0", MODEL, "type of the base model's weights: f32, f16, bf16, q8_0, q6_k, q4_k_m, …", metavar="TYPE"
    )
    ctx: int | None = setting(
        None, MODEL, "tokens per row at most", minimum=8, shown_default="longest row with an answer"
    )
    overlength: str = setting(
        "drop", MODEL, "what to do with answer rows longer than the context", choices=("drop", "truncate", "refuse")
    )
    train_on_prompt: bool = setting(False, MODEL, "learn from prompts too, not from answers alone")
    sample_start: str | None = setting(
        None, MODEL, "split a .txt file into rows where this text begins", metavar="TEXT"
    )
    packing: bool = setting(False, MODEL, "fill each sequence with as many rows as fit")
    wrap_packed: bool = setting(False, MODEL, "join texts with the end token and cut them into sequences of one length")
    template: str | None = setting(
        None,
        MODEL,
        "format of the rows, in place of the model's own",
        metavar="NAME",
        shown_default="the model's",
        path=True,
    )
    raw: bool = setting(False, MODEL, "use rows as plain text, without any template")
    allow_expansion: bool = setting(
        False, MODEL, "read compressed data that holds more than 64 MiB and 100 times its own size"
    )

    val_data: str | None = setting(None, VALID, "a file of validation rows", metavar="PATH", path=True)
    val_split: float = setting(
        0.1,
        VALID,
        "share of the rows that is kept for validation (--no-val for none)",
        minimum=0,
        maximum=0.9,
        above=True,
    )
    val_samples: int | None = setting(None, VALID, "use at most this many validation rows", minimum=1)
    val_batch_size: int | None = setting(
        None,
        VALID,
        "rows per validation pass; changes speed only",
        minimum=1,
        shown_default="rows up to 1024 tokens together",
    )
    val_every: int | None = setting(
        None,
        VALID,
        "steps between validations",
        minimum=1,
        shown_default="a tenth of the run, more rarely where that would take long",
    )
    no_val: bool = setting(False, VALID, "train on every row, without validation")
    all_data: bool = setting(
        False, VALID, "train on everything, validation files too, once the settings are chosen; no validation"
    )

    on_leak: str = setting(
        "warn", VALID, "where training rows give validation rows away (copies, near-duplicates, answers): "
        "say so, leave them out of training, or stop", choices=("warn", "drop", "refuse"),
    )  # fmt: skip

    epochs: int = setting(
        3, TRAIN, "passes over the data", minimum=1, shown_default="3, or more where the rows are few"
    )
    max_steps: int | None = setting(
        None, TRAIN, "stop after this many steps; without --epochs, run exactly so many", minimum=1
    )
    batch_size: int = setting(8, TRAIN, "sequences per step", minimum=1, shown_default="8, or 4 where the rows are few")
    micro_batch_size: int | None = setting(
        None,
        TRAIN,
        "sequences per pass; changes speed and memory only",
        minimum=1,
        shown_default="rows up to 1024 tokens together",
    )
    lr: float = setting(
        2e-4, TRAIN, "peak learning rate", minimum=0, maximum=10, above=True,
        shown_default="by the model's size: 1e-3 for 135M parameters, 2e-4 for 7B",
    )  # fmt: skip
    lr_schedule: str = setting(
        "cosine", TRAIN, "shape of the learning rate over the run", choices=("constant", "linear", "cosine")
    )
    warmup: float = setting(
        0.05, TRAIN, "warm-up: a share of all steps (0.05 or 5%), or from 1 on a number of steps",
        minimum=0, parse=parse_warmup, metavar="SHARE|STEPS",
    )  # fmt: skip
    min_lr: float = setting(0.0, TRAIN, "learning rate at the end of a linear or cosine schedule", minimum=0)
    weight_decay: float = setting(0.0, TRAIN, "decoupled weight decay of AdamW", minimum=0)
    grad_clip: float = setting(1.0, TRAIN, "largest global gradient norm; 0 = no clipping", minimum=0)
    seed: int = setting(
        42, TRAIN, "of the split, the order, the initialisation and dropout", minimum=0, maximum=2**31 - 1
    )

    lora_rank: int = setting(8, LORA, "rank of the adapter", minimum=1, maximum=2**16)
    lora_alpha: float = setting(16.0, LORA, "the adapter is scaled by alpha / rank", minimum=0, above=True)
    lora_dropout: float = setting(
        0.0, LORA, "share of the adapter's inputs dropped while training", minimum=0, maximum=0.95
    )
    lora_targets: str = setting(
        "all", LORA, "matrices that carry LoRA: all, attn, ffn, or names such as attn_q,attn_v,output "
        "(or PEFT's, such as q_proj)",
        parse=parse_names, metavar="NAMES",
    )  # fmt: skip
    lora_layers: str = setting(
        "all", LORA, "layers that carry LoRA: all, 8-11, 8-, or last:4", parse=parse_layers, metavar="LAYERS"
    )

    threads: int | None = setting(
        None, MACHINE, "threads to compute with", minimum=1, maximum=MOST_THREADS, shown_default="the physical cores"
    )
    device: str | None = setting(
        None,
        MACHINE,
        "device to train on; `localft doctor` lists them",
        metavar="NAME",
        shown_default="the best there is",
    )
    memory: int | None = setting(
        None, MACHINE, "memory that training may use, such as 6GiB", minimum=2**20, parse=parse_size, metavar="SIZE",
        shown_default="80 % of what is free",
    )  # fmt: skip
    kernels: str = setting(
        "auto", MACHINE, "kernels to compute with; plain = ggml's own operations only",
        choices=("auto", "avx512vnni", "avx512", "avx2", "generic", "plain"), metavar="NAME",
    )  # fmt: skip
    arithmetic: str = setting(
        "auto", MACHINE, "numbers to multiply with; auto = int16 where it is faster, f32 on a base in f32",
        choices=("auto", "int16", "f32"), metavar="NAME",
    )  # fmt: skip

    from_run: str | None = setting(
        None, RUN, "start from the adapter of this run, or of this file, with new data and settings", metavar="RUN",
        aliases=("--from",), path=True,
    )  # fmt: skip
    out: str | None = setting(
        None, RUN, "folder of the run", metavar="FOLDER", shown_default="runs/<name>-<date>-<n>", path=True
    )
    checkpoint_every: int | None = setting(
        None, RUN, "steps between checkpoints", minimum=1, shown_default="at validations, and every 2 minutes"
    )
    report_every: int | None = setting(
        None, RUN, "steps between printed rows", minimum=1, shown_default="about 30 rows"
    )

    checkpoint_in: str | None = setting(
        None, OLD, "go on from this checkpoint if it exists", metavar="FILE", hidden=True, path=True
    )
    checkpoint_out: str | None = setting(
        None, OLD, "write checkpoints here; ITERATION stands for the step", metavar="FILE", hidden=True, path=True
    )
    lora_out: str | None = setting(
        None, OLD, "write the adapter here too; ITERATION stands for the step", metavar="FILE", hidden=True, path=True
    )

    sources: Mapping[str, Source] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)

    def source(self, name: str) -> Source:
        """Where the value of setting `name` comes from."""
        return self.sources.get(name, "default")

    def with_values(self, source: Source, values: Mapping[str, Any], reasons: Mapping[str, str] = {}) -> TrainConfig:
        """A copy with `values` put in, each of them from `source`; values are checked.

        Raises:
            ConfigError: an unknown name, a wrong type or a value out of range.
        """
        checked = {name: coerce(_find(name, source), value, source) for name, value in values.items()}
        return replace(
            self,
            **checked,
            sources={**self.sources, **(dict.fromkeys(checked, source) if source != "default" else {})},
            reasons={**self.reasons, **reasons},
        )

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Every setting as {"value", "source"} and, where there is one, "reason"; ready for JSON.

        This is what is shown and kept, so addresses are in it without their passwords and signatures.
        """
        entries: dict[str, dict[str, Any]] = {}
        for name in SETTINGS:
            entry = {"value": public_value(getattr(self, name)), "source": self.source(name)}
            if name in self.reasons:
                entry["reason"] = self.reasons[name]
            entries[name] = entry
        return entries

    @classmethod
    def from_dict(cls, entries: Mapping[str, Mapping[str, Any]]) -> TrainConfig:
        """The inverse of `to_dict`."""
        config = cls()
        for name, entry in entries.items():
            reasons = {name: entry["reason"]} if "reason" in entry else {}
            config = config.with_values(entry["source"], {name: entry["value"]}, reasons)
        return config


def public_value(value: Any) -> Any:
    """A setting's value as it may be shown and kept, ready for JSON."""
    if isinstance(value, tuple):
        return [public_value(each) for each in value]
    return without_secrets(value) if isinstance(value, str) else value


SETTINGS: dict[str, Field[Any]] = {spec.name: spec for spec in fields(TrainConfig) if "setting" in spec.metadata}
_OLD_ONLY = frozenset(name for name, spec in SETTINGS.items() if spec.metadata["setting"].group == OLD)


def nearest_setting(name: str) -> str | None:
    """The setting that an unknown `name` probably means: other programs' word for it, or the nearest spelling."""
    word = name.replace("-", "_")
    return OTHER_WORDS.get(word) or nearest(word, (known for known in SETTINGS if known not in _OLD_ONLY))


def _find(name: str, source: Source) -> Field[Any]:
    if name in SETTINGS:
        return SETTINGS[name]
    close = nearest_setting(name)
    where = "setting" if source == "flag" else f"key in the {source}"
    hint = f"did you mean `{close}`?" if close else "`localft finetune --help` lists the settings"
    raise ConfigError(f"unknown {where} `{name}`", hint)
