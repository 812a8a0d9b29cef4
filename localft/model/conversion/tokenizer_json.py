"""Read Hugging Face's tokenizer.json: BPE over bytes (Llama 3, SmolLM), or over text with byte fallback (TinyLlama)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localft.errors import ModelError
from localft.model.conversion.hparams import MOST_TOKENS, read_json

_BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}
_BYTE_LEVEL_GPT2 = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
_LLAMA3_REGEX = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True)
class PreTokenizer:
    """How text is cut before merging, and llama.cpp's key for it.

    Attributes:
        steps: the pre_tokenizer of tokenizer.json as a flat list of steps, settings without effect left out.
        ignore_merges: a word that is itself a token is taken whole; llama.cpp ties this to the key.
    """

    key: str
    steps: tuple[Mapping[str, Any], ...]
    ignore_merges: bool = False


PRE_TOKENIZERS = (
    PreTokenizer("gpt-2", (_BYTE_LEVEL_GPT2,)),
    PreTokenizer("smollm", ({"type": "Digits", "individual_digits": True}, _BYTE_LEVEL_GPT2)),
    PreTokenizer(
        "llama-bpe",
        ({"type": "Split", "pattern": {"Regex": _LLAMA3_REGEX}, "behavior": "Isolated", "invert": False}, _BYTE_LEVEL),
        ignore_merges=True,
    ),
)


@dataclass(frozen=True)
class AddedToken:
    """A token that is matched in the text before anything else."""

    text: str
    special: bool


@dataclass(frozen=True)
class BpeTokenizer:
    """A tokenizer.json.

    Attributes:
        tokens: id → spelling, added tokens included; ids may have gaps.
        merges: pairs in order of rank.
        pre: llama.cpp's pre-tokenizer key; None for the kind with byte fallback, which imitates sentencepiece.
        add_space_prefix: text gets a space in front before it is tokenized (byte fallback only).
    """

    tokens: Mapping[int, str]
    added: Mapping[int, AddedToken]
    merges: tuple[tuple[str, str], ...]
    pre: str | None
    add_space_prefix: bool


def read_tokenizer_json(path: Path) -> BpeTokenizer:
    """Read a tokenizer.json file.

    Raises:
        ModelError: damaged, another model than BPE, or a pre-tokenizer or normalizer that llama.cpp has no key for.
    """
    values = read_json(path)
    model = values.get("model")
    if not isinstance(model, dict) or model.get("type", "BPE") != "BPE":
        kind = model.get("type") if isinstance(model, dict) else model
        raise ModelError(f"`{path}` is a tokenizer of the kind `{kind}`", "these can be converted: BPE")
    for key in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(key):
            raise ModelError(
                f'"{key}" in `{path}` is `{model[key]!r}`, which llama.cpp cannot imitate', "take another model"
            )
    try:
        tokens = {id_: text for text, id_ in _mapping(model["vocab"])}
        added = _added(values.get("added_tokens") or [])
        merges = tuple(_pair(merge) for merge in model.get("merges") or [])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(
            f"`{path}` is damaged: its vocabulary or merges cannot be understood: {str(error)[:160]}",
            "download it again",
        ) from error
    fallback = bool(model.get("byte_fallback"))
    pre = None if fallback else _pre_tokenizer(path, values, bool(model.get("ignore_merges")))
    prefix = fallback and _space_prefix(path, values)
    return BpeTokenizer(tokens | {id_: token.text for id_, token in added.items()}, added, merges, pre, prefix)


def _added(entries: list[dict[str, Any]]) -> dict[int, AddedToken]:
    added: dict[int, AddedToken] = {}
    for entry in entries:
        id_, token = token_id(entry["id"]), AddedToken(_text(entry["content"]), bool(entry.get("special")))
        if added.setdefault(id_, token) != token:
            raise ValueError(f"two tokens with the id {id_}")
    return added


def _mapping(vocab: dict[str, int]) -> list[tuple[str, int]]:
    items = [(text, token_id(id_)) for text, id_ in vocab.items()]
    if len({id_ for _, id_ in items}) != len(items):
        raise ValueError("two tokens with one id")
    return items


def token_id(value: object) -> int:
    """An id: a number, or as the key of a table its digits.

    Raises:
        ValueError: it is none that a vocabulary of at most `MOST_TOKENS` has.
    """
    id_ = int(value) if isinstance(value, str) and value.isdecimal() and len(value) < 9 else value
    if type(id_) is not int or not 0 <= id_ < MOST_TOKENS:
        raise ValueError(f"the id {str(value)[:80]}, expected a whole number below {MOST_TOKENS}")
    return id_


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("an empty token")
    return value


def _pair(merge: object) -> tuple[str, str]:
    # transformers before 4.45 wrote "left right"; since then it is a list of two.
    halves = merge.split(" ") if isinstance(merge, str) else merge
    if not isinstance(halves, list) or len(halves) != 2:
        raise ValueError("a merge of other than two")
    return _text(halves[0]), _text(halves[1])


def _steps(value: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """The pre_tokenizer as a flat list; trim_offsets moves no token, so it is left out."""
    if value is None:
        return []
    if value.get("type") == "Sequence":
        return [step for inner in value.get("pretokenizers", []) for step in _steps(inner)]
    step = {key: item for key, item in value.items() if key != "trim_offsets"}
    return [{"use_regex": True, **step} if step.get("type") == "ByteLevel" else step]


def _pre_tokenizer(path: Path, values: Mapping[str, Any], ignore_merges: bool) -> str:
    if values.get("normalizer") is not None:
        raise ModelError(f"the normalizer `{_short(values['normalizer'])}` in `{path}` is not known", "these are: none")
    steps = _steps(values.get("pre_tokenizer"))
    known = ", ".join(pre.key for pre in PRE_TOKENIZERS)
    for pre in PRE_TOKENIZERS:
        if steps == list(pre.steps):
            if ignore_merges != pre.ignore_merges:
                raise ModelError(
                    f'"ignore_merges" in `{path}` is {str(ignore_merges).lower()}, unlike in llama.cpp\'s `{pre.key}`',
                    f"pre-tokenizers that are known: {known}",
                )
            return pre.key
    raise ModelError(
        f"the pre-tokenizer `{_short(values.get('pre_tokenizer'))}` in `{path}` is not known",
        f"these are: {known}; a wrong one would cut text otherwise than in training, so it is not guessed",
    )


def _space_prefix(path: Path, values: Mapping[str, Any]) -> bool:
    """Whether sentencepiece's leading space is imitated, as a normalizer (older files) or in the pre-tokenizer."""
    normalizer, pre = values.get("normalizer"), values.get("pre_tokenizer")
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    prepend = {"type": "Prepend", "prepend": "▁"}
    if pre is None and normalizer in (replace, {"type": "Sequence", "normalizers": [replace]}):
        return False
    if pre is None and normalizer == {"type": "Sequence", "normalizers": [prepend, replace]}:
        return True
    if (
        normalizer is None
        and isinstance(pre, dict)
        and pre.get("type") == "Metaspace"
        and pre.get("replacement") == "▁"
    ):
        scheme = pre.get("prepend_scheme", "always" if pre.get("add_prefix_space", True) else "never")
        if pre.get("split", True) is False and scheme in ("first", "always", "never"):
            return bool(scheme != "never")
    raise ModelError(
        f"the normalizer `{_short(normalizer)}` with the pre-tokenizer `{_short(pre)}` in `{path}` is not known",
        "known with byte fallback: Prepend and Replace, or Metaspace without splitting",
    )


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 300 else text[:297] + "…"


def scores_from_merges(tokenizer: BpeTokenizer) -> list[float]:
    """A score per id (up to the highest) under which llama.cpp's sentencepiece merging follows the merges' order.

    A token's score is minus the rank of the first merge that makes it. Tokens that no merge makes are never merged
    into, and get a score below all others.
    """
    ranks: dict[str, int] = {}
    for rank, (left, right) in enumerate(tokenizer.merges):
        ranks.setdefault(left + right, rank)
    last = len(tokenizer.merges)
    return [-float(ranks.get(tokenizer.tokens.get(id_, ""), last)) for id_ in range(max(tokenizer.tokens) + 1)]
