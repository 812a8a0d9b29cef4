"""The old program's command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from localft.errors import ConfigError
from localft.run.writer import output_paths
from localft.settings.old_finetune_flags import is_old_form, translate

OLD = [
    *("--model-base", "M.gguf", "--train-data", "D.txt", "--threads", "2", "--batch", "4", "--sample-start", "<s>"),
    *("--ctx", "512", "--epochs", "4", "--checkpoint-in", "checkpoint-LATEST.gguf"),
]


def test_the_old_command() -> None:
    assert is_old_form(OLD)
    assert not is_old_form(["--model", "m", "--data", "d"])
    assert translate(OLD) == [
        *("--model", "M.gguf", "--data", "D.txt", "--threads", "2", "--batch-size", "4", "--sample-start", "<s>"),
        *("--ctx", "512", "--epochs", "4", "--checkpoint-in", "checkpoint-LATEST.gguf"),
        *("--checkpoint-out", "checkpoint-LATEST.gguf", "--lora-out", "ggml-lora-LATEST-f32.gguf"),
    ]


def test_other_names_and_the_equals_form() -> None:
    args = ["--model-base=M", "--train-data=D", "--adam-iter=30", "--lora-r", "4", "--adam-alpha", "1e-3", "-t", "1"]
    assert translate([*args, "--lora-out", "x.gguf", "--checkpoint-out="])[:9] == [
        *("--model=M", "--data=D", "--max-steps=30", "--lora-rank", "4", "--lr", "1e-3", "--threads", "1")
    ]


@pytest.mark.parametrize(
    "option", ["--use-flash", "--rank-wq", "--cos-decay-steps=10", "--opt-past", "-ngl", "--grad-acc"]
)
def test_what_has_no_counterpart_is_refused_by_name(option: str) -> None:
    with pytest.raises(ConfigError) as error:
        translate([*OLD, option])
    assert f"`{option.partition('=')[0]}`" in error.value.message
    assert error.value.hint


def test_half_of_the_old_form_is_refused() -> None:
    with pytest.raises(ConfigError, match="--train-data"):
        translate(["--model-base", "M.gguf"])


def test_output_names() -> None:
    assert output_paths("c-ITERATION.gguf", 12) == [Path("c-LATEST.gguf"), Path("c-12.gguf")]
    assert output_paths("c-LATEST.gguf", 12) == [Path("c-LATEST.gguf")]
    assert output_paths(None, 1) == output_paths("", 1) == []
