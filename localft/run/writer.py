"""What a run writes while it trains: checkpoints and adapters, whole or not at all."""

from __future__ import annotations

import re
from pathlib import Path

from localft import __version__
from localft.adapter import Adapter, LoraTensor, write_adapter
from localft.adapter.origin import BASE_NAME, BASE_PATH, BASE_SHA256, BASE_TYPE, TEMPLATE
from localft.engine import EngineState
from localft.json_text import to_json
from localft.outputs import remember_output, require_replaceable
from localft.run.checkpoint import Cursor, write_checkpoint
from localft.run.folder import Run, writing
from localft.run.record import RunRecord
from localft.settings.setting import flag_name
from localft.settings.train_config import TrainConfig


class RunWriter:
    """Writes into a run's folder, and where the old command form wants its files."""

    def __init__(self, run: Run, record: RunRecord, config: TrainConfig) -> None:
        self.run = run
        self.record = record
        self.config = config

    def checkpoint(self, state: EngineState, cursor: Cursor) -> Path:
        """Write the checkpoint; return where."""
        paths = [*output_paths(self.config.checkpoint_out, cursor.step), self.run.checkpoint]
        for path in paths:
            with writing(path, self.run.folder):
                write_checkpoint(path, self.record, cursor, state)
                self._remember(path)
        return paths[0]

    def best(self, state: EngineState) -> None:
        """Keep this state as the best adapter."""
        self._adapter(self.run.best_adapter, state)

    def last(self, state: EngineState, cursor: Cursor) -> None:
        """Keep this state as the last adapter."""
        for path in (self.run.last_adapter, *output_paths(self.config.lora_out, cursor.step)):
            self._adapter(path, state)

    def _adapter(self, path: Path, state: EngineState) -> None:
        base = self.record.base
        metadata = {
            "general.name": f"{base.name} LoRA".encode(errors="replace").decode(),
            "localft.version": __version__,
            BASE_NAME: base.name.encode(errors="replace").decode(),
            BASE_PATH: base.path.encode(errors="replace").decode(),
            BASE_SHA256: base.sha256,
            BASE_TYPE: base.type,
            TEMPLATE: to_json(self.record.template),
        }
        tensors = {name: LoraTensor(tensor.a, tensor.b) for name, tensor in state.tensors.items()}
        adapter = Adapter(base.architecture, self.config.lora_rank, self.config.lora_alpha, tensors, dict(metadata))
        with writing(path, self.run.folder):
            write_adapter(path, adapter)
            self._remember(path)

    def _remember(self, path: Path) -> None:
        """The run's folder is its own; the old form's files lie among the user's."""
        if path.parent != self.run.folder:
            remember_output(path, path)


def output_paths(pattern: str | None, step: int) -> list[Path]:
    """Where the old form wants a file: under the pattern's LATEST name, and under the step's where it has ITERATION."""
    if not pattern:
        return []
    latest = Path(pattern.replace("ITERATION", "LATEST"))
    return [latest, Path(pattern.replace("ITERATION", str(step)))] if "ITERATION" in pattern else [latest]


def require_free_outputs(config: TrainConfig) -> None:
    """Refuse what the old form would write, where something else is in its place.

    Raises:
        ConfigError: names it; what is read with `checkpoint_in` may be written again.
    """
    for name in ("checkpoint_out", "lora_out"):
        pattern = getattr(config, name)
        if not pattern:
            continue
        hint = f"move it away, or give another {flag_name(name)}"
        wanted = Path(pattern)
        known = re.compile(re.escape(wanted.name).replace("ITERATION", r"(?:LATEST|\d+)"))
        there = wanted.parent.iterdir() if wanted.parent.is_dir() else ()
        found = [path for path in there if known.fullmatch(path.name) and str(path) != config.checkpoint_in]
        require_replaceable(*sorted(found), hint=hint)
