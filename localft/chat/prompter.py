"""From a conversation to prompt ids, in the format that the training rows had."""

from __future__ import annotations

from collections.abc import Sequence

from localft.data.rows.row import Message
from localft.data.tokens.prompt import prompt_ids
from localft.data.wording.template import TemplateInfo, choose_templates
from localft.errors import AdapterError, ModelError
from localft.json_text import parse_json
from localft.model.tokenizer import Tokenizer


class Prompter:
    """One way to format prompts, for one vocabulary.

    Attributes:
        info: which way.
        remembers: earlier turns are part of the prompt. Prompt/completion rows know no turns, so there each prompt
            stands alone.
        knows_system: the format has a place for a system message.
        strips: an answer's leading white space belongs to the format.
    """

    def __init__(self, info: TemplateInfo, tokenizer: Tokenizer) -> None:
        self.info, self._tokenizer = info, tokenizer
        self.knows_system = self.strips = info.kind != "raw"
        self.remembers = info.kind != "completion"

    def ids(self, messages: Sequence[Message]) -> list[int]:
        """Token ids up to where the next answer begins.

        Raises:
            ModelError: the template refuses these messages.
        """
        if self.info.kind == "raw":
            return self.raw_ids(continued(messages))
        if not self.remembers:
            messages = [m for m in messages if m.role == "system"] + list(messages[-1:])
        return prompt_ids(self.info, self._tokenizer, messages)

    def raw_ids(self, text: str) -> list[int]:
        """Token ids of a text that is to be continued as it stands."""
        return prompt_ids(raw_template(self._tokenizer), self._tokenizer, text)


def continued(messages: Sequence[Message]) -> str:
    """Raw text so far: turns end to end, a user's words on a line of their own."""
    text = ""
    for message in messages:
        content = message.content
        if message.role == "user" and text and content and not text[-1].isspace() and not content[0].isspace():
            text += "\n"
        text += content
    return text


def raw_template(tokenizer: Tokenizer) -> TemplateInfo:
    """Text as it stands."""
    return choose_templates(tokenizer, raw=True)["text"]


def template_for(tokenizer: Tokenizer, given: TemplateInfo | str | None, recorded: str | None) -> TemplateInfo:
    """Choose the format: as given, else as training recorded it, else the model's own chat template, else raw.

    Args:
        given: a template, or what --template takes: a kind's name or a file with a Jinja chat template.
        recorded: JSON of an adapter's metadata.

    Raises:
        AdapterError: the recorded template cannot be read.
        ConfigError: `given` is neither a kind of template nor a file.
    """
    if isinstance(given, TemplateInfo):
        return given
    if given == "raw":
        return raw_template(tokenizer)
    if given is not None:
        return choose_templates(tokenizer, given)["messages"]
    if recorded is not None:
        return parse_template(recorded)
    return choose_templates(tokenizer)["messages"] if tokenizer.chat_template else raw_template(tokenizer)


def parse_template(recorded: str) -> TemplateInfo:
    """The template that an adapter's metadata record.

    Raises:
        AdapterError: it is no template that localft knows.
    """
    try:
        values = parse_json(recorded)
        return TemplateInfo.from_dict(values if isinstance(values, dict) else {})
    except (ValueError, ModelError) as error:
        raise AdapterError(
            f"the adapter records a prompt format that cannot be read: {recorded[:80]!r}",
            "say with --template or --raw how prompts are to be formatted",
        ) from error
