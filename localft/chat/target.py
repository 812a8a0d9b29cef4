"""From what the user typed after --lora and --model to the files to load."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from localft.adapter.file import metadata_text, read_adapter_header, require_adapter_file
from localft.adapter.origin import BASE_NAME, find_base
from localft.data.wording.template import TemplateInfo
from localft.errors import AdapterError, ConfigError
from localft.home import at_home
from localft.kinds.file_kind import Kind
from localft.kinds.folder_kind import folder_kind
from localft.model.source import resolve_model
from localft.report import Report


@dataclass(frozen=True)
class Target:
    """What to load. `template` is None where the adapter's own metadata decide."""

    model: Path
    adapter: Path | None
    template: TemplateInfo | None


def find_target(
    lora: str | None,
    model: str | None,
    *,
    newest: bool = False,
    last: bool = False,
    progress: Callable[[str], None] = lambda _: None,
    report: Report | None = None,
) -> Target:
    """Find base model and adapter.

    Args:
        lora: a run's folder or an adapter file, None = no adapter.
        model: what `localft convert` takes, None = the base that the adapter was trained on.
        newest: take the newest run under ./runs, whatever `lora` says.
        last: take the run's last adapter, and not the one with the best validation loss.
        progress: is told what the user did not name: the newest run, a conversion.
        report: is told how far a download or a conversion is.

    Raises:
        ConfigError: neither was given, or `last` without a run.
        AdapterError: there is no such run or adapter, or its base model is no longer there.
        ModelError: the model cannot be found or converted.
    """
    if lora is None and model is None:
        raise ConfigError(
            "there is nothing to talk to: neither --lora nor --model was given",
            "`localft chat --lora` takes the newest run, `localft chat --model demo` the bundled model",
        )
    lora = at_home(lora) if lora else lora
    if last and not (newest or (lora and Path(lora).is_dir())):
        raise ConfigError("`--last` is for the adapter of a run", "give the run's folder to --lora")
    given = _resolve_model(model, progress, report) if model else None
    if lora is None:
        assert given is not None
        return Target(given, None, None)
    if newest or Path(lora).is_dir():
        if not newest:
            _require_run(Path(lora))
        return _from_run(lora, newest, last, given, progress)
    path = Path(lora)
    if path.exists():
        require_adapter_file(path)
    else:
        raise AdapterError(
            f"`{lora}` is neither a run's folder nor an adapter file",
            _meant(lora) or "`localft chat --lora` without a value takes the newest run",
        )
    return Target(given or _recorded_base(path), path, None)


def _require_run(folder: Path) -> None:
    kind = folder_kind(folder)
    if kind and kind.kind is not Kind.RUN:
        raise AdapterError(f"`{folder}` is {kind.what} and not a run", kind.hint)


def _meant(lora: str) -> str | None:
    """What someone means who gives --lora a question, or a model."""
    from localft.model.card import find_card

    if find_card(lora):
        return f"did you mean `--model {lora}`? `--lora` without a value is the newest run"
    if " " in lora.strip() or lora.endswith("?"):
        return f"did you mean `--lora --prompt {quote(lora)}`? `--lora` without a value is the newest run"
    return None


def _from_run(lora: str, newest: bool, last: bool, given: Path | None, progress: Callable[[str], None]) -> Target:
    from localft.run.folder import Run, newest_run

    run = newest_run() if newest else Run.open(Path(lora))
    if newest:
        progress(f"newest run: {run.folder}")
    adapter = run.adapter
    if last and not run.last_adapter.is_file():
        raise AdapterError(
            f"run `{run.folder}` has no last adapter yet", "it is written when the run ends or is stopped"
        )
    adapter = run.last_adapter if last else adapter
    base = given or run.base_model
    if not base.is_file():
        base = _recorded_base(adapter)
    return Target(base, adapter, run.template)


def _recorded_base(adapter: Path) -> Path:
    header = read_adapter_header(adapter)
    base = find_base(header, adapter)
    if base is None:
        name = metadata_text(header.values, BASE_NAME)
        raise AdapterError(
            f"the base model of `{adapter}` was not found" + (f': "{name}"' if name else ""),
            "name it with --model",
        )
    return base


def _resolve_model(model: str, progress: Callable[[str], None], report: Report | None) -> Path:
    source = resolve_model(at_home(model))
    if source.gguf is not None:
        return source.gguf
    from localft.model.convert import convert

    result = convert(model, progress=report)
    if not result.skipped:
        progress(f"converted {model} to {result.path}")
    return result.path
