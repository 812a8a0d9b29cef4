"""A GGUF file, before anything native opens it: its header, and whether it may be opened.

Open `check.py` first: it refuses what would crash llama.cpp or the trainer. `header.py` reads metadata and tensor
infos; `limits.py`, `tensor_shapes.py` and `vocabulary_names.py` say what can be, `mapped_file.py` whether a file is
still as it was.
"""
