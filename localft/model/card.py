"""ModelCard: the models that localft knows by a short name, one TOML file each in models/."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from localft.errors import ConfigError
from localft.files import read_text
from localft.spelling import nearest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PACKAGE = Path(__file__).resolve().parents[1]
CARD = "localft.convert.card"  # in a converted file: the name of the card that it was converted from
NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")

# What a card may preset: settings of a training run that depend on the model. Their values are checked where
# a run's settings are merged.
DEFAULT_KEYS = (
    "batch_size",
    "ctx",
    "epochs",
    "grad_clip",
    "lora_alpha",
    "lora_dropout",
    "lora_rank",
    "lora_targets",
    "lr",
    "lr_schedule",
    "max_steps",
    "micro_batch_size",
    "min_lr",
    "outtype",
    "template",
    "warmup",
    "weight_decay",
)


@dataclass(frozen=True)
class Shape:
    """A llama model's sizes. `tied`: its output head is the token embedding."""

    n_vocab: int
    n_embd: int
    n_layer: int
    n_head: int
    n_head_kv: int
    n_ff: int
    tied: bool


@dataclass(frozen=True)
class ModelCard:
    """A model that `--model` takes by name.

    Attributes:
        name: the card's file name without `.toml`.
        hf_id: Hugging Face repo id; of the bundled model, None.
        revision: branch, tag or commit of that repo.
        architecture: GGUF architecture, such as "llama".
        parameters: number of weights, about.
        licence: SPDX identifier or the licence's own name.
        description: one line for lists.
        gated: the repo asks for an account that accepted its terms.
        chat: the model was trained on conversations and has a chat template.
        bundled: folder of a checkpoint that localft ships, or None.
        shape: the model's sizes, for a stand-in of random weights; None where the card does not give them.
        defaults: training settings by config key, weaker than config files and flags.
    """

    name: str
    hf_id: str | None
    architecture: str
    parameters: int
    licence: str
    description: str
    revision: str = "main"
    gated: bool = False
    chat: bool = False
    bundled: Path | None = None
    shape: Shape | None = None
    defaults: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))


_TYPES: dict[str, type] = {
    "hf_id": str,
    "revision": str,
    "architecture": str,
    "parameters": int,
    "licence": str,
    "description": str,
    "gated": bool,
    "chat": bool,
    "bundled": str,
    "shape": dict,
    "defaults": dict,
}
_HINT = "the cards of this project show what one holds"
_REQUIRED = ("architecture", "parameters", "licence", "description")


def cards_folder() -> Path:
    """The folder of model cards: package data where localft is installed, `models/` in a source checkout."""
    for folder in (PACKAGE / "models", PACKAGE.parent / "models"):
        if folder.is_dir():
            return folder
    raise ConfigError("the model cards are missing from this installation", "install localft again")


def read_card(path: Path) -> ModelCard:
    """Parse and validate one card.

    Raises:
        ConfigError: not TOML, an unknown or missing key, or a value of the wrong type.
    """
    try:
        values = tomllib.loads(read_text(path))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else error
        raise ConfigError(f"model card `{path}` cannot be read: {reason}", _HINT) from error
    _check_keys(path, values, _TYPES, "key")
    for key in _REQUIRED:
        if key not in values:
            raise ConfigError(f'model card `{path}` has no "{key}"', f"add a line `{key} = …` to `{path.name}`")
    for key, value in values.items():
        _check_type(path, key, value)
    _check_values(path, values)
    bundled, shape = values.pop("bundled", None), values.pop("shape", None)
    return ModelCard(
        name=path.stem,
        hf_id=values.pop("hf_id", None),
        bundled=PACKAGE / bundled if bundled else None,
        shape=Shape(**shape) if shape else None,
        defaults=MappingProxyType(values.pop("defaults", {})),
        **values,
    )


def _check_keys(
    path: Path, values: Mapping[str, object], known: Mapping[str, object] | tuple[str, ...], what: str
) -> None:
    for key in values:
        if key not in known:
            close = nearest(key, list(known))
            hint = f"did you mean `{close}`?" if close else f"known: {', '.join(sorted(known))}"
            raise ConfigError(f'model card `{path}` has an unknown {what} "{key}"', hint)


def _check_type(path: Path, key: str, value: object) -> None:
    wanted = _TYPES[key]
    if type(value) is not wanted:
        name = {str: "text", int: "a whole number", bool: "true or false", dict: "a table"}[wanted]
        raise ConfigError(f'"{key}" in model card `{path}` is `{value!r}`, which is not {name}', _HINT)


def _check_values(path: Path, values: Mapping[str, Any]) -> None:
    if not NAME.fullmatch(path.stem):
        raise ConfigError(
            f"model card `{path}` has a name that is not lower-case letters, digits, dots and dashes", _HINT
        )
    if ("hf_id" in values) == ("bundled" in values):
        raise ConfigError(f'model card `{path}` must have either "hf_id" or "bundled"', _HINT)
    if "hf_id" in values and not re.fullmatch(r"[\w.-]+/[\w.-]+", values["hf_id"]):
        raise ConfigError(f'"hf_id" in model card `{path}` is `{values["hf_id"]}`, which is not `owner/name`', _HINT)
    if values["parameters"] <= 0:
        raise ConfigError(f'"parameters" in model card `{path}` is {values["parameters"]}, which is not above 0', _HINT)
    _check_keys(path, values.get("defaults", {}), DEFAULT_KEYS, "default")
    if "shape" in values:
        _check_shape(path, values["shape"])


def _check_shape(path: Path, shape: Mapping[str, object]) -> None:
    wanted = {spec.name: bool if spec.name == "tied" else int for spec in fields(Shape)}
    _check_keys(path, shape, wanted, "size")
    for key, kind in wanted.items():
        value = shape.get(key)
        if type(value) is not kind or (kind is int and value <= 0):  # type: ignore[operator]
            raise ConfigError(f'"{key}" in the shape of model card `{path}` is `{value!r}`', _HINT)


@cache
def _load(folder: Path) -> Mapping[str, ModelCard]:
    return {path.stem: read_card(path) for path in sorted(folder.glob("*.toml"))}


def load_cards() -> dict[str, ModelCard]:
    """All model cards by name, in alphabetical order.

    Raises:
        ConfigError: a card cannot be parsed.
    """
    return dict(_load(cards_folder()))


def find_card(name: str) -> ModelCard | None:
    """The card called `name`, or the card of the Hugging Face repo `name`; None where there is none."""
    cards = load_cards()
    if name in cards:
        return cards[name]
    return next(
        (card for card in cards.values() if card.hf_id is not None and card.hf_id.lower() == name.lower()), None
    )
