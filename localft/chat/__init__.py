"""Talking to a model on llama.cpp: messages in, text out, with an adapter that can be switched on and off.

Open `session.py` first. `prompter.py` words prompts as the training rows were, `runtime.py` is llama.cpp's model and
context, `sampling.py` chooses tokens from logits, `text_stream.py` makes text of them, and `target.py` finds the
files that `--lora` and `--model` mean.
"""

from localft.chat.sampling import Sampling
from localft.chat.session import ChatSession
from localft.chat.text_stream import TextStream
from localft.data.rows.row import Message

__all__ = ["ChatSession", "Message", "Sampling", "TextStream"]
