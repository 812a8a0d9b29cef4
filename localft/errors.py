"""What a user sees of a failure: every exception here, or made of these, has a message and a hint, and no traceback."""

from __future__ import annotations


class LocalftError(Exception):
    """Something that the user can act on.

    Args:
        message: sentence case, the offending value quoted, no final period.
        hint: what to do about it, or None.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


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
