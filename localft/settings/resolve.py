"""The settings of a run from all that has a say: flags over the config file over the model's card over the defaults."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from localft.errors import ConfigError, LocalftError
from localft.files import read_text
from localft.home import at_home
from localft.kinds.file_kind import Kind, unfit
from localft.settings.setting import flag_name
from localft.settings.train_config import TrainConfig


def resolve(
    flags: Mapping[str, Any],
    config_file: Path | None = None,
    card_defaults: Callable[[str], Mapping[str, Any]] | None = None,
) -> TrainConfig:
    """Merge flags over the config file over the model's card over the defaults.

    Args:
        flags: values given on the command line or to `localft.finetune`, by setting name.
        config_file: a TOML file of settings.
        card_defaults: the settings in the card of the model that it is called with; by default none.

    Raises:
        ConfigError: an unknown key (names the nearest), a wrong type, a value out of range, settings at odds.
    """
    from_file = read_config_file(config_file) if config_file else {}
    given = TrainConfig().with_values("config file", from_file).with_values("flag", flags)
    card = card_defaults(given.model) if card_defaults and given.model else {}
    config = TrainConfig().with_values("model card", card)
    config = config.with_values("config file", from_file).with_values("flag", flags)
    check_together(config)
    return config


def read_config_file(path: Path) -> dict[str, Any]:
    """The settings in a TOML file, whose keys may be written with dashes as flags are.

    Raises:
        LocalftError: it cannot be read.
        ConfigError: it is no TOML, holds tables, or has a key in both spellings.
    """
    path = Path(at_home(str(path)))
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    if found := unfit(path, Kind.UTF16, Kind.WEB_PAGE):
        raise ConfigError(f"config file `{path}` is {found.what}", found.hint)
    try:
        values = tomllib.loads(read_text(path))
    except OSError as error:
        hint = "check the path, and that it is a file that you may read"
        raise LocalftError(f"config file `{path}` cannot be read: {error.strerror}", hint) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else error
        hint = "write lines such as `lora_rank = 16`"
        raise ConfigError(f"config file `{path}` is not TOML: {reason}", hint) from None
    for name, value in values.items():
        if isinstance(value, dict):
            raise ConfigError(
                f"config file `{path}` has a table `[{name}]`", "settings stand at the top level of the file"
            )
    return _with_underscores(values, path)


def _with_underscores(values: Mapping[str, Any], path: Path) -> dict[str, Any]:
    keys: dict[str, Any] = {}
    for name, value in values.items():
        key = name.replace("-", "_")
        if key in keys:
            message = f"config file `{path}` has `{key}` twice, with a dash and with an underscore"
            raise ConfigError(message, "leave one of them out")
        keys[key] = value
    return keys


def check_together(config: TrainConfig) -> None:
    """Refuse settings that contradict each other.

    Raises:
        ConfigError: names both.
    """
    unvalidated = [name for name in ("no_val", "all_data") if getattr(config, name)]
    for flag in unvalidated:
        # a validation file is data too
        without = ("val_samples", "val_every", "val_batch_size", "val_split", "on_leak") + (
            ("val_data",) * (flag == "no_val")
        )
        for name in (*without, *unvalidated):
            if name in config.sources and name != flag:
                raise ConfigError(
                    f"`{flag_name(flag)}` and `{flag_name(name)}` contradict each other", "leave one of them out"
                )
    if config.val_data and "val_split" in config.sources:
        raise ConfigError("`--val-data` and `--val-split` contradict each other", "leave one of them out")
    if config.raw and config.template:
        raise ConfigError("`--raw` and `--template` contradict each other", "leave one of them out")
    if config.micro_batch_size and config.micro_batch_size > config.batch_size:
        raise ConfigError(
            f"`--micro-batch-size {config.micro_batch_size}` is larger than `--batch-size {config.batch_size}`",
            "batch size counts the sequences of a whole step",
        )
    if config.min_lr > config.lr:
        message = f"`--min-lr {config.min_lr:g}` is above `--lr {config.lr:g}`"
        raise ConfigError(message, "it is where the learning rate ends: lower it")
    if config.min_lr and config.lr_schedule == "constant":
        raise ConfigError("`--min-lr` has no meaning with `--lr-schedule constant`", "use linear or cosine")
