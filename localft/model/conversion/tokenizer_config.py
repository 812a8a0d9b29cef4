"""Special tokens, BOS and EOS habits and the chat template, from the JSON files beside the tokenizer."""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gguf import SpecialVocab, TokenType

from localft.errors import ModelError
from localft.files import BOM, open_file, read_text
from localft.kinds.file_kind import Kind, unfit
from localft.model.conversion.hparams import read_json

# The gguf package logs remarks about templates that it only half understands; what matters is checked here.
logging.getLogger("gguf").addHandler(logging.NullHandler())

# Ends of an assistant's turn, in the spelling of the chat formats that use them.
_END_OF_TURN = ("<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>")
_READ = ("config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.json", "chat_template.jinja")
ChatTemplate = str | Sequence[Mapping[str, str]]


@dataclass(frozen=True)
class Vocabulary:
    """A vocabulary of exactly n_vocab tokens.

    Attributes:
        model: "llama" (sentencepiece's merging by score) or "gpt2" (BPE by merges).
        pre: llama.cpp's pre-tokenizer key.
        scores: for "llama", else None. merges: for "gpt2", "left right" each, else None.
        special_ids: "bos", "eos", "eot", "unk", "pad" → id.
        add_bos: a text's first token is BOS. add_eos: its last is EOS.
        add_space_prefix: of "llama": a text gets a space in front.
        warnings: what llama.cpp will do otherwise than the original tokenizer.
    """

    model: str
    pre: str
    tokens: tuple[str, ...]
    types: tuple[TokenType, ...]
    scores: tuple[float, ...] | None
    merges: tuple[str, ...] | None
    special_ids: Mapping[str, int] = field(default_factory=dict)
    add_bos: bool = False
    add_eos: bool = False
    add_space_prefix: bool | None = None
    chat_template: ChatTemplate | None = None
    warnings: tuple[str, ...] = ()


def read_specials(folder: Path, vocabulary: Vocabulary) -> Vocabulary:
    """Fill in special ids, add_bos, add_eos and the chat template.

    tokenizer_config.json's names win over config.json's ids, and those over sentencepiece's own.

    Raises:
        ModelError: files that cannot be understood, or no end-of-sequence token.
    """
    by_text = {text: id_ for id_, text in enumerate(vocabulary.tokens)}
    try:
        special = _special_vocab(folder, len(vocabulary.tokens))
        config = read_json(folder / "tokenizer_config.json") if (folder / "tokenizer_config.json").is_file() else {}
        first, last = _template_ends(folder)
        named = {name: by_text[text] for name in ("bos", "eos") if (text := _name(config, name)) in by_text}
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OSError) as error:
        raise ModelError(
            f"the special tokens of `{folder}` cannot be understood: {error}", "download it again"
        ) from error
    ids = dict(vocabulary.special_ids) | special.special_token_ids | named
    if "bos" not in ids and first in by_text:
        ids["bos"] = by_text[first]
    if "eos" not in ids:
        raise ModelError(f"`{folder}` names no end-of-sequence token", 'set "eos_token_id" in its config.json')
    template = _chat_template(folder, special, config)
    if template is not None:
        end = next((text for text in _END_OF_TURN if text in by_text and text in str(template)), None)
        ids |= {"eot": by_text[end]} if end is not None else {}
    add_bos = _flag(config, "bos", first is not None if first or last else vocabulary.add_bos)
    add_eos = _flag(config, "eos", last is not None)
    return replace(
        vocabulary,
        special_ids=ids,
        add_bos=add_bos and "bos" in ids,
        add_eos=add_eos,
        chat_template=template,
    )


def _special_vocab(folder: Path, n_vocab: int) -> SpecialVocab:
    """What the gguf package finds; it knows no byte order marks, so files that begin with one are read as copies."""
    paths = [folder / name for name in _READ if (folder / name).is_file()]
    for path in paths:
        if found := unfit(path, Kind.UTF16, Kind.WEB_PAGE):
            raise ModelError(f"`{path}` is {found.what}", found.hint)
    if not any(_is_marked(path) for path in paths):
        return SpecialVocab(folder, n_vocab=n_vocab)
    with tempfile.TemporaryDirectory() as plain:
        for path in paths:
            Path(plain, path.name).write_text(read_text(path), encoding="utf-8")
        return SpecialVocab(plain, n_vocab=n_vocab)


def _is_marked(path: Path) -> bool:
    with open_file(path) as file:
        return file.read(len(BOM)) == BOM


def _flag(config: Mapping[str, Any], name: str, otherwise: bool) -> bool:
    value = config.get(f"add_{name}_token")
    return value if isinstance(value, bool) else otherwise


def _name(config: Mapping[str, Any], name: str) -> str | None:
    entry = config.get(f"{name}_token")
    text = entry.get("content") if isinstance(entry, dict) else entry
    return text if isinstance(text, str) else None


def _template_ends(folder: Path) -> tuple[str | None, str | None]:
    """The special tokens that tokenizer.json's post-processor puts before and after a text."""
    path = folder / "tokenizer.json"
    post = read_json(path).get("post_processor") if path.is_file() else None
    if not isinstance(post, dict):
        return None, None
    for processor in post.get("processors", [post]):
        if processor.get("type") == "TemplateProcessing" and len(processor["single"]) > 1:
            ends = [
                entry.get("SpecialToken", {}).get("id") for entry in (processor["single"][0], processor["single"][-1])
            ]
            return ends[0], ends[1]
    return None, None


def _chat_template(folder: Path, special: SpecialVocab, config: Mapping[str, Any]) -> ChatTemplate | None:
    path = folder / "chat_template.jinja"
    if special.chat_template is None and path.is_file():
        try:
            return read_text(path)
        except (OSError, UnicodeDecodeError) as error:
            raise ModelError(f"`{path}` cannot be read: {error}", "download the model again") from error
    for template in (config.get("chat_template"), special.chat_template):
        if not (template is None or isinstance(template, str) or _are_named(template)):
            what = "expected text, or a list of templates with names"
            message = f"the chat template of `{folder}` is `{template!r}`; {what}"
            raise ModelError(message, "correct tokenizer_config.json, or download the model again")
    found: ChatTemplate | None = special.chat_template
    return found.lstrip("\ufeff") if isinstance(found, str) else found


def _are_named(templates: Any) -> bool:
    """Whether each is an object with a name of its own, as it will be spelled in the GGUF, and a text."""
    if not isinstance(templates, list) or not all(isinstance(entry, dict) for entry in templates):
        return False
    if not all(isinstance(entry.get(key), str) for entry in templates for key in ("name", "template")):
        return False
    return len({re.sub("[^A-Za-z0-9]", "_", entry["name"]) for entry in templates}) == len(templates)
