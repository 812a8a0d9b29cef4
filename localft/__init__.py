"""localft fine-tunes small language models on the machine in front of you.

models/*.toml → ModelCard → HF checkpoint → GGUF → rows → tokens + loss_mask → batches → engine step
→ adapter.gguf → chat

Nothing happens at import: the names below load their modules when they are first used.
"""

from __future__ import annotations

__version__ = "0.1.0"
__all__ = ["ChatSession", "LocalftError", "__version__", "convert", "finetune"]

TYPE_CHECKING = False  # as mypy knows it, without what importing `typing` takes
if TYPE_CHECKING:
    from typing import Any

    from localft.chat import ChatSession
    from localft.errors import LocalftError
    from localft.model.convert import convert
    from localft.training.finetune import finetune

_HOMES = {
    "ChatSession": "localft.chat",
    "LocalftError": "localft.errors",
    "convert": "localft.model.convert",
    "finetune": "localft.training.finetune",
}


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'localft' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
