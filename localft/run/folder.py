"""A run is a folder: adapters, resolved settings, metrics and the checkpoint to go on from."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from localft.errors import LocalftError
from localft.events import TrainEvent
from localft.files import read_bytes, read_text, write_text
from localft.json_text import to_json
from localft.run.metrics import append_event, trim
from localft.run.record import RunRecord

if TYPE_CHECKING:
    from localft.data.wording.template import TemplateInfo

ROOT = Path("runs")
CONFIG = "config.json"


class Run:
    """A run's folder and the files in it. Made by `create_run`, found by `Run.open` and `newest_run`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def open(cls, path: Path | str) -> Run:
        """The run in folder `path`.

        Raises:
            LocalftError: there is no run.
        """
        folder = Path(path)
        if not (folder / CONFIG).is_file():
            raise LocalftError(f"`{path}` is no run: it has no {CONFIG}", f"runs are folders under `{ROOT}/`")
        return cls(folder)

    @property
    def best_adapter(self) -> Path:
        return self.folder / "adapter-best.gguf"

    @property
    def last_adapter(self) -> Path:
        return self.folder / "adapter-last.gguf"

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.gguf"

    @property
    def metrics(self) -> Path:
        return self.folder / "metrics.jsonl"

    @property
    def has_adapter(self) -> bool:
        return self.best_adapter.is_file() or self.last_adapter.is_file()

    @property
    def adapter(self) -> Path:
        """The adapter to use: the best one, or the last where no validation chose.

        Raises:
            LocalftError: the run has written none yet.
        """
        for path in (self.best_adapter, self.last_adapter):
            if path.is_file():
                return path
        raise LocalftError(f"run `{self.folder}` has no adapter yet", f"go on with `{resume_command(self.folder)}`")

    @property
    def record(self) -> RunRecord:
        """What `config.json` says.

        Raises:
            LocalftError: it is missing or damaged.
        """
        path = self.folder / CONFIG
        try:
            return RunRecord.from_dict(json.loads(read_text(path)))
        except (OSError, ValueError, KeyError, RecursionError) as error:
            words = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
            raise LocalftError(
                f"`{path}` cannot be read: {words[:200]}", "the run cannot be used without it"
            ) from error

    @property
    def base_model(self) -> Path:
        """The GGUF that the run trains on."""
        return Path(self.record.base.path)

    @property
    def template(self) -> TemplateInfo:
        """How the run's rows were formatted."""
        from localft.data.wording.template import TemplateInfo

        return TemplateInfo.from_dict(self.record.template)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from training this run meanwhile. The lock goes with the process, however it ends.

        Raises:
            LocalftError: one does.
        """
        handle = os.open(self.folder, os.O_RDONLY)
        try:
            with suppress(OSError):  # a file system without locks
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise LocalftError(
                        f"run `{self.folder}` is being trained by another process", "wait for its end, or stop it first"
                    ) from None
            yield
        finally:
            os.close(handle)

    def write_record(self, record: RunRecord) -> None:
        """Write `config.json`."""
        with writing(self.folder / CONFIG, self.folder):
            write_text(self.folder / CONFIG, to_json(record.to_dict(), indent=1) + "\n")

    def append(self, event: TrainEvent) -> None:
        """Add one line to `metrics.jsonl`, for the events that are kept there."""
        with writing(self.metrics, self.folder):
            append_event(self.metrics, event)

    def trim_metrics(self, step: int, validated: int) -> None:
        """Drop what a killed run wrote after its last checkpoint, which was at `step`, validated up to `validated`."""
        with writing(self.metrics, self.folder):
            trim(self.metrics, step, validated)


@contextmanager
def writing(path: Path, run: Path) -> Iterator[None]:
    """Turn a failed write of `path`, a file of the run in folder `run`, into a sentence.

    Raises:
        LocalftError: the disk is full, the folder was moved away, or the like.
    """
    if not run.is_dir():
        raise LocalftError(
            f"the run's folder `{run}` was moved or removed while the run went on",
            "go on with it where it is now: `localft finetune --resume FOLDER`",
        )
    try:
        yield
    except OSError as error:
        first = "make room" if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else "mend that"
        raise LocalftError(
            f"`{path}` could not be written: {error.strerror or error}",
            f"what was saved before is intact; {first} and go on with `{resume_command(run)}`",
        ) from error


def create_run(name: str, out: str | None) -> Run:
    """Make the folder of a new run: `out`, or the next free `runs/<name>-<date>-<n>`.

    Raises:
        LocalftError: `out` holds a run already, or the folder cannot be made.
    """
    require_free(out)
    try:
        if out is None:
            return Run(_next_folder(name))
        folder = Path(out)
        folder.mkdir(parents=True, exist_ok=True)
        return Run(folder)
    except OSError as error:
        raise LocalftError(
            f"the run's folder `{error.filename}` cannot be made: {error.strerror}", "give another --out"
        ) from error


def require_free(out: str | None) -> None:
    """Refuse a folder for a new run that holds one.

    Raises:
        LocalftError: it does.
    """
    if out is None:
        return
    run = Run(Path(out))
    if not (run.folder / CONFIG).exists():
        for path in (run.best_adapter, run.last_adapter, run.checkpoint, run.metrics):
            if os.path.lexists(path):
                message = f"`{out}` is no run's folder, and holds a {path.name} that a run would replace"
                raise LocalftError(message, "give another --out")
        return
    # one that ended before it saved anything may begin anew
    require_run(run.folder)
    if run.checkpoint.exists() or run.has_adapter:
        raise LocalftError(
            f"`{out}` holds a run already", f"go on with it by `{resume_command(Path(out))}`, or give another --out"
        )


def require_run(folder: Path) -> None:
    """Refuse a folder whose config.json is whole, but that of a model, say; one without it may become a run's.

    Raises:
        LocalftError: names it.
    """
    config = folder / CONFIG
    try:
        other = "fingerprint" not in json.loads(read_bytes(config)) if config.is_file() else config.exists()
    except (OSError, ValueError, TypeError, RecursionError):
        return
    if other:
        raise LocalftError(f"`{folder}` holds a {CONFIG} that is no run's", "a run needs a folder of its own")


def _next_folder(name: str) -> Path:
    stem = f"{re.sub(r'[^A-Za-z0-9._]+', '-', name).strip('-.') or 'run'}-{datetime.now():%Y-%m-%d}"
    ROOT.mkdir(exist_ok=True)
    n = 1
    while True:
        folder = ROOT / f"{stem}-{n}"
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            n += 1


def now() -> str:
    """The time as a run records it."""
    return datetime.now(timezone.utc).astimezone().isoformat()


def all_runs(root: Path = ROOT) -> list[Run]:
    """Every run under `root`, the oldest first."""
    runs = [Run(path.parent) for path in root.glob(f"*/{CONFIG}")]
    return sorted(runs, key=lambda run: (run.folder / CONFIG).stat().st_mtime_ns)


def newest_run(root: Path = ROOT, *, to_resume: bool = False) -> Run:
    """The run under `root` that was started or resumed last, of those with an adapter.

    Args:
        to_resume: of those with a checkpoint instead.

    Raises:
        LocalftError: there is none.
    """
    runs = [run for run in all_runs(root) if (run.checkpoint.is_file() if to_resume else run.has_adapter)]
    if not runs:
        raise LocalftError(
            f"there is no run under `{root}/` yet", "start one with `localft finetune --model … --data …`"
        )
    return runs[-1]


def resume_command(folder: Path) -> str:
    """The command that goes on with the run in `folder`."""
    return f"localft finetune --resume {shlex.quote(str(folder))}"
