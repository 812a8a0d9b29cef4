"""The tokens that stand before an answer, for chat: those of a training row, to the id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from localft.data.rows.row import Message
from localft.data.tokens.tokenize import encode
from localft.data.wording.chat_template import RenderError
from localft.data.wording.template import TemplateInfo, formatter
from localft.data.wording.turns import KEYS
from localft.errors import ModelError
from localft.model.tokenizer import Tokenizer


def prompt_ids(
    info: TemplateInfo, tokenizer: Tokenizer, prompt: str | Sequence[Message] | Sequence[Mapping[str, str]]
) -> list[int]:
    """Token ids that stand before the answer: exactly those of a training row of this template.

    Args:
        info: the run's template.
        tokenizer: of the base model.
        prompt: one user message, or the conversation so far as `Message`s or {"role", "content"} dicts, an answer's
            reasoning under one of the usual keys. With a raw template a string is continued as it stands.

    Returns:
        Token ids with a single BOS where the model wants one.

    Raises:
        ModelError: the template refuses these messages.
    """
    if isinstance(prompt, str):
        messages = [Message("user", prompt)]
    else:
        messages = [m if isinstance(m, Message) else _message(m) for m in prompt]
    try:
        segments = formatter(info, tokenizer).prompt(messages)
    except RenderError as error:
        raise ModelError(f"the chat template refuses this conversation: {error}", error.hint) from None
    return encode(segments, tokenizer).ids.tolist()


def _message(fields: Mapping[str, str]) -> Message:
    reasoning = next((fields[key] for key in KEYS if fields.get(key)), "")
    return Message(fields["role"], fields["content"], fields.get("input", ""), reasoning)
