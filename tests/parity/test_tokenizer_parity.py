"""The tokenizer against sentencepiece and the tokenizers library, and templates against transformers."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import pytest

from localft.data.wording.chat_template import ChatTemplate, RenderError
from localft.model.tokenizer import Tokenizer

pytestmark = pytest.mark.parity

HARD = [
    "Hello world",
    " two  spaces   and\ttabs\t\t",
    "\n\nnew\n lines\r\n",
    "numbers 1234567890 3.14 1,000",
    "l'été naïve façade Ünïcödé",
    "日本語のテキスト 中文 한국어",
    "🙂👩‍👩‍👧‍👦🇩🇪",
    "e\u0301 combining, \u200b zero width, \ufeff bom, \u00a0 nbsp",
    "code: def f(x):\n\treturn x**2  # comment",
    "</s><s><unk> [INST] <|im_end|>",
    "▁ lower one eighth block ▁▁",
    "I'll don't we've THEY'RE",
    "a" * 300,
    "",
    " ",
    "\x01\x7f",
]


def test_sentencepiece(shared: Path, tmp_path: Path) -> None:
    sentencepiece = pytest.importorskip("sentencepiece")
    processor = sentencepiece.SentencePieceProcessor(str(shared / "models/tokenizers/llama2/tokenizer.model"))
    tokenizer = Tokenizer(_sentencepiece_gguf(processor, tmp_path / "spm.gguf"))
    for text in [*HARD, (shared / "data/tinyshakespeare.txt").read_text()[:200_000]]:
        assert tokenizer.encode(text) == processor.encode(text), repr(text[:50])
    for text in HARD[:-3]:
        # behind a first token, sentencepiece adds no space either
        whole = processor.encode(f"x\n{text}")
        assert [*tokenizer.encode("x\n"), *tokenizer.encode(text, prefix=False)] == whole, repr(text)


def test_byte_level_bpe(shared: Path, tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    oracle = tokenizers.ByteLevelBPETokenizer()
    corpus = (shared / "data/wikitext2_test.txt").read_text()[:300_000]
    oracle.train_from_iterator(corpus.split("\n"), vocab_size=2000, show_progress=False)
    tokenizer = Tokenizer(_bpe_gguf(json.loads(oracle.to_str())["model"], tmp_path / "bpe.gguf"))
    for text in [*HARD, corpus[:100_000]]:
        assert tokenizer.encode(text) == oracle.encode(text).ids, repr(text[:50])


TEMPLATES = [
    "{% for m in messages %}\n    {% if m.role == 'user' %}\n{{ m.content }}\n    {% endif %}\n{% endfor %}\nend\n",
    "{%- for m in messages -%}{{ m | tojson }}{{ m.content | tojson(indent=2) }}"
    "{%- if loop.last -%}{% break %}{% endif %}{%- endfor -%}{% generation %}x{% endgeneration %}",
    "{{ bos_token }}{% if tools is not none %}tools{% endif %}{% set ns = namespace(n=0) %}{% for m in messages %}"
    "{% set ns.n = ns.n + 1 %}{{ ns.n ~ m['content'].strip() }}{% endfor %}{% if add_generation_prompt %}>{% endif %}",
]


@pytest.mark.parametrize("source", TEMPLATES)
@pytest.mark.parametrize("generation_prompt", [True, False])
def test_templates_render_as_in_transformers(source: str, generation_prompt: bool) -> None:
    utils = pytest.importorskip("transformers.utils.chat_template_utils")
    messages = [{"role": "user", "content": " <é'>\n"}, {"role": "assistant", "content": 'ok & "so"'}]
    (rendered,), _ = utils.render_jinja_template(
        [messages], chat_template=source, add_generation_prompt=generation_prompt, bos_token="<s>"
    )
    ours = ChatTemplate(source, {"bos_token": "<s>"}, "2025-03-04")
    assert ours.render(messages, generation_prompt=generation_prompt) == rendered


def test_what_transformers_forbids_is_forbidden() -> None:
    with pytest.raises(RenderError):
        ChatTemplate("{{ ''.__class__ }}{{ messages.clear() }}", {}, "2025-03-04").render([{}], generation_prompt=False)


def _sentencepiece_gguf(processor: object, path: Path) -> Path:
    size = processor.vocab_size()  # type: ignore[attr-defined]
    kind = gguf.TokenType
    checks = [("is_unknown", kind.UNKNOWN), ("is_control", kind.CONTROL), ("is_byte", kind.BYTE)]
    types = [next((k for name, k in checks if getattr(processor, name)(i)), kind.NORMAL) for i in range(size)]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model("llama")
    writer.add_token_list([processor.id_to_piece(i) for i in range(size)])  # type: ignore[attr-defined]
    writer.add_token_scores([processor.get_score(i) for i in range(size)])  # type: ignore[attr-defined]
    writer.add_token_types(types)
    return _written(writer, path)


def _bpe_gguf(model: dict[str, object], path: Path) -> Path:
    vocabulary: dict[str, int] = model["vocab"]  # type: ignore[assignment]
    merges: list[object] = model["merges"]  # type: ignore[assignment]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(sorted(vocabulary, key=vocabulary.__getitem__))
    writer.add_token_types([gguf.TokenType.NORMAL] * len(vocabulary))
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])  # type: ignore[arg-type]
    return _written(writer, path)


def _written(writer: gguf.GGUFWriter, path: Path) -> Path:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
