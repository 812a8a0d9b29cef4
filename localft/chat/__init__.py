"""Talking to a model on llama.cpp: messages in, text out, with an adapter that can be switched on and off.

Open `session.py` first. `prompter.py` words prompts as the training rows were, `runtime.py` is llama.cpp's model and
context, `sampling.py` goes from logits to text, and `target.py` from `--lora` and `--model` to the files to load.
"""

from localft.chat.prompter import Message
from localft.chat.runtime import LlamaRuntime
from localft.chat.sampling import Sampling, TextStream
from localft.chat.session import ChatSession

__all__ = ["ChatSession", "LlamaRuntime", "Message", "Sampling", "TextStream"]
