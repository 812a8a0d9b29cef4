"""LoRA adapters: their GGUF file, its check against a base model, PEFT's folder, and the merged model."""

from localft.adapter.check import AdapterFit, check_adapter
from localft.adapter.file import Adapter, LoraTensor, read_adapter, write_adapter
from localft.adapter.merge import merge
from localft.adapter.peft import from_peft, to_peft
from localft.hashes import file_sha256

__all__ = [
    "Adapter",
    "AdapterFit",
    "LoraTensor",
    "check_adapter",
    "file_sha256",
    "from_peft",
    "merge",
    "read_adapter",
    "to_peft",
    "write_adapter",
]
