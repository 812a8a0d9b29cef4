"""Run llama.cpp's converter; executed by the conformance environment's Python.

    run_converter.py LLAMA_CPP CHECKPOINT OUT TYPE [PRE_TOKENIZER]

llama.cpp knows a BPE pre-tokenizer by a hash over the ids of a test string, which no tiny vocabulary gives:
PRE_TOKENIZER is what the hash would say. Everything else is the converter's own.
"""

from __future__ import annotations

import sys


def main() -> None:
    llama_cpp, checkpoint, out, outtype, *pre = sys.argv[1:]
    sys.path.insert(0, llama_cpp)
    import conversion.base
    import convert_hf_to_gguf

    if pre:
        conversion.base.TextModel.get_vocab_base_pre = lambda self, tokenizer: pre[0]
    sys.argv = ["convert_hf_to_gguf.py", checkpoint, "--outfile", out, "--outtype", outtype]
    convert_hf_to_gguf.main()


if __name__ == "__main__":
    main()
