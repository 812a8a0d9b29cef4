"""The command line of llama.cpp's old `finetune` program, translated into ours."""

from __future__ import annotations

from collections.abc import Sequence

from localft.errors import ConfigError

DEFAULT_CHECKPOINT = "checkpoint-LATEST.gguf"
DEFAULT_ADAPTER = "ggml-lora-LATEST-f32.gguf"
OLD_ONLY = ("--model-base", "--train-data")

RENAMED = {
    "--model-base": "--model",
    "--train-data": "--data",
    "--batch": "--batch-size",
    "--adam-iter": "--max-steps",
    "--lora-r": "--lora-rank",
    "--adam-alpha": "--lr",
    "--adam-min-alpha": "--min-lr",
    "--adam-decay": "--weight-decay",
    "--adam-gclip": "--grad-clip",
    "--save-every": "--checkpoint-every",
    "-t": "--threads",
    "-b": "--batch-size",
    "-c": "--ctx",
    "-s": "--seed",
}

_RANKS = "use `--lora-rank` for all matrices, and `--lora-targets` to choose them"
_MEMORY = "localft keeps or recomputes by the memory that is there; `--memory` sets how much"
_ATTENTION = "leave it out: attention is always computed in localft's own kernels"
_ROPE = "leave it out: the value is read from the model"
_SAMPLES = "leave it out: text is cut into consecutive windows, and the order is shuffled anew in every epoch"
_END = "leave it out: documents end with the model's own end token"
_ADAM = "leave it out: AdamW runs with PyTorch's defaults here"
_STOP = "use `--epochs` or `--max-steps`; the adapter with the lowest validation loss is kept as the best"
_COSINE = "use `--lr-schedule cosine` with `--warmup` and `--min-lr`"

# Options of the old program that have no counterpart: what they were, and what to do instead.
REFUSED: dict[str, str] = {
    "--only-write-lora": "leave it out: the adapter and the checkpoint are both written",
    "--norm-rms-eps": _ROPE,
    "--rope-freq-base": _ROPE,
    "--rope-freq-scale": _ROPE,
    **dict.fromkeys(("--rank-att-norm", "--rank-ffn-norm", "--rank-out-norm", "--rank-tok-embd"), _RANKS),
    **dict.fromkeys(("--rank-out", "--rank-wq", "--rank-wk", "--rank-wv", "--rank-wo"), _RANKS),
    **dict.fromkeys(("--rank-ffn_gate", "--rank-ffn_down", "--rank-ffn_up"), _RANKS),
    "--grad-acc": "use `--batch-size` for the sequences of a step, and `--micro-batch-size` for those of one pass",
    "--include-sample-start": _SAMPLES,
    "--escape": "write the text of `--sample-start` with your shell's own escapes, such as $'\\n'",
    **dict.fromkeys(("--overlapping-samples", "--sample-random-offsets", "--force-reshuffle"), _SAMPLES),
    "--fill-with-next-samples": "use `--packing`, which fills each sequence with further rows",
    **dict.fromkeys(("--separate-with-eos", "--no-separate-with-eos"), _END),
    **dict.fromkeys(("--separate-with-bos", "--no-separate-with-bos"), _END),
    **dict.fromkeys(("--no-flash", "--use-flash"), _ATTENTION),
    **dict.fromkeys(("--no-checkpointing", "--use-checkpointing"), _MEMORY),
    **dict.fromkeys(("--cos-decay-steps", "--cos-decay-restart", "--cos-decay-min"), _COSINE),
    **dict.fromkeys(("--enable-restart", "--disable-restart"), _COSINE),
    **dict.fromkeys(("--opt-past", "--opt-delta", "--opt-max-no-improvement"), _STOP),
    **dict.fromkeys(("--adam-beta1", "--adam-beta2", "--adam-decay-min-ndim"), _ADAM),
    **dict.fromkeys(("--adam-epsf", "--adam-epsg"), _STOP),
    "--pattern-fn-it": "ITERATION is always the placeholder for the step",
    "--fn-latest": "LATEST is always the name of the newest file",
    **dict.fromkeys(("--n-gpu-layers", "-ngl"), "use `--device`; `localft doctor` lists the devices"),
}


def is_old_form(arguments: Sequence[str]) -> bool:
    """Whether these are arguments of the old program."""
    return any(argument.partition("=")[0] in OLD_ONLY for argument in arguments)


def translate(arguments: Sequence[str]) -> list[str]:
    """Our arguments for those of the old program; what is ours already stays as it is.

    Raises:
        ConfigError: an option without a counterpart; names it, and what to use now.
    """
    names = {argument.partition("=")[0] for argument in arguments}
    for mark, what in (("--model-base", "the base model"), ("--train-data", "the training text")):
        if mark not in names and RENAMED[mark] not in names:
            raise ConfigError(f"the old command form needs `{mark}`, {what}", f"add `{mark} FILE`")
    translated = [_translate_one(argument) for argument in arguments]
    if "--checkpoint-out" not in names:
        translated += ["--checkpoint-out", DEFAULT_CHECKPOINT]
    if "--lora-out" not in names:
        translated += ["--lora-out", DEFAULT_ADAPTER]
    return translated


def _translate_one(argument: str) -> str:
    name, equals, value = argument.partition("=")
    if name in REFUSED:
        raise ConfigError(f"`{name}` of the old finetune program is not supported", REFUSED[name])
    return RENAMED.get(name, name) + equals + value
