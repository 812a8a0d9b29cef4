"""The adapter that a new run starts from: another run's, or a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from localft.adapter.check import check_adapter
from localft.adapter.file import Adapter, metadata_text, read_adapter
from localft.adapter.origin import BASE_SHA256
from localft.engine import EngineState, LoraState
from localft.errors import AdapterError
from localft.run.folder import Run
from localft.run.record import BaseModel
from localft.settings.setting import flag_name
from localft.settings.train_config import TrainConfig
from localft.training.targets import GROUPS, select_targets

_OWN = "leave the flag out: the adapter says what it is"


class EarlierAdapter(NamedTuple):
    """An adapter that fits the base model of the new run, and where both lie."""

    path: Path
    adapter: Adapter
    base: Path

    def settings(self, config: TrainConfig) -> TrainConfig:
        """The settings with the adapter's rank, alpha and tensors in them.

        Raises:
            AdapterError: others were given, or no settings describe this adapter.
        """
        ranks = {tensor.a.shape[0] for tensor in self.adapter.tensors.values()}
        if len(ranks) > 1:
            raise AdapterError(f"`{self.path}` has several ranks, expected one", "train on with a run's own adapter")
        rank = self.adapter.rank
        values: dict[str, Any] = {"lora_rank": rank, "lora_alpha": self.adapter.alpha or float(rank)}
        values |= self._tensors(config.lora_targets, config.lora_layers)
        for name, value in values.items():
            given = config.source(name) in ("flag", "config file")
            if given and getattr(config, name) != value:
                message = f"`{flag_name(name)} {getattr(config, name)}` is not what `{self.path}` has: {value}"
                raise AdapterError(message, _OWN)
        missing = {name: value for name, value in values.items() if config.source(name) not in ("flag", "config file")}
        return config.with_values("adapter", missing, dict.fromkeys(missing, f"of `{self.path}`"))

    def _tensors(self, *given: str) -> dict[str, str]:
        """The settings that choose the adapter's tensors: those `given` where they do."""
        from localft.engine.native import lora_targets

        available = lora_targets(self.base)
        names = set(self.adapter.tensors)
        parts = {name.split(".")[-2] for name in names}
        words = next((word for word, group in GROUPS.items() if parts == set(group)), ",".join(sorted(parts)))
        layers = sorted({int(name.split(".")[1]) for name in names if name.startswith("blk.")})
        span = f"{layers[0]}-{layers[-1]}" if layers else "all"
        for targets, chosen in (given, (words, "all"), (words, span)):
            if set(select_targets(available, targets, chosen)) == names:
                return {"lora_targets": targets, "lora_layers": chosen}
        message = f"`{self.path}` adapts tensors that no `--lora-targets` and `--lora-layers` describe"
        raise AdapterError(message, "start from the adapter of a run of localft")

    def state(self) -> EngineState:
        """What an engine starts from: the factors, and an optimizer that has seen nothing."""
        return EngineState({name: LoraState(tensor.a, tensor.b) for name, tensor in self.adapter.tensors.items()})


def find_earlier_adapter(name: str, base: BaseModel) -> EarlierAdapter:
    """The adapter of a run's folder, or of a file.

    Raises:
        AdapterError: there is none, or it was trained on another base model.
    """
    path = Path(name)
    if path.is_dir():
        path = Run.open(path).adapter
    elif not path.is_file():
        hint = "give the folder of a run (`runs/…`), or an adapter's .gguf file"
        raise AdapterError(f"`{name}` (--from) is neither a run's folder nor an adapter file", hint)
    check_adapter(path, base.path)
    adapter = read_adapter(path)
    trained_on = metadata_text(adapter.metadata, BASE_SHA256)
    if trained_on and trained_on != base.sha256:
        message = f"`{path}` was trained on other weights than those of `{base.path}`"
        raise AdapterError(message, "give --model and --outtype as that run had them; its config.json says how")
    return EarlierAdapter(path, adapter, Path(base.path))
