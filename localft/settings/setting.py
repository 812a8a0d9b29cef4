"""What a setting is: its type, its limits, its words; and how a value from a flag or a file becomes one."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import Field, dataclass, field
from typing import Any

from localft.errors import ConfigError
from localft.home import at_home
from localft.spelling import nearest

_LARGEST = 2**63 - 1
SIZE_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


@dataclass(frozen=True)
class Setting:
    """The words and limits of one setting. `kind` is filled in from the annotation of its field.

    Attributes:
        minimum, maximum: the range, both ends allowed unless `above` says that the lower one is not.
        choices: the words allowed, for settings of text.
        path: the text, or each of them, is a path or may be one: `~` at its beginning is the home folder.
        parse: turns text or a number into the value; for kinds that a plain type does not say.
        aliases: further flags of the same setting.
    """

    group: str
    help: str
    metavar: str | None = None
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    above: bool = False
    path: bool = False
    parse: Callable[[Any], Any] | None = None
    hidden: bool = False
    shown_default: str | None = None
    aliases: tuple[str, ...] = ()


def setting(default: Any, group: str, help: str, **limits: Any) -> Any:
    """Declare a dataclass field that is a setting."""
    return field(default=default, metadata={"setting": Setting(group, help, **limits)})


def flag_name(name: str) -> str:
    """The flag of a config key."""
    return "--" + name.replace("_", "-")


def parse_size(value: Any) -> int:
    """Bytes from a number or from text such as "8GiB", "8G" or "512MB" (units are powers of 1024)."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", str(value).strip().lower())
    if not match:
        raise ValueError("expected a size such as `6GiB`")
    try:
        return int(float(match[1]) * SIZE_UNITS[match[2]])
    except OverflowError:
        raise ValueError("no machine has so much") from None


def parse_warmup(value: Any) -> float:
    """A share of all steps (0.05 or "5%") below 1, a number of steps from 1 on."""
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*(%?)", str(value).strip())
    if not match:
        raise ValueError("expected a share such as `0.05` or `5%`, or a number of steps")
    number = float(match[1]) / 100 if match[2] else float(match[1])
    if match[2] and number >= 1:
        raise ValueError("expected less than 100 % of all steps")
    return number


def parse_layers(value: Any) -> str:
    """Layers as written: "all", "8-11", "8-", "7" or "last:4"."""
    text = str(value).strip().lower()
    if not re.fullmatch(r"all|\d+|\d+-\d*|last:\d+", text):
        raise ValueError("expected `all`, a range such as `8-11` or `8-`, or `last:4`")
    return text


def parse_names(value: Any) -> str:
    """A comma-separated list of names, also given as a list; without spaces."""
    parts = value if isinstance(value, (list, tuple)) else str(value).split(",")
    names = [str(part).strip() for part in parts]
    if not all(names):
        raise ValueError("expected names separated by commas")
    return ",".join(names)


def parse_replay(value: Any) -> str:
    """A source and its share behind a colon, as written."""
    split_share(str(value))
    return str(value)


def split_share(text: str) -> tuple[str, float]:
    """`wiki.txt:0.2` or `wiki.txt:20%` as name and share.

    Raises:
        ValueError: it ends in no share between 0 and 1.
    """
    name, _, end = text.rpartition(":")
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*(%?)", end.strip())
    share = float(match[1]) / (100 if match[2] else 1) if match else 0.0
    if not name or not 0 < share < 1:
        raise ValueError("expected a share between 0 and 1 behind a colon, such as `wiki.txt:0.2` or `wiki.txt:20%`")
    return name, share


def coerce(spec: Field[Any], value: Any, source: str) -> Any:
    """Turn `value` into the type of the setting `spec`, or refuse it.

    Args:
        source: where the value comes from, for the message ("flag", "config file", …).

    Raises:
        ConfigError: the type or the range is wrong; names the setting, the value and what was expected.
    """
    rules: Setting = spec.metadata["setting"]
    try:
        result = rules.parse(value) if rules.parse and value is not None else _plain(str(spec.type), value)
        result = _expanded(result) if rules.path else result
        _check_range(rules, result)
    except (ValueError, OverflowError) as error:
        name = flag_name(spec.name) if source == "flag" else f"{spec.name} ({source})"
        close = nearest(str(value), rules.choices)
        hint = f"did you mean `{close}`?" if close else rules.help[0].upper() + rules.help[1:]
        raise ConfigError(f"`{name}` cannot be `{value}`: {error}", hint) from None
    return result


def _expanded(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(at_home, value))
    return at_home(value) if isinstance(value, str) else value


def _plain(kind: str, value: Any) -> Any:
    optional = kind.endswith(" | None")
    if value is None:
        if not optional:
            raise ValueError("a value is needed")
        return None
    return _READERS[kind.removesuffix(" | None")](value)


def _read_bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("expected true or false")
    return value


def _read_int(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d+", value.strip()):
        return int(value)
    raise ValueError("expected a whole number")


def _read_float(value: Any) -> float:
    if isinstance(value, bool):
        raise ValueError("expected a number")
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError("expected a number") from None
    if number != number or number in (float("inf"), float("-inf")):
        raise ValueError("expected a finite number")
    return number


def _read_text(value: Any) -> str:
    if isinstance(value, (bool, int, float, list, tuple, dict)):
        raise ValueError("expected text")
    if "\0" in str(value):
        raise ValueError("it has a NUL character")
    return str(value)


def _read_paths(value: Any) -> tuple[str, ...]:
    if isinstance(value, (list, tuple)):
        return tuple(_read_text(part) for part in value)
    return (_read_text(value),)


_READERS: dict[str, Callable[[Any], Any]] = {
    "bool": _read_bool,
    "int": _read_int,
    "float": _read_float,
    "str": _read_text,
    "tuple[str, ...]": _read_paths,
}


def _check_range(rules: Setting, value: Any) -> None:
    if rules.choices and value is not None and value not in rules.choices:
        raise ValueError(f"expected one of {', '.join(rules.choices)}")
    if value is None or isinstance(value, (bool, str, tuple)):
        return
    if not -_LARGEST <= value <= _LARGEST:
        raise ValueError(f"expected at most {_LARGEST}")
    if rules.minimum is not None and (value < rules.minimum or (rules.above and value == rules.minimum)):
        raise ValueError(f"expected {'more than' if rules.above else 'at least'} {rules.minimum:g}")
    if rules.maximum is not None and value > rules.maximum:
        raise ValueError(f"expected at most {rules.maximum:g}")
