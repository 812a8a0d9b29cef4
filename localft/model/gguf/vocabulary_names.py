"""The names of vocabularies that llama.cpp reads and localft can tokenize with: anything else is refused unread.

Source: `llama_vocab::impl::load` in src/llama-vocab.cpp of the llama.cpp in llama-cpp-python 0.3.36. Left out are kinds
that are neither sentencepiece nor byte-pair encoding ("bert", "t5", "rwkv", "plamo2", "test"), and those that end the
process or drop the white space of ordinary text (the kind and the pre-tokenizer "whitespace").
"""

from __future__ import annotations

SENTENCEPIECE = "llama"
BYTE_PAIR = frozenset({"gpt2", "gemma4", "hybriddna"})
BYTE_PAIR_BY_NAME = frozenset({"gpt2", "hybriddna"})  # those that cut text by the pre-tokenizer's name
TOKENIZER_MODELS = BYTE_PAIR | {SENTENCEPIECE}

_PRE_TOKENIZERS = """
a.x-4.0 afmoe bailingmoe bailingmoe2 bloom chameleon chatglm-bpe codeshell cohere2moe command-r dbrx deepseek-coder
deepseek-llm deepseek-r1-qwen deepseek-v3 default exaone exaone-moe exaone4 f2llmv2 falcon falcon-h1 falcon3 gemma4
gigachat glm4 glm5 gpt-2 gpt-4o gpt3-finnish granite-docling granite-embed-multi-311m granite-embed-multi-97m grok-2
hunyuan hunyuan-dense hy_v4 jais jais-2 jina-de jina-es jina-v1-en jina-v2-code jina-v2-de jina-v2-es jina-v5-nano
joyai-llm kanana2 kimi-k2 kormo laguna lfm2 llada-moe llama-bpe llama-v3 llama3 llama4 megrez mellum mellum2 midm-2.0
minerva-7b minicpm5 minimax-m2 modern-bert mpt olmo phi-2 pixtral poro-chat qwen2 qwen35 refact roberta-bpe sarvam-moe
seed-coder smaug-bpe smollm solar-open spark2_5 stablelm2 starcoder superbpe talkie tekken tiny_aya trillion ufakzeka
viking youtu
"""
# Without a name, or with "", llama.cpp takes "default".
PRE_TOKENIZERS = frozenset(_PRE_TOKENIZERS.split())
