"""A checkpoint's chat template, from the file that transformers takes it from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from localft.errors import ModelError
from localft.files import read_text
from localft.kinds.file_kind import Kind, unfit
from localft.model.conversion.hparams import read_json
from localft.model.conversion.tokenizer_files import TokenizerFiles

ChatTemplate = str | Sequence[Mapping[str, str]]
_DEFAULT = "default"


def read_chat_template(files: TokenizerFiles) -> tuple[ChatTemplate | None, list[str]]:
    """The template, or several with names, and what is to be said about them.

    chat_template.jinja wins over tokenizer_config.json, as in transformers; chat_template.json, which llama.cpp's
    converter reads, serves where neither has one.

    Raises:
        ModelError: it is neither text nor a list of templates with names.
    """
    folder = files.folder
    own = folder / "chat_template.jinja"
    if own.is_file():
        if found := unfit(own, Kind.UTF16, Kind.WEB_PAGE):
            raise ModelError(f"`{own}` is {found.what}", found.hint)
        try:
            return read_text(own), []
        except (OSError, UnicodeDecodeError) as error:
            raise ModelError(f"`{own}` cannot be read: {error}", "download the model again") from error
    older = folder / "chat_template.json"
    template = files.tokenizer.get("chat_template")
    if template is None and older.is_file():
        template = read_json(older).get("chat_template")
    if isinstance(template, dict):
        template = [{"name": name, "template": text} for name, text in template.items()]
    if not (template is None or isinstance(template, str) or _are_named(template)):
        what = "expected text, or a list of templates with names"
        message = f"the chat template of `{folder}` is `{str(template)[:80]}`; {what}"
        raise ModelError(message, "correct tokenizer_config.json, or download the model again")
    return template.lstrip("\ufeff") if isinstance(template, str) else template, _without_default(template)


def _without_default(template: ChatTemplate | None) -> list[str]:
    if not isinstance(template, list) or not template or any(entry["name"] == _DEFAULT for entry in template):
        return []
    names = ", ".join(f"`{entry['name'][:40]}`" for entry in template[:5]) + (", …" if len(template) > 5 else "")
    return [
        f"the chat templates of tokenizer_config.json are {names}, and none is called `{_DEFAULT}`: none is used; "
        "write the one that you want to a file and name it with --template"
    ]


def source_of(template: ChatTemplate | None) -> str:
    """The text of what a conversation is formatted with; of several, the one called "default"."""
    if template is None or isinstance(template, str):
        return template or ""
    return next((entry["template"] for entry in template if entry["name"] == _DEFAULT), "")


def _are_named(templates: Any) -> bool:
    """Whether each is an object with a name of its own, as it will be spelled in the GGUF, and a text."""
    if not isinstance(templates, list) or not all(isinstance(entry, dict) for entry in templates):
        return False
    if not all(isinstance(entry.get(key), str) for entry in templates for key in ("name", "template")):
        return False
    return len({re.sub("[^A-Za-z0-9]", "_", entry["name"]) for entry in templates}) == len(templates)
