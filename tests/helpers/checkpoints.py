"""Tiny Hugging Face checkpoints with random weights, one for each kind of vocabulary, written without torch.

    write_checkpoint(tmp_path / "tiny", vocabulary="llama3", tied=True, dtype="BF16", n_shards=2)

The vocabularies are learned from a few sentences, so that they merge as real ones do.
"""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TEXT = (
    "Once upon a time there was a little girl who liked to play in the park with her red ball. "
    "She said that it's fun, and they'll come back in 2024 or 1999. The quick brown fox jumps over the lazy dog. "
    "Übergrößen kosten mehr; naïve café owners don't care.\n\n\tdef main():\n        return [i for i in range(100)]\n"
) * 3
LLAMA3_REGEX = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
VOCABULARIES = ("sentencepiece", "fallback", "llama3", "smollm", "gpt2")
BASE = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}


def write_checkpoint(
    folder: Path,
    *,
    vocabulary: str = "sentencepiece",
    tied: bool = False,
    dtype: str = "F32",
    n_shards: int = 1,
    n_merges: int = 200,
    seed: int = 0,
    weights: str = "safetensors",
    scale: float = 1.0,
    **config: Any,
) -> Path:
    """Write config.json, a tokenizer and random weights; `config` overrides keys of config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    n_vocab = TOKENIZERS[vocabulary](folder, n_merges)
    values = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        **BASE,
        "num_key_value_heads": 2,
        "hidden_act": "silu",
        "max_position_embeddings": 256,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": tied,
        "vocab_size": n_vocab,
        "bos_token_id": 1 if vocabulary in ("sentencepiece", "fallback") else n_vocab - 3,
        "eos_token_id": 2 if vocabulary in ("sentencepiece", "fallback") else n_vocab - 1,
    } | config
    (folder / "config.json").write_text(json.dumps(values, indent=1))
    if weights == "safetensors":
        write_safetensors(folder, random_tensors(values, seed, scale), dtype, n_shards)
    return folder


def random_tensors(config: dict[str, Any], seed: int = 0, scale: float = 1.0) -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    n_embd, n_ff, n_head = config["hidden_size"], config["intermediate_size"], config["num_attention_heads"]
    head = config.get("head_dim") or n_embd // n_head
    n_kv = config["num_key_value_heads"] * head

    def matrix(n_out: int, n_in: int) -> NDArray[np.float32]:
        return (scale * rng.standard_normal((n_out, n_in)) / np.sqrt(n_in)).astype(np.float32)

    def norm() -> NDArray[np.float32]:
        return (1 + 0.1 * rng.standard_normal(n_embd)).astype(np.float32)

    tensors = {"model.embed_tokens.weight": matrix(config["vocab_size"], n_embd) * np.float32(np.sqrt(n_embd))}
    for il in range(config["num_hidden_layers"]):
        p = f"model.layers.{il}."
        tensors |= {
            p + "self_attn.q_proj.weight": matrix(n_head * head, n_embd),
            p + "self_attn.k_proj.weight": matrix(n_kv, n_embd),
            p + "self_attn.v_proj.weight": matrix(n_kv, n_embd),
            p + "self_attn.o_proj.weight": matrix(n_embd, n_head * head),
            p + "mlp.gate_proj.weight": matrix(n_ff, n_embd),
            p + "mlp.up_proj.weight": matrix(n_ff, n_embd),
            p + "mlp.down_proj.weight": matrix(n_embd, n_ff),
            p + "input_layernorm.weight": norm(),
            p + "post_attention_layernorm.weight": norm(),
        }
    tensors["model.norm.weight"] = norm()
    if not config["tie_word_embeddings"]:
        tensors["lm_head.weight"] = matrix(config["vocab_size"], n_embd)
    return tensors


def encode(data: NDArray[np.float32], dtype: str) -> bytes:
    if dtype == "BF16":
        return bytes((data.view(np.uint32) >> 16).astype("<u2").tobytes())
    return bytes(data.astype({"F32": "<f4", "F16": "<f2", "F64": "<f8"}[dtype]).tobytes())


def write_safetensors(
    folder: Path, tensors: dict[str, NDArray[np.float32]], dtype: str = "F32", n_shards: int = 1
) -> None:
    names = list(tensors)
    parts = [names[i::n_shards] for i in range(n_shards)]
    weight_map = {}
    for i, part in enumerate(parts):
        whole = n_shards == 1
        name = "model.safetensors" if whole else f"model-{i + 1:05d}-of-{n_shards:05d}.safetensors"
        weight_map |= dict.fromkeys(part, name)
        header, blobs, at = {}, [], 0
        for key in part:
            blob = encode(tensors[key], dtype)
            header[key] = {"dtype": dtype, "shape": list(tensors[key].shape), "data_offsets": [at, at + len(blob)]}
            blobs.append(blob)
            at += len(blob)
        text = json.dumps(header).encode()
        (folder / name).write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))
    if n_shards > 1:
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def learn_merges(words: Iterable[tuple[str, ...]], n: int) -> list[tuple[str, str]]:
    """Byte-pair encoding, plainly: join the most frequent pair, again and again."""
    counts = Counter(words)
    merges: list[tuple[str, str]] = []
    for _ in range(n):
        pairs: Counter[tuple[str, str]] = Counter()
        for word, count in counts.items():
            for pair in pairwise(word):
                pairs[pair] += count
        if not pairs:
            break
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        counts = Counter({_join(word, best): count for word, count in counts.items()})
    return merges


def _join(word: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    out: list[str] = []
    for symbol in word:
        if out and (out[-1], symbol) == pair:
            out[-1] += symbol
        else:
            out.append(symbol)
    return tuple(out)


def byte_alphabet() -> dict[int, str]:
    """GPT-2's printable spelling of each byte."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(rest)}


def _text_pieces(n_merges: int) -> tuple[list[str], list[tuple[str, str]]]:
    words = [tuple("▁" + word) for word in TEXT.replace("\n", " ").split()]
    merges = learn_merges(words, n_merges)
    alphabet = sorted({symbol for word in words for symbol in word})
    pieces = list(dict.fromkeys(left + right for left, right in merges))
    return pieces + alphabet, merges


def write_sentencepiece(folder: Path, n_merges: int) -> int:
    """tokenizer.model as sentencepiece's protobuf: unk, BOS, EOS, 256 bytes, then pieces by falling score."""
    pieces, _ = _text_pieces(n_merges)
    entries = [("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("</s>", 0.0, 3)]
    entries += [(f"<0x{byte:02X}>", 0.0, 6) for byte in range(256)]
    entries += [(piece, -float(i), 1) for i, piece in enumerate(pieces)]
    data = b"".join(_field(1, _piece(*entry)) for entry in entries)
    trainer = _number(3, 2) + _number(35, 1) + _number(40, 0) + _number(41, 1) + _number(42, 2)
    normalizer = _field(1, b"identity") + _number(3, 1) + _number(4, 0)
    (folder / "tokenizer.model").write_bytes(data + _field(2, trainer) + _field(3, normalizer))
    return len(entries)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _field(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _piece(text: str, score: float, kind: int) -> bytes:
    return _field(1, text.encode()) + _varint(2 << 3 | 5) + struct.pack("<f", score) + _number(3, kind)


def _added(id_: int, text: str, special: bool = True) -> dict[str, Any]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": id_, "content": text, **flags, "special": special}


def _bos_template(text: str, id_: int) -> dict[str, Any]:
    single = [{"SpecialToken": {"id": text, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    pair = [*single, {"SpecialToken": {"id": text, "type_id": 1}}, {"Sequence": {"id": "B", "type_id": 1}}]
    special = {text: {"id": text, "ids": [id_], "tokens": [text]}}
    return {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": special}


def write_fallback(folder: Path, n_merges: int) -> int:
    """tokenizer.json of TinyLlama's kind: BPE over text with byte fallback, merges as pairs."""
    pieces, merges = _text_pieces(n_merges)
    names = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *pieces]
    decoders = [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0},
    ]
    normalizers = [
        {"type": "Prepend", "prepend": "▁"},
        {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
    ]
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added(0, "<unk>"), _added(1, "<s>"), _added(2, "</s>")],
        "normalizer": {"type": "Sequence", "normalizers": normalizers},
        "pre_tokenizer": None,
        "post_processor": _bos_template("<s>", 1),
        "decoder": {"type": "Sequence", "decoders": decoders},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": "<unk>",
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": {name: id_ for id_, name in enumerate(names)},
            "merges": [list(pair) for pair in merges],
        },
    }
    _write_tokenizer(folder, tokenizer, {"bos_token": "<s>", "eos_token": "</s>", "tokenizer_class": "LlamaTokenizer"})
    return len(names)


def _byte_words(pre: str) -> list[tuple[str, ...]]:
    spelling = byte_alphabet()
    words = []
    for i, word in enumerate(TEXT.split(" ")):
        spelled = tuple(spelling[byte] for byte in ((" " if i else "") + word).encode())
        words.append(spelled)
    return words


def _write_byte_bpe(folder: Path, n_merges: int, pre: str) -> int:
    merges = learn_merges(_byte_words(pre), n_merges)
    names = list(byte_alphabet().values()) + list(dict.fromkeys(left + right for left, right in merges))
    specials = ["<|begin_of_text|>", "<|im_start|>", "<|im_end|>"]
    n = len(names)
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": pre != "llama3"}
    split = {"type": "Split", "pattern": {"Regex": LLAMA3_REGEX}, "behavior": "Isolated", "invert": False}
    steps = {
        "llama3": [split, byte_level],
        "smollm": [{"type": "Digits", "individual_digits": True}, byte_level],
        "gpt2": [byte_level],
    }[pre]
    post = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}
    if pre == "llama3":
        post = {"type": "Sequence", "processors": [post, _bos_template(specials[0], n)]}
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added(n + i, text) for i, text in enumerate(specials)],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps} if len(steps) > 1 else steps[0],
        "post_processor": post,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": pre == "llama3",
            "vocab": {name: id_ for id_, name in enumerate(names)},
            "merges": [f"{left} {right}" for left, right in merges],
        },
    }
    config = {
        "bos_token": specials[0],
        "eos_token": specials[2],
        "tokenizer_class": "PreTrainedTokenizerFast",
        "chat_template": CHAT_TEMPLATE,
    }
    _write_tokenizer(folder, tokenizer, config)
    return n + len(specials)


def _write_tokenizer(folder: Path, tokenizer: dict[str, Any], config: dict[str, Any]) -> None:
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")


TOKENIZERS = {
    "sentencepiece": write_sentencepiece,
    "fallback": write_fallback,
    "llama3": lambda folder, n: _write_byte_bpe(folder, n, "llama3"),
    "smollm": lambda folder, n: _write_byte_bpe(folder, n, "smollm"),
    "gpt2": lambda folder, n: _write_byte_bpe(folder, n, "gpt2"),
}

HARD_STRINGS = (
    "",
    " ",
    "   ",
    "\n",
    "\n\n \n\n\n \t \t\t \t\n  \n   \n",
    "Hello world",
    " Hello",
    "Hello  world   !",
    "a\tb\t\tc",
    "I've been told he's there, 'RE you sure? 'M not sure I'll make it, 'D you like some tea? We'Ve a'lL",
    "3 33 333 3333 33333 3.3 3..3 3...3 1,000,000 2024-12-31",
    "naïve café Übergrößen ÜBER straße",
    "🚀 (normal) 😶‍🌫️ (multiple) ✅ 🦙🦙",
    "我想在apple工作1314151天～ នៃពិសេស नमस्ते",
    "------======= ''''''```````\"\"\"\"......!!!!!!?????? _ __ ___",
    "def f(x):\r\n\treturn x\r\n",
    "e\u0301 \u00e9 \u200b \ufeff \u00a0x",
    "\x00\x01\x7f",
    "trailing space ",
    "The quick brown fox jumps over the lazy dog" * 3,
)
