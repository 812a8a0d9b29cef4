"""What `localft doctor` finds out: the machine, the versions, and where files live."""

from __future__ import annotations

import platform
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from localft import __version__, hardware, llama
from localft.errors import LocalftError
from localft.files import abandoned
from localft.outputs import require_writable
from localft.run.folder import ROOT
from localft.units import size

PACKAGES = ("llama-cpp-python", "gguf", "numpy", "huggingface-hub", "safetensors", "click", "rich", "jinja2")
EXTRAS = ("torch", "transformers", "peft")


def diagnose() -> dict[str, Any]:
    """Everything that a bug report needs, as plain values. A part that fails says why, and the others still answer."""
    return {
        "localft": __version__,
        "system": system(),
        "cpu": cpu(),
        "memory": {"total_bytes": hardware.memory_total(), "free_bytes": hardware.memory_free()},
        "engine": _guarded(engine),
        "devices": _guarded(devices),
        "versions": {name: version for name in (*PACKAGES, *EXTRAS) if (version := _version(name))},
        "places": _guarded(places),
        "problems": problems(),
    }


def system() -> dict[str, str]:
    """Operating system and Python."""
    return {
        "os": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "python": platform.python_version(),
        "executable": sys.executable,
    }


def cpu() -> dict[str, Any]:
    """The processor, what ggml uses of it, and the threads that a run would take."""
    threads, reason = hardware.choose_threads()
    return {
        "name": hardware.cpu_name(),
        "threads": threads,
        "reason": reason,
        "features": _guarded(_features),
    }


def _features() -> list[str]:
    info = llama.load().llama_print_system_info().decode()
    return re.findall(r"([A-Z][A-Z0-9_]*) = 1", info)


def engine() -> dict[str, str]:
    """The native engine and the ggml that it stands on."""
    from localft.engine.native import ggml_version

    return {"ggml": ggml_version(), "state": "ready"}


def devices() -> list[dict[str, Any]]:
    """The devices that ggml offers."""
    from localft.engine import native

    return [
        {
            "name": device.name,
            "kind": device.kind,
            "description": device.description,
            # ggml calls all of a machine's memory free
            "free_bytes": hardware.memory_free() if device.kind == "cpu" else device.memory_free,
            "total_bytes": device.memory_total,
        }
        for device in native.devices()
    ]


def places() -> dict[str, dict[str, Any]]:
    """Where files live, and how much room there is."""
    from localft.home import localft_home
    from localft.model.huggingface import cache_folder

    folders = {
        "home": localft_home(),
        "downloads": cache_folder(),
        "runs": ROOT.absolute(),
        "package": Path(__file__).resolve().parent,
    }
    return {
        name: {"path": str(path), "free_bytes": _free(path), "used_bytes": _used(name, path)}
        for name, path in folders.items()
    }


def _free(path: Path) -> int | None:
    while not path.exists() and path != path.parent:
        path = path.parent
    try:
        return shutil.disk_usage(path).free
    except OSError:
        return None


def _used(name: str, path: Path) -> int | None:
    if name not in ("home", "runs") or not path.is_dir():
        return None
    return _size(path)


def _size(path: Path) -> int:
    entries = path.rglob("*") if path.is_dir() else [path]
    return sum(entry.stat().st_size for entry in entries if entry.is_file() and not entry.is_symlink())


def problems() -> list[str]:
    """Sentences on what would stop or slow a run."""
    found = []
    if hardware.memory_free() < 2**30:
        found.append("less than 1 GiB of memory is free: close other programs before you train")
    free = _free(Path.cwd())
    if free is not None and free < 2**30:
        found.append("less than 1 GiB is free on the disk of this folder: runs are written here")
    found += [*_unusable_places()]
    try:
        engine()
    except LocalftError as error:
        found.append(error.message + (f" ({error.hint})" if error.hint else ""))
    return [*found, *_left_behind()]


def _unusable_places() -> Iterator[str]:
    """A sentence for each place that a run writes to and that cannot be written."""
    from localft.home import HINT, localft_home
    from localft.model.huggingface import cache_folder

    places: tuple[tuple[Callable[[], Path], str, str], ...] = (
        (ROOT.absolute, "runs are written there", "go to a folder that you may write"),
        (localft_home, "converted models are kept there", HINT),
        (cache_folder, "downloads are kept there", "set HF_HOME to a folder that you may write"),
    )
    for place, what, hint in places:
        try:
            require_writable(place(), hint)
        except LocalftError as error:
            yield f"{error.message}: {what} ({error.hint})"


def _left_behind() -> Iterator[str]:
    """A sentence for each temporary file or folder of a process that was killed."""
    from localft.home import localft_home

    for folder in (*_known(localft_home), ROOT):
        for path in abandoned(folder):
            yield f"`{path}` ({size(_size(path))}) was left by a process that was killed: delete it"


def _known(place: Callable[[], Path]) -> Iterator[Path]:
    with suppress(LocalftError):
        yield place()


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _guarded(part: Callable[[], Any]) -> Any:
    try:
        return part()
    except LocalftError as error:
        return {"error": error.message}
    except (OSError, ImportError) as error:
        return {"error": str(error)}
