"""How rows are worded for the model: its chat template, Alpaca's wording, or plain text; and the same for chat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal, get_args

from localft.data.reading.data_file import place
from localft.data.rows.row import Row, RowKind
from localft.data.wording.chat_template import ChatTemplate, RenderError
from localft.data.wording.conversation import Formatter
from localft.errors import ConfigError, DatasetError, ModelError
from localft.files import read_text
from localft.kinds.file_kind import Kind, unfit
from localft.model.tokenizer import Tokenizer

TemplateKind = Literal["chat", "alpaca", "completion", "messages", "raw"]

# The wording of the Stanford Alpaca project's train.py; its second sentence where there is an input.
_ALPACA = """\
{%- for message in messages -%}
{%- if message.role == 'system' -%}
{{ message.content + '\\n\\n' }}
{%- elif message.role == 'user' -%}
{%- if loop.first and message.input -%}
{{ 'Below is an instruction that describes a task, paired with an input that provides further context. ' }}
{{- 'Write a response that appropriately completes the request.\\n\\n' }}
{%- elif loop.first -%}
{{ 'Below is an instruction that describes a task. ' }}
{{- 'Write a response that appropriately completes the request.\\n\\n' }}
{%- elif loop.previtem.role == 'assistant' -%}
{{ '\\n\\n' }}
{%- endif -%}
{{ '### Instruction:\\n' + message.content + '\\n\\n' }}
{%- if message.input -%}
{{ '### Input:\\n' + message.input + '\\n\\n' }}
{%- endif -%}
{%- else -%}
{{ '### Response:' + message.content }}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '### Response:' }}{%- endif -%}
"""
_COMPLETION = """\
{%- for message in messages -%}
{{ message.content }}
{%- if message.input -%}{{ '\\n' + message.input }}{%- endif -%}
{%- if message.role == 'system' -%}{{ '\\n\\n' }}{%- endif -%}
{%- endfor -%}
"""
_MESSAGES = """\
{%- for message in messages -%}
{%- if message.role == 'system' -%}
{{ message.content + '\\n\\n' }}
{%- elif message.role == 'user' -%}
{{ 'User: ' + message.content + '\\n' }}
{%- else -%}
{{ 'Assistant: ' + message.content + '\\n' }}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ 'Assistant:' }}{%- endif -%}
"""
BUILT_IN: dict[str, str] = {"alpaca": _ALPACA, "completion": _COMPLETION, "messages": _MESSAGES, "raw": _COMPLETION}


@dataclass(frozen=True)
class TemplateInfo:
    """How a run's rows were worded; stored with the run and the adapter, and followed by chat.

    Attributes:
        kind: "chat" (the model's template or the user's), "alpaca", "completion", "messages", or "raw" text.
        source: Jinja source, the built-in ones included.
        origin: where it came from: "model", "built-in" or the file that --template named.
        date: ISO date that a template sees as today.
        thinking: chat leaves it to the model to think before it answers, as in the rows of which some held reasoning.
    """

    kind: TemplateKind
    source: str
    origin: str
    date: str
    thinking: bool = False

    def to_dict(self) -> dict[str, Any]:
        """A JSON-serialisable dict; `from_dict` reads it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TemplateInfo:
        """Read what `to_dict` wrote.

        Raises:
            ModelError: a field is missing or of no known kind.
        """
        try:
            source, origin, day = (str(values[key]) for key in ("source", "origin", "date"))
            info = cls(values["kind"], source, origin, day, bool(values.get("thinking", False)))
            date.fromisoformat(info.date)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"the recorded template is damaged: {error}", "chat with --raw or --template") from None
        if info.kind not in get_args(TemplateKind):
            raise ModelError(f"the recorded template has the unknown kind `{info.kind}`", "update localft")
        return info


def choose_templates(
    tokenizer: Tokenizer, template: str | None = None, raw: bool = False, today: str | None = None
) -> dict[RowKind, TemplateInfo]:
    """The wording of each kind of row for one model.

    Args:
        tokenizer: of the model; its chat template is used where it has one.
        template: a kind's name, or a file with a Jinja chat template; None: what fits the model.
        raw: prompt and answer as they stand, whatever template the model has.
        today: ISO date for templates that print it; None: today's.

    Raises:
        ConfigError: `template` names neither a kind nor a file, or "chat" of a model without one.
    """
    day = today or date.today().isoformat()
    text = TemplateInfo("raw", BUILT_IN["raw"], "built-in", day)
    if raw:
        template = "completion"
    if template is None and tokenizer.chat_template is None:
        kinds: tuple[Literal["completion", "alpaca", "messages"], ...] = ("completion", "alpaca", "messages")
        return {"text": text, **{kind: TemplateInfo(kind, BUILT_IN[kind], "built-in", day) for kind in kinds}}
    one = _named_template(tokenizer, template, day)
    return {"text": text, "completion": one, "alpaca": one, "messages": one}


def _named_template(tokenizer: Tokenizer, template: str | None, day: str) -> TemplateInfo:
    if template in (None, "chat"):
        if tokenizer.chat_template is None:
            hint = f"leave --template out, or name a Jinja file or one of {', '.join(BUILT_IN)}"
            raise ConfigError("--template `chat`, but the model has no chat template", hint)
        return TemplateInfo("chat", tokenizer.chat_template, "model", day)
    if template in get_args(TemplateKind):
        kind: Any = "completion" if template == "raw" else template
        return TemplateInfo(kind, BUILT_IN[kind], "built-in", day)
    path = Path(str(template))
    if found := unfit(path, Kind.UTF16, Kind.WEB_PAGE):
        raise ConfigError(f"--template `{path}` is {found.what}", found.hint)
    try:
        return TemplateInfo("chat", read_text(path), str(template), day)
    except (OSError, UnicodeDecodeError):
        template = str(template)[:80]
        hint = f"name one of {', '.join(get_args(TemplateKind))}, or a file with a Jinja chat template"
        raise ConfigError(f"--template `{template}` is neither a kind of template nor a file", hint) from None


def describe(info: TemplateInfo) -> str:
    """A template in the words of the table before the first step."""
    words = {
        "chat": "the model's chat template" if info.origin == "model" else f"the chat template in {info.origin}",
        "alpaca": "Alpaca's wording",
        "completion": "prompt followed by completion, as they stand",
        "messages": "plain `User:` and `Assistant:` lines",
        "raw": "raw text",
    }
    return words[info.kind]


def formatter(info: TemplateInfo, tokenizer: Tokenizer) -> Formatter:
    """What turns messages into token ids by one template and vocabulary."""
    template = ChatTemplate(info.source, tokenizer.template_tokens(), info.date)
    join = info.kind in ("chat", "messages")
    return Formatter(template, tokenizer, join_input=join, thinking=info.thinking)


def refused(row: Row, error: RenderError) -> DatasetError:
    """What to say about a row that its template refuses."""
    return DatasetError(f"{place(row.source, row.line)}: the chat template refuses this row: {error}", error.hint)
