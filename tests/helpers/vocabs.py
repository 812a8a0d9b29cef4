"""Tiny vocabularies in GGUF files, sentencepiece and BPE, and chat templates in the manner of well-known models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import gguf

from localft.model.tokenizer import Tokenizer

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] }}"
    "{{ '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA_2 = (
    "{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}{% set system = messages[0]['content'] %}"
    "{% else %}{% set rest = messages %}{% set system = false %}{% endif %}"
    "{% for message in rest %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate') }}{% endif %}"
    "{% if loop.index0 == 0 and system %}"
    "{% set content = '<<SYS>>\n' + system + '\n<</SYS>>\n\n' + message['content'] %}"
    "{% else %}{% set content = message['content'] %}{% endif %}"
    "{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"
    "{% else %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
)
ZEPHYR = (
    "{% for message in messages %}\n{{ '<|' + message['role'] + '|>\n' + message['content'] + eos_token }}\n"
    "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}"
)
TODAY = (
    "{{ bos_token }}Today is {{ strftime_now('%d %b %Y') }}.\n"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content | trim }}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
NO_END = (
    "{% for m in messages %}{{ m.role | upper }}: {{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
NO_GENERATION_PROMPT = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
)
THINKING = (
    "{% for m in messages %}{% if m.role == 'assistant' and not loop.last %}"
    "{{ '<|im_start|>assistant\n' + m.content.split('</think>')[-1] + '<|im_end|>\n' }}"
    "{% elif m.role == 'assistant' %}{{ '<|im_start|>assistant\n' + m.content + '<|im_end|>\n' }}"
    "{% else %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n<think>\n' }}{% endif %}"
)
SHOUTING = "{% for m in messages %}{{ m.content | upper }}<|im_end|>{% endfor %}"
TEMPLATES = {"chatml": CHATML, "llama-2": LLAMA_2, "zephyr": ZEPHYR, "today": TODAY, "no end": NO_END}

_CHAT = ["<|im_start|>", "<|im_end|>"]
_PIECES = [
    "th",
    "he",
    "the",
    "▁th",
    "▁the",
    "▁t",
    "▁a",
    "in",
    "ing",
    "er",
    "an",
    "▁an",
    "</",
    "s>",
    "<s",
    "▁▁",
    "ll",
    "▁h",
]
_MERGES = ["t h", "h e", "th e", "Ġ t", "Ġt he", "i n", "in g", "l l", "Ġ a", "Ċ Ċ", "Ġ h", "< /", "s >"]


def write_spm(
    path: Path, *, template: str | None = None, add_bos: bool = True, space_prefix: bool | None = None
) -> Path:
    """A sentencepiece vocabulary: bytes, ASCII letters, a few pieces, ChatML's tokens and a user-defined `<think>`."""
    letters = ["▁"] + [chr(c) for c in range(33, 127)] + ["é", "日"]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{b:02X}>" for b in range(256)), *_PIECES, *letters, *_CHAT, "<think>"]
    kind = gguf.TokenType
    n_plain = len(_PIECES) + len(letters)
    types = [kind.UNKNOWN, kind.CONTROL, kind.CONTROL, *[kind.BYTE] * 256, *[kind.NORMAL] * n_plain]
    types += [kind.CONTROL] * len(_CHAT) + [kind.USER_DEFINED]
    scores = [0.0] * 259 + [-float(i) for i in range(n_plain)] + [0.0] * (len(_CHAT) + 1)
    writer = _writer(path, "llama", tokens, types, template, add_bos)
    writer.add_token_scores(scores)
    if space_prefix is not None:
        writer.add_add_space_prefix(space_prefix)
    return _close(writer, path)


def write_bpe(
    path: Path,
    *,
    template: str | None = None,
    add_bos: bool = False,
    pre: str = "gpt-2",
    controls: Sequence[str] = (),
    eos: str = "</s>",
) -> Path:
    """A byte-level BPE vocabulary with a few merges, `<s>`, `</s>`, ChatML's tokens and a user-defined `<think>`.

    Args:
        controls: further control tokens.
        eos: which token ends a text.
    """
    letters = [_byte_letter(b) for b in range(256)]
    tokens = [
        "<unk>",
        "<s>",
        "</s>",
        *letters,
        *(merge.replace(" ", "") for merge in _MERGES),
        *_CHAT,
        "<think>",
        *controls,
    ]
    kind = gguf.TokenType
    types = (
        [kind.CONTROL] * 3 + [kind.NORMAL] * (len(letters) + len(_MERGES)) + [kind.CONTROL] * 2 + [kind.USER_DEFINED]
    )
    types += [kind.CONTROL] * len(controls)
    writer = _writer(path, "gpt2", tokens, types, template, add_bos, tokens.index(eos))
    writer.add_tokenizer_pre(pre)
    writer.add_token_merges(_MERGES)
    return _close(writer, path)


def spm(folder: Path, **options: object) -> Tokenizer:
    """The tokenizer of `write_spm`'s vocabulary."""
    return Tokenizer(write_spm(folder / "spm.gguf", **options))  # type: ignore[arg-type]


def bpe(folder: Path, **options: object) -> Tokenizer:
    """The tokenizer of `write_bpe`'s vocabulary."""
    return Tokenizer(write_bpe(folder / "bpe.gguf", **options))  # type: ignore[arg-type]


def _writer(
    path: Path,
    model: str,
    tokens: list[str],
    types: list[gguf.TokenType],
    template: str | None,
    add_bos: bool,
    eos: int = 2,
) -> gguf.GGUFWriter:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(256)
    writer.add_tokenizer_model(model)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(eos)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(add_bos)
    if template is not None:
        writer.add_chat_template(template)
    return writer


def _close(writer: gguf.GGUFWriter, path: Path) -> Path:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _byte_letter(byte: int) -> str:
    """The printable character that byte-level BPE writes for one byte (the GPT-2 mapping)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    return chr(byte) if byte in printable else chr(256 + others.index(byte))
