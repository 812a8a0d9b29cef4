"""LoRA adapters: factors in, a GGUF out that stock llama.cpp loads unmerged; and everything else that is done with it.

Open `file.py` first: what the file holds. `check.py` asks whether it fits a base before llama.cpp sees it,
`origin.py` which base it was trained on; `peft.py` goes to and from PEFT's folder, `merging.py` writes base and
adapter as one model.
"""

from localft.adapter.check import AdapterFit, check_adapter
from localft.adapter.file import Adapter, LoraTensor, read_adapter, write_adapter
from localft.adapter.merging import merge
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
