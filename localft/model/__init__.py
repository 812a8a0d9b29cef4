"""From what `--model` names to a GGUF that can be trained on, its header and its tokenizer.

Open `convert.py` first: name → checkpoint → GGUF. `card.py` and `source.py` find out what a name means,
`huggingface.py` downloads, `conversion/` has the parts of a checkpoint one by one. `gguf/` refuses a file that
would crash llama.cpp or the trainer, and `probe.py` tries one that it passes in a process of its own, once.
`tokenizer.py` is the one tokenizer, for training and chat alike.
"""
