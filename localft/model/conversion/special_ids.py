"""Which tokens begin and end a text and an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from localft.errors import ModelError
from localft.model.conversion.json_object import JsonObject
from localft.model.conversion.tokenizer_files import TokenizerFiles

_IDS = ("bos", "eos", "unk", "sep", "pad", "mask")  # GGUF has no place for CLS
# Ends of an assistant's turn, in the spelling of the chat formats that use them.
_END_OF_TURN = ("<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>")
# Tokens at which llama.cpp ends an answer by their spelling: `llama_vocab::impl::load` in its src/llama-vocab.cpp.
_SPELLINGS = """
<|eot_id|> <|im_end|> <|end|> <|return|> <|call|> <|flush|> <|calls|> <end_of_turn> <|endoftext|> </s> <|eom_id|> <EOT>
_<EOT> [EOT] [EOS] <|end_of_text|> <end_of_utterance> <eos> <turn|> <|tool_response> <｜end▁of▁sentence｜> [e~[
"""
_ENDS_BY_SPELLING = frozenset(_SPELLINGS.split())


@dataclass
class SpecialIds:
    """ids: "bos", "eos", "eot", "eom", "unk", "sep", "pad", "mask" → id. ends: all that end an answer."""

    ids: dict[str, int]
    ends: tuple[int, ...]
    warnings: list[str] = field(default_factory=list)


def read_special_ids(
    files: TokenizerFiles, by_text: Mapping[str, int], own: Mapping[str, int], template: str
) -> SpecialIds:
    """Which token each name stands for: the tokenizer's names before config.json's ids, and those before others.

    Args:
        by_text: the vocabulary, text → id.
        own: what the vocabulary's own file says.
        template: source of the chat template. Where the tokenizer names no end, and config.json several, the one that
            it writes is taken, else the first.

    Raises:
        ModelError: no end at all, or more than llama.cpp has places for.
    """
    said: list[str] = []
    texts = {id_: text for text, id_ in by_text.items()}
    given = {name: _given(files, name, len(by_text), said) for name in _IDS}
    found = dict(own) | {name: ids[0] for name, ids in given.items() if ids}
    if given["eos"]:
        found["eos"] = next((id_ for id_ in given["eos"] if texts[id_] in template), given["eos"][0])
    for name in _IDS:
        text = files.named.get(name)
        if text is None:
            continue
        if text in by_text:
            found[name] = by_text[text]
            said += _disagreement(name, found[name], given[name], texts)
        elif name in ("bos", "eos"):
            said.append(f'the tokenizer\'s "{name}_token" `{text[:40]}` is no token of the model and is left out')
    if "eos" not in found:
        raise ModelError(f"`{files.folder}` names no end-of-sequence token", 'set "eos_token_id" in its config.json')
    return SpecialIds(*_with_ends(files, found, given["eos"], texts, template), warnings=said)


def _given(files: TokenizerFiles, name: str, n_vocab: int, said: list[str]) -> list[int]:
    """What config.json and generation_config.json say."""
    other = name in ("bos", "eos", "pad")
    ids = [_ids(file, name, n_vocab, said) for file in ((files.config, files.generation) if other else (files.config,))]
    return _unique([id_ for each in ids for id_ in each])


def _ids(file: JsonObject, name: str, n_vocab: int, said: list[str]) -> list[int]:
    """The ids of one name; a negative one means none, as old checkpoints have it."""
    key = f"{name}_token_id"
    value = file.get(key)
    values = value if isinstance(value, list) and name == "eos" else [] if value is None else [value]
    if not all(type(each) is int for each in values):
        raise file.error(key, "a token's number" + (", or a list of them," if name == "eos" else ""))
    beyond = [each for each in values if each >= n_vocab]
    if beyond:
        said.append(f'"{key}" in {file.path.name} is {beyond[0]}, which no token of the model has, and is left out')
    return [each for each in values if 0 <= each < n_vocab]


def _unique(ids: list[int]) -> list[int]:
    return list(dict.fromkeys(ids))


def _disagreement(name: str, named: int, given: list[int], texts: Mapping[int, str]) -> list[str]:
    if name not in ("bos", "eos") or not given or named in given:
        return []
    what = (
        "texts begin with the first"
        if name == "bos"
        else "texts and answers without an end of their own end with the first, and all of them end an answer"
    )
    shown = ", ".join(f"`{texts[id_][:40]}`" for id_ in given[:5])
    return [f'the tokenizer\'s "{name}_token" is `{texts[named][:40]}`, "{name}_token_id" says {shown}: {what}']


def _places(ids: Mapping[str, int]) -> list[int]:
    return [ids[name] for name in ("eos", "eot", "eom") if name in ids]


def _with_ends(
    files: TokenizerFiles, ids: dict[str, int], given: list[int], texts: Mapping[int, str], template: str
) -> tuple[dict[str, int], tuple[int, ...]]:
    """Find places for all ends: EOS, EOT and EOM, beside those that llama.cpp knows by their spelling."""
    by_text = {text: id_ for id_, text in texts.items()}
    turn = [by_text[text] for text in _END_OF_TURN if text in by_text and text in template]
    written = [id_ for id_ in given if id_ != ids["eos"] and texts[id_] in template]
    if turn or written:
        ids["eot"] = (turn or written)[0]
    ends = _unique(_places(ids) + given)
    places = [name for name in ("eot", "eom") if name not in ids]
    unknown = [id_ for id_ in ends if id_ not in _places(ids) and texts[id_] not in _ENDS_BY_SPELLING]
    needless = "eot" in ids and (ids["eot"] == ids["eos"] or texts[ids["eot"]] in _ENDS_BY_SPELLING)
    if len(unknown) > len(places) and needless:
        places.append("eot")
    if len(unknown) > len(places):
        shown = ", ".join(f"`{texts[id_][:40]}`" for id_ in ends[:8])
        raise ModelError(
            f"`{files.folder}` has {len(ends)} tokens that end an answer, more than llama.cpp has places for: {shown}",
            'leave those that the model never writes out of "eos_token_id"',
        )
    return ids | dict(zip(places, unknown, strict=False)), tuple(ends)
