"""Settings: where they come from, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from localft.errors import ConfigError
from localft.settings.other_words import OTHER_WORDS
from localft.settings.resolve import resolve
from localft.settings.train_config import SETTINGS, TrainConfig


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "run.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_flags_go_before_file_before_card_before_default(tmp_path: Path) -> None:
    path = write(tmp_path, 'model = "m"\nlr = 1e-3\nepochs = 5\nseed = 0\n')
    card = {"lr": 5e-4, "epochs": 9, "lora_rank": 4}
    config = resolve({"lr": 1e-2}, path, lambda model: card if model == "m" else {})
    assert (config.lr, config.source("lr")) == (1e-2, "flag")
    assert (config.epochs, config.source("epochs")) == (5, "config file")
    assert (config.lora_rank, config.source("lora_rank")) == (4, "model card")
    assert (config.lora_alpha, config.source("lora_alpha")) == (16.0, "default")
    assert (config.seed, config.source("seed")) == (0, "config file")


def test_published_defaults() -> None:
    config = TrainConfig()
    assert (config.lora_rank, config.lora_alpha, config.lora_dropout, config.lora_targets) == (8, 16.0, 0.0, "all")
    assert (config.lr, config.lr_schedule, config.warmup, config.batch_size) == (2e-4, "cosine", 0.05, 8)
    assert (config.grad_clip, config.epochs, config.seed, config.val_split) == (1.0, 3, 42, 0.1)


@pytest.mark.parametrize(
    ("flags", "message", "hint"),
    [
        ({"lrr": 1}, "unknown setting `lrr`", "did you mean `lr`?"),
        ({"lora-rank": 8}, "unknown setting `lora-rank`", "did you mean `lora_rank`?"),
        ({"learning_rate": 1}, "unknown setting `learning_rate`", "did you mean `lr`?"),
        ({"output-dir": "x"}, "unknown setting `output-dir`", "did you mean `out`?"),
        ({"warmup": "100%"}, "`--warmup` cannot be `100%`: expected less than 100 % of all steps", None),
        ({"lr": "fast"}, "`--lr` cannot be `fast`: expected a number", None),
        ({"lr": float("nan")}, "`--lr` cannot be `nan`: expected a finite number", None),
        ({"epochs": 1.5}, "`--epochs` cannot be `1.5`: expected a whole number", None),
        ({"epochs": 10**400}, "expected at most 9223372036854775807", None),
        ({"max_steps": 2**63}, "expected at most 9223372036854775807", None),
        ({"warmup": "9" * 400}, "expected at most 9223372036854775807", None),
        ({"val_every": 2**64}, "expected at most 9223372036854775807", None),
        ({"epochs": True}, "`--epochs` cannot be `True`: expected a whole number", None),
        ({"lora_rank": 0}, "`--lora-rank` cannot be `0`: expected at least 1", None),
        ({"lora_dropout": 1}, "`--lora-dropout` cannot be `1`: expected at most 0.95", None),
        ({"packing": 1}, "`--packing` cannot be `1`: expected true or false", None),
        ({"warmup": "-1"}, "`--warmup` cannot be `-1`", None),
        ({"memory": "lots"}, "`--memory` cannot be `lots`: expected a size such as `6GiB`", None),
        ({"lora_layers": "some"}, "`--lora-layers` cannot be `some`", None),
        ({"lr_schedule": "cosin"}, "expected one of constant, linear, cosine", "did you mean `cosine`?"),
        ({"no_val": True, "val_every": 3}, "`--no-val` and `--val-every` contradict each other", None),
        ({"batch_size": 2, "micro_batch_size": 4}, "`--micro-batch-size 4` is larger than `--batch-size 2`", None),
        ({"min_lr": 1.0}, "`--min-lr 1` is above `--lr 0.0002`", None),
        ({"min_lr": 1e-5, "lr_schedule": "constant"}, "has no meaning", None),
    ],
)
def test_refusals(flags: dict[str, object], message: str, hint: str | None) -> None:
    with pytest.raises(ConfigError) as error:
        resolve(flags)
    assert message in error.value.message
    assert error.value.exit_code == 2
    if hint:
        assert error.value.hint == hint


def test_other_programs_words_lead_to_settings() -> None:
    assert set(OTHER_WORDS.values()) <= set(SETTINGS)
    assert not set(OTHER_WORDS) & set(SETTINGS)


def test_a_near_word_is_offered_once() -> None:
    with pytest.raises(ConfigError) as error:
        resolve({"overlength": "trunc"})
    assert "did you mean" not in error.value.message
    assert error.value.hint == "did you mean `truncate`?"


def test_values_in_the_user_s_words() -> None:
    config = resolve({"warmup": "5%", "memory": "1.5 GiB", "data": "a.txt", "lora_targets": ["attn_q", "attn_v"]})
    assert (config.warmup, config.memory, config.data, config.lora_targets) == (
        0.05,
        3 * 2**29,
        ("a.txt",),
        "attn_q,attn_v",
    )
    assert resolve({"warmup": 20, "lora_layers": "last:4"}).warmup == 20


def test_keys_of_a_config_file_may_be_written_as_flags_are(tmp_path: Path) -> None:
    file = write(tmp_path, "lora-rank = 16\ntrain-on-prompt = true\nlora_alpha = 4\n")
    config = resolve({}, file)
    assert (config.lora_rank, config.train_on_prompt, config.lora_alpha) == (16, True, 4)
    assert config.source("lora_rank") == "config file"


def test_the_home_folder_is_meant_by_a_tilde_wherever_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    text = """model = "~/m.gguf"
data = ["~/a.jsonl:2", "hf:a/b", "b~/c.txt", "~"]
val-data = "~/v.jsonl"
replay = "~/wiki.txt:20%"
template = "~/t.jinja"
out = "~/runs/x"
"""
    write(tmp_path, text)
    config = resolve({"lora_out": "~/a.gguf", "checkpoint_in": "~nobody-of-that-name/c"}, Path("~/run.toml"))
    home = str(tmp_path)
    assert config.data == (f"{home}/a.jsonl:2", "hf:a/b", "b~/c.txt", home)
    assert (config.model, config.val_data, config.replay) == (
        f"{home}/m.gguf",
        f"{home}/v.jsonl",
        f"{home}/wiki.txt:20%",
    )
    assert (config.template, config.out) == (f"{home}/t.jinja", f"{home}/runs/x")
    assert (config.lora_out, config.checkpoint_in) == (f"{home}/a.gguf", "~nobody-of-that-name/c")


def test_every_setting_that_takes_a_path_says_so() -> None:
    paths = {name for name, spec in SETTINGS.items() if spec.metadata["setting"].path}
    files = {"FILE", "FOLDER", "PATH", "DATA", "DATA:SHARE", "MODEL", "RUN"}
    named = {name for name, spec in SETTINGS.items() if spec.metadata["setting"].metavar in files}
    assert paths == named | {"template"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lora_rank = 1\nlora-rank = 1", "has `lora_rank` twice, with a dash and with an underscore"),
        ("lrr = 1", "unknown key in the config file `lrr`"),
        ("lr = ", "is not TOML"),
        ("[training]\nlr = 1", "has a table `[training]`"),
        ('lr = "x"', "`lr (config file)` cannot be `x`"),
    ],
)
def test_config_files_that_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        resolve({}, write(tmp_path, text))
    assert message in error.value.message


def test_a_bad_card_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown key in the model card `rank`"):
        resolve({"model": "m"}, None, lambda model: {"rank": 1})


def test_round_trip_keeps_sources_and_reasons() -> None:
    config = resolve({"model": "m", "data": ("a", "b"), "memory": "2GiB"})
    config = config.with_values("hardware", {"threads": 2}, {"threads": "2 physical cores"})
    again = TrainConfig.from_dict(config.to_dict())
    assert again == config
    assert config.to_dict()["threads"] == {"value": 2, "source": "hardware", "reason": "2 physical cores"}
    assert list(config.to_dict()) == list(SETTINGS)
