"""A vocabulary of GGUF, and what is said beside it: special ids, BOS and EOS habits, the chat template."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from gguf import TokenType

from localft.errors import ModelError
from localft.model.conversion.chat_templates import ChatTemplate, read_chat_template, source_of
from localft.model.conversion.special_ids import SpecialIds, read_special_ids
from localft.model.conversion.tokenizer_files import TokenizerFiles

_LLAMA_CLASSES = ("LlamaTokenizer", "LlamaTokenizerFast")
_PLAIN_CLASSES = ("PreTrainedTokenizerFast", "PreTrainedTokenizer", "TokenizersBackend", *_LLAMA_CLASSES)


@dataclass(frozen=True)
class Vocabulary:
    """A vocabulary of exactly n_vocab tokens.

    Attributes:
        model: "llama" (sentencepiece's merging by score) or "gpt2" (BPE by merges).
        pre: llama.cpp's pre-tokenizer key.
        scores: for "llama", else None. merges: for "gpt2", "left right" each, else None.
        special_ids: "bos", "eos", "eot", "unk", "pad" and the like → id.
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


def read_specials(files: TokenizerFiles, vocabulary: Vocabulary) -> Vocabulary:
    """Fill in special ids, the kinds of their tokens, add_bos, add_eos, the space prefix and the chat template.

    Raises:
        ModelError: files that cannot be understood, no end-of-sequence token, or what llama.cpp cannot imitate.
    """
    by_text = {text: id_ for id_, text in enumerate(vocabulary.tokens)}
    template, said = read_chat_template(files)
    first, last = _around(files)
    special = read_special_ids(files, by_text, vocabulary.special_ids, source_of(template))
    if "bos" not in special.ids and first in by_text:
        special.ids["bos"] = by_text[first]
    _require_known(files, vocabulary, special.ids, first, last)
    stated = files.post_processor is not None
    add_bos = first is not None if stated else _flag(files, "bos", vocabulary.add_bos)
    return replace(
        vocabulary,
        types=_types(files, vocabulary, by_text, special),
        special_ids=special.ids,
        add_bos=add_bos and "bos" in special.ids,
        add_eos=last is not None if stated else _flag(files, "eos", False),
        add_space_prefix=_space_prefix(files, vocabulary.add_space_prefix),
        chat_template=template,
        warnings=(*vocabulary.warnings, *special.warnings, *said, *files.warnings),
    )


def _flag(files: TokenizerFiles, name: str, otherwise: bool) -> bool:
    value = files.tokenizer.get(f"add_{name}_token")
    return value if isinstance(value, bool) else otherwise


def _types(
    files: TokenizerFiles, vocabulary: Vocabulary, by_text: Mapping[str, int], special: SpecialIds
) -> tuple[TokenType, ...]:
    """No user's text may give a token that begins or ends one, or that the tokenizer calls special."""
    types = list(vocabulary.types)
    named = [files.named[name] for name in ("bos", "eos") if name in files.named]
    for text in (*named, *files.special):
        if text in by_text and types[by_text[text]] == TokenType.NORMAL:
            types[by_text[text]] = TokenType.CONTROL
    for id_ in (*special.ends, *special.ids.values(), *(by_text[text] for text in files.special if text in by_text)):
        if types[id_] == TokenType.USER_DEFINED:
            types[id_] = TokenType.CONTROL
    return tuple(types)


def _around(files: TokenizerFiles) -> tuple[str | None, str | None]:
    """The special tokens that tokenizer.json's post-processor puts before and after a text."""
    post = files.post_processor or {}
    try:
        for processor in post.get("processors", [post]):
            if processor.get("type") in ("RobertaProcessing", "BertProcessing"):
                return processor["cls"][0], processor["sep"][0]
            if processor.get("type") == "TemplateProcessing":
                return _ends_of(files, processor["single"])
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise ModelError(
            f"the special tokens of `{files.folder}` cannot be understood: {error}", "download it again"
        ) from error
    return None, None


def _ends_of(files: TokenizerFiles, single: list[Mapping[str, Any]]) -> tuple[str | None, str | None]:
    at = next(i for i, entry in enumerate(single) if "Sequence" in entry)
    before = [entry["SpecialToken"]["id"] for entry in single[:at]]
    after = [entry["SpecialToken"]["id"] for entry in single[at + 1 :]]
    if len(before) > 1 or len(after) > 1:
        raise ModelError(
            f"the tokenizer of `{files.folder}` puts {len(before)} tokens before a text and {len(after)} behind it",
            "llama.cpp knows one on each side, so it would begin or end texts otherwise",
        )
    return next(iter(before), None), next(iter(after), None)


def _require_known(
    files: TokenizerFiles, vocabulary: Vocabulary, ids: Mapping[str, int], first: str | None, last: str | None
) -> None:
    for name, text in (("bos", first), ("eos", last)):
        token = vocabulary.tokens[ids[name]] if name in ids else None
        if text is not None and text != token:
            raise ModelError(
                f"the tokenizer.json of `{files.folder}` puts `{text[:40]}` around a text, and its {name.upper()} is "
                f"`{str(token)[:40]}`",
                f"llama.cpp knows one token for both: correct the post_processor, or the {name}_token",
            )


def _space_prefix(files: TokenizerFiles, own: bool | None) -> bool | None:
    """Whether a text gets a space in front: None for a vocabulary over bytes, where llama.cpp never gives one."""
    stated, kind = files.tokenizer.get("add_prefix_space"), files.tokenizer.get("tokenizer_class")
    if not isinstance(stated, bool) or stated is own:
        return own
    if own is None:
        if stated and kind not in (None, *_PLAIN_CLASSES):
            raise files.tokenizer.error(
                "add_prefix_space", "false", f"`{kind}` puts a space in front, llama.cpp does not"
            )
        return None
    if (files.folder / "tokenizer.json").is_file() and kind not in _LLAMA_CLASSES:
        hint = "tokenizer.json says the opposite, and transformers follows that, llama.cpp's converter this"
        raise files.tokenizer.error("add_prefix_space", str(own).lower(), hint)
    return stated
