"""A tiny base model and an adapter for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_llama import random_adapter, write_model

from localft.adapter import write_adapter


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random base model in f32; tests only read it."""
    return write_model(tmp_path_factory.mktemp("base") / "tiny.gguf")


@pytest.fixture
def lora(tmp_path: Path) -> Path:
    """A random adapter on every matrix of `base`."""
    path = tmp_path / "adapter.gguf"
    write_adapter(path, random_adapter())
    return path
