"""What a user sees of a failure: every exception here, or made of these, has a message and a hint, and no traceback."""

from __future__ import annotations

import re

from localft.addresses import without_secrets

REPORT = "this is a fault of localft: please report it with what `localft doctor --json` prints"
_QUOTED = re.compile(r"`[^`]*`|\"[^\"]*\"|(?<!\w)'[^']*'(?!\w)")
_LONGEST, _LONGEST_VALUE, _LONGEST_PATH = 400, 80, 1000


class LocalftError(Exception):
    """Something that the user can act on. Passwords and signatures in addresses that its sentences name are left out.

    Args:
        message: sentence case, the offending value quoted, no final period. A value is cut at 80 characters and the
            whole at 400, paths apart: what is quoted may be all of a file.
        hint: what to do about it.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str) -> None:
        self.message, self.hint = shortened(message), shortened(hint)
        super().__init__(self.message, self.hint)

    def __str__(self) -> str:
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message


def shortened(text: str) -> str:
    """A sentence whose quoted values, and which as a whole, are of a length that can be read."""
    text = without_secrets(text)
    if len(text) <= _LONGEST_VALUE:
        return text
    text = _QUOTED.sub(_cut_value, text)
    most = _LONGEST + sum(len(part) for part in re.findall(r"`[^`]*`", text) if "/" in part)
    return text if len(text) <= most else text[: most - 1] + "…"


def _cut_value(match: re.Match[str]) -> str:
    value = match[0][1:-1]
    most = _LONGEST_PATH if "/" in value else _LONGEST_VALUE
    return match[0] if len(value) <= most else f"{match[0][0]}{value[: most - 1]}…{match[0][0]}"


class ConfigError(LocalftError):
    """A flag, a config key or a card that cannot be used as it stands."""

    exit_code = 2


class ModelError(LocalftError):
    """A checkpoint or a GGUF that cannot be read, converted or trained on."""


class TextError(ModelError):
    """A text that the model's tokenizer cannot take; says what of it, where it stands is known elsewhere."""


class DatasetError(LocalftError):
    """A data file or a row that cannot be used; names the file and the line."""


class AdapterError(LocalftError):
    """An adapter that does not fit the base model, or is damaged."""


class EngineError(LocalftError):
    """The training engine refused or failed."""


class EndpointError(LocalftError):
    """A server that is asked for answers refused or failed."""
