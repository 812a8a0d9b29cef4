"""Click options made of the settings of a run: name, help, choices and default stand in `TrainConfig` alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import click

from localft.cli.parameters import complete_model, complete_path, complete_words
from localft.settings.setting import Setting, flag_name
from localft.settings.train_config import RUN, SETTINGS

NEWEST = "@newest"  # what an option that names a run is without a value


class GroupedOption(click.Option):
    """An option that belongs to a section of the help page."""

    def __init__(self, *args: Any, group: str = RUN, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.group = group


def setting_options(names: Iterable[str] = SETTINGS) -> Iterator[click.Option]:
    """One option for each setting, or for those named."""
    for name in names:
        yield GroupedOption([flag_name(name), *SETTINGS[name].metadata["setting"].aliases, name], **_attributes(name))


def setting_option(name: str, **overrides: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The option of one setting, as a decorator."""
    return click.option(flag_name(name), name, cls=GroupedOption, **{**_attributes(name), **overrides})


def _attributes(name: str) -> dict[str, Any]:
    spec = SETTINGS[name]
    rules: Setting = spec.metadata["setting"]
    attributes: dict[str, Any] = {"help": _help(rules, spec.default), "hidden": rules.hidden, "group": rules.group}
    if spec.type == "bool":
        attributes |= {"is_flag": True, "default": None}
    elif rules.choices:
        attributes |= {"metavar": rules.metavar or "|".join(rules.choices)}
    else:
        attributes |= {"metavar": rules.metavar or ("N" if "int" in str(spec.type) else "X")}
    if name == "model":
        attributes |= {"shell_complete": complete_model}
    elif rules.path or rules.choices:
        attributes |= {"shell_complete": complete_path if rules.path else complete_words(rules.choices)}
    if str(spec.type).startswith("tuple"):
        attributes |= {"multiple": True}
    return attributes


def _help(rules: Setting, default: Any) -> str:
    unset = default is None or isinstance(default, (bool, tuple)) or default == ""
    plain = f"{default:g}" if isinstance(default, float) else str(default)
    shown = rules.shown_default or ("" if unset else plain)
    words = rules.help[0].upper() + rules.help[1:]
    listed = f" ({', '.join(rules.choices)})" if rules.choices and rules.metavar else ""
    return f"{words}{listed}." + (f" [default: {shown}]" if shown else "")
