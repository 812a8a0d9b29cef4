"""The bundled demo: a small base model, an example dataset, and a minute of fine-tuning (`python -m localft.demo`)."""

from __future__ import annotations

from pathlib import Path

MODEL = Path(__file__).parent / "model"
DATA = Path(__file__).parent / "parrot"
