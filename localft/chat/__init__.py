"""Talking to a model on llama.cpp, with an adapter that can be switched on and off."""

from localft.chat.prompter import Message
from localft.chat.runtime import LlamaRuntime
from localft.chat.sampling import Sampling, TextStream
from localft.chat.session import ChatSession

__all__ = ["ChatSession", "LlamaRuntime", "Message", "Sampling", "TextStream"]
