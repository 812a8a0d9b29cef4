"""What stands beside a checkpoint's vocabulary, read once: named and added tokens, end tokens, the chat template."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localft.errors import ModelError
from localft.model.conversion.hparams import read_json
from localft.model.conversion.json_object import JsonObject, unknown_keys
from localft.model.conversion.tokenizer_json import token_id

NAMES = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
_LISTS = ("additional_special_tokens", "extra_special_tokens", "model_specific_special_tokens")


@dataclass(frozen=True)
class TokenizerFiles:
    """The JSON files of a checkpoint, by what they say about tokens.

    Attributes:
        config, generation, tokenizer: config.json, generation_config.json and tokenizer_config.json, perhaps empty.
        named: "bos", "eos", "unk", "sep", "pad", "cls", "mask" → a token's text.
        special: texts that no user's text may give, beside the named ones.
        plain: added_tokens.json, text → id.
        decoder: tokenizer_config.json's added_tokens_decoder, id → (text, special).
        post_processor: tokenizer.json's, or None.
        warnings: keys that nothing reads, and white space that llama.cpp keeps.
    """

    folder: Path
    config: JsonObject
    generation: JsonObject
    tokenizer: JsonObject
    named: Mapping[str, str]
    special: frozenset[str]
    plain: Mapping[str, int]
    decoder: Mapping[int, tuple[str, bool]]
    post_processor: Mapping[str, Any] | None
    warnings: tuple[str, ...]


def read_tokenizer_files(folder: Path) -> TokenizerFiles:
    """Read them; each may be missing.

    Raises:
        ModelError: one cannot be understood, or says what llama.cpp cannot do.
    """
    config = JsonObject(folder / "config.json", _read(folder / "config.json"))
    generation = JsonObject(folder / "generation_config.json", _read(folder / "generation_config.json"))
    values = _read(folder / "tokenizer_config.json")
    own = {name: value for name, value in values.items() if name.endswith("_token") and isinstance(value, str | dict)}
    standard = {f"{name}_token" for name in NAMES}
    tokenizer = JsonObject(
        folder / "tokenizer_config.json",
        {name: value for name, value in values.items() if name not in own.keys() - standard},
    )
    older = "added_tokens_decoder" not in values
    overlaid = JsonObject(
        folder / "special_tokens_map.json", _read(folder / "special_tokens_map.json") if older else {}
    )
    named = _named(tokenizer) | _named(overlaid)
    special = {_content(tokenizer, name, value) for name, value in own.items() if name not in standard}
    for each in (tokenizer, overlaid):
        special |= _listed(each)
    decoder, stripped = _decoder(tokenizer)
    return TokenizerFiles(
        folder,
        config,
        generation,
        tokenizer,
        named,
        frozenset(special),
        _plain(folder / "added_tokens.json"),
        decoder,
        _post_processor(folder / "tokenizer.json"),
        (*unknown_keys([tokenizer, overlaid, generation]), *_stripping(stripped)),
    )


def _read(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}


def _named(file: JsonObject) -> dict[str, str]:
    known = {name: file.get(f"{name}_token") for name in NAMES}
    return {name: _content(file, f"{name}_token", value) for name, value in known.items() if value is not None}


def _content(file: JsonObject, key: str, value: Any) -> str:
    text = value.get("content") if isinstance(value, dict) else value
    if not isinstance(text, str):
        raise file.error(key, "a token's text, or an object with its content")
    return text


def _listed(file: JsonObject) -> set[str]:
    texts: set[str] = set()
    for key in _LISTS:
        if key == _LISTS[2] and file.path.name != "tokenizer_config.json":
            continue
        value = file.get(key) or []
        if not isinstance(value, list | dict):
            raise file.error(key, "a list of tokens")
        texts |= {_content(file, key, each) for each in (value.values() if isinstance(value, dict) else value)}
    return texts


def _plain(path: Path) -> dict[str, int]:
    with _understood(path):
        return {text: token_id(id_) for text, id_ in _read(path).items()}


def _decoder(tokenizer: JsonObject) -> tuple[dict[int, tuple[str, bool]], list[str]]:
    """The added tokens, and those of them that swallow the white space around them."""
    added, stripping = {}, []
    with _understood(tokenizer.path):
        for id_, entry in (tokenizer.get("added_tokens_decoder") or {}).items():
            text = entry["content"]
            added[token_id(id_)] = text, bool(entry.get("special"))
            if any(entry.get(flag) for flag in ("lstrip", "rstrip", "single_word")):
                stripping.append(text)
    return added, stripping


def _stripping(texts: list[str]) -> list[str]:
    if not texts:
        return []
    shown = ", ".join(f"`{text[:40]}`" for text in texts[:5]) + (", …" if len(texts) > 5 else "")
    return [
        f"the tokenizer takes the white space around {shown} along, or finds it between words only; "
        "llama.cpp keeps the one and finds it everywhere"
    ]


def _post_processor(path: Path) -> Mapping[str, Any] | None:
    value = _read(path).get("post_processor")
    if not isinstance(value, dict | None):
        raise ModelError(f'"post_processor" in `{path}` is no object', "download the model again")
    return value


@contextmanager
def _understood(path: Path) -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(
            f"the added tokens in `{path}` cannot be understood: {str(error)[:160]}", "download it again"
        ) from error
