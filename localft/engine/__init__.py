"""Training engines: a micro-batch goes in; its summed loss, and after each step a better adapter, come out.

Open `protocol.py` first: all that the training loop knows of an engine. `native.py` trains a GGUF in C++ (see
native/localft.h), `peft.py` a Hugging Face checkpoint with PyTorch and PEFT. Both take the same batches and start
from the same adapter (`initial_adapter.py`), so that a test can compare them step for step.
"""

from localft.engine.protocol import AdamSpec, Engine, EngineState, LoraSpec, LoraState, MicroResult

__all__ = ["AdamSpec", "Engine", "EngineState", "LoraSpec", "LoraState", "MicroResult"]
