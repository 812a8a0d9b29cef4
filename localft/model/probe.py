"""A GGUF that has not been seen yet is tried in a process of its own, so that an abort there is a sentence here.

llama.cpp ends its process on some files that every check of ours lets through. What was tried once is remembered by its
content in localft's home, and not tried again until llama-cpp-python changes.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import tempfile
import threading
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import IO

from localft.errors import AdapterError, ModelError
from localft.hashes import file_sha256, recall, remember
from localft.model.gguf.check import check_gguf
from localft.model.gguf.header import Header
from localft.python_process import module_command
from localft.report import Report
from localft.visible import one_line, visible

_FILE = "tried.json"
_NOTE_SECONDS = 2.0
_LEAST_SECONDS, _BYTES_PER_SECOND = 60.0, 20 << 20
_SAID_BYTES = 1 << 12
_SOURCE_PATH = re.compile(r"\S*/(?=[\w.-]+:\d+: )")
DISTRUST = "download or convert it again; if it comes from a stranger, do not trust it"


def usable_gguf(gguf: Path, report: Report | None = None) -> Header:
    """`check_gguf`, and the first time that the file is seen a load, a tokenization and a decode in another process.

    Args:
        report: called with "checking the model once" where that takes more than two seconds.

    Raises:
        ModelError: see `check_gguf`; or llama.cpp refuses the file, ends its process on it or does not come to an end.
    """
    header = check_gguf(gguf)
    _try_once(gguf, None, report)
    return header


def require_usable_adapter(adapter: Path, gguf: Path) -> None:
    """Try an adapter that `check_adapter` has passed with its base, the first time that the two are seen together.

    Raises:
        AdapterError: llama.cpp refuses it, or ends its process on it.
    """
    _try_once(gguf, adapter, None)


def remember_usable(gguf: Path, adapter: Path | None = None) -> None:
    """Take a file for tried that localft made itself, and from nothing that a stranger wrote."""
    with suppress(OSError):
        remember(_FILE, _key(gguf, adapter), _version())


def _try_once(gguf: Path, adapter: Path | None, report: Report | None) -> None:
    note = threading.Timer(_NOTE_SECONDS, report or _nothing, ("checking the model once", 0, 0))
    note.daemon = True
    try:
        note.start()
        key = _key(gguf, adapter)
        if recall(_FILE).get(key) == _version():
            return
        _try(gguf, adapter)
    except OSError as error:
        raise _error(gguf, adapter, f"cannot be tried: {error.strerror or error}", "close other programs") from error
    finally:
        note.cancel()
    remember(_FILE, key, _version())


def _nothing(*_: object) -> None:
    pass


def _key(gguf: Path, adapter: Path | None) -> str:
    return "+".join(file_sha256(path) for path in (gguf, adapter) if path)


def _version() -> str:
    return metadata.version("llama-cpp-python")


def _try(gguf: Path, adapter: Path | None) -> None:
    seconds = _LEAST_SECONDS + gguf.stat().st_size / _BYTES_PER_SECOND
    names = [str(path) for path in (gguf, adapter) if path]
    command = module_command("localft.model.probe_process", str(int(seconds)), *names)
    with tempfile.TemporaryFile() as said:
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=said)
        try:
            answer = process.communicate(timeout=seconds)[0]
        except subprocess.TimeoutExpired:
            what = f"keeps llama.cpp busy for more than {int(seconds)} seconds"
            raise _error(gguf, adapter, what, DISTRUST) from None
        finally:
            process.kill()  # Ctrl-C while it works ends here too
            process.communicate()
        if process.returncode:
            raise _refusal(gguf, adapter, answer, _last_words(said, process.returncode))


def _refusal(gguf: Path, adapter: Path | None, answer: bytes, words: str) -> ModelError | AdapterError:
    """The refusal that the process wrote, or how it ended without one."""
    try:
        message, hint = json.loads(answer)
    except ValueError:
        return _error(gguf, adapter, f"makes llama.cpp end its process: {words}", DISTRUST)
    return (AdapterError if adapter else ModelError)(message, hint or DISTRUST)


def _error(gguf: Path, adapter: Path | None, what: str, hint: str) -> ModelError | AdapterError:
    kind, path = (AdapterError, adapter) if adapter else (ModelError, gguf)
    return kind(f"`{path}` {what}", hint)


def _last_words(said: IO[bytes], code: int) -> str:
    """The last line that the process wrote, else how it ended."""
    said.seek(max(0, said.seek(0, 2) - _SAID_BYTES))
    lines = said.read().decode("utf-8", "replace").strip().splitlines()
    if lines:
        return one_line(visible(_SOURCE_PATH.sub("", lines[-1])), 80)
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"exit code {code}"
