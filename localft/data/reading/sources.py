"""What a --data value names, a file, a folder, an address or a data set of the hub, and how often it counts."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from localft.addresses import without_secrets
from localft.data.reading.data_file import NO_PIPE
from localft.data.reading.expansion import refuse_expansion
from localft.data.reading.folder_files import SPLITS, VALID, named, names_of, nothing_in, require_readable, texts_in
from localft.errors import ConfigError, DatasetError
from localft.kinds.folder_kind import folder_kind
from localft.report import Report
from localft.settings.setting import split_share

MOST_PASSES = 1000


@dataclass(frozen=True)
class Part:
    """The files of one --data value.

    Attributes:
        name: as the user wrote it, without the weight, and of an address without its secrets.
        files: what is read of it.
        weight: passes over its rows in one epoch; None where none was given, which counts as 1.
        docs: id of each file that is one document, where the value is a folder of texts.
    """

    name: str
    files: tuple[Path, ...]
    weight: float | None = None
    docs: tuple[str, ...] = ()


@dataclass
class Sources:
    """Files to train on, files to validate on, text to mix in, and what was left alone.

    Attributes:
        replay, replay_share: general text, and its share of the supervised tokens of an epoch.
    """

    parts: list[Part] = field(default_factory=list)
    val: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    replay: Part | None = None
    replay_share: float = 0.0

    @property
    def train(self) -> list[Path]:
        return [path for part in self.parts for path in part.files]

    @property
    def files(self) -> list[Path]:
        """Everything that is read."""
        return [*self.train, *self.val, *(self.replay.files if self.replay else ())]


def find_sources(
    data: Sequence[str | Path],
    val_data: str | Path | None = None,
    replay: str | None = None,
    root: Path = Path(),
    report: Report | None = None,
    *,
    fetch: bool = True,
    allow_expansion: bool = False,
) -> Sources:
    """Resolve folders to their files, and fetch what is not on this machine yet.

    Args:
        data: files; folders with a train file and perhaps valid and test files, or with texts; http(s) addresses;
            `hf:owner/name`. A text may end in `:2`, the passes over it in one epoch.
        val_data: one to validate on in place of a folder's own, or a folder whose valid file is meant.
        replay: one to mix in, ending in `:0.2` or `:20%`, its share of the supervised tokens.
        root: where relative paths start.
        report: called as report(stage, done, total) while something is downloaded.
        fetch: False: what is not on this machine is refused.
        allow_expansion: compressed files may hold however much they like, see `refuse_expansion`.

    Raises:
        DatasetError: a folder without a train file, something that cannot be fetched, or that holds too much.
        ConfigError: a weight that is none.
        ValueError: a share that is none; `TrainConfig` has refused those.
    """
    finder = _Finder(root, report, fetch)
    for value in data:
        name, weight = (str(value), None) if isinstance(value, Path) else split_weight(value, root)
        finder.found.parts.append(finder.part(name, weight))
    if val_data is not None:
        finder.validate_on(str(val_data))
    if replay is not None:
        name, share = split_share(replay)
        known = len(finder.found.val)
        finder.found.replay, finder.found.replay_share = finder.part(name, None), share
        del finder.found.val[known:]
    for path in () if allow_expansion else finder.found.files:
        refuse_expansion(path)
    return finder.finished()


def split_weight(text: str, root: Path = Path()) -> tuple[str, float | None]:
    """`a.jsonl:2` as name and weight. Names with colons stay whole: files that exist, drives, hosts with a port.

    Raises:
        ConfigError: the weight is 0 or too large.
    """
    match = re.fullmatch(r"(.+):(\d+(?:\.\d*)?|\.\d+)", text, re.DOTALL)
    if not match or (root / text).exists() or re.fullmatch(r"https?://[^/]*", match[1]):
        return text, None
    if re.fullmatch("[A-Za-z]", match[1]) and not (root / match[1]).exists():
        return text, None
    weight = float(match[2])
    if not 0 < weight <= MOST_PASSES:
        raise ConfigError(
            f"`--data {text}`: the weight is {match[2]}, expected more than 0 and at most {MOST_PASSES:,}",
            "it is the number of passes over these rows in one epoch, such as 2 or 0.5",
        )
    return match[1], weight


def is_remote(name: str) -> bool:
    """Whether a --data value is an address or a data set of the hub, and no path."""
    return bool(re.match("(?i:https?)://|hf:", name))


class _Finder:
    def __init__(self, root: Path, report: Report | None, fetch: bool) -> None:
        self.root, self.report, self.fetch = root, report, fetch
        self.found = Sources()
        self.tests: list[Path] = []
        self.addresses: dict[str, str] = {}

    def part(self, name: str, weight: float | None) -> Part:
        path = self.local(name)
        name = without_secrets(name)
        if not path.is_dir():
            return Part(name, (path,), weight)
        require_readable(path)
        train = named(path, ("train",))
        if not train and (kind := folder_kind(path)):
            raise DatasetError(f"`{path}` is {kind.what}", kind.hint)
        if not train and not named(path, SPLITS) and (texts := self.texts(path)):
            prefix = path.resolve().name
            docs = tuple(f"{prefix}:{text.relative_to(path).as_posix()}" for text in texts)
            return Part(name, tuple(texts), weight, docs)
        if not train:
            raise nothing_in(path)
        self.found.val += named(path, VALID)
        self.tests += named(path, ("test",))
        return Part(name, tuple(train), weight)

    def finished(self) -> Sources:
        read = {os.path.realpath(path) for path in self.found.files}
        kept = dict.fromkeys(test for test in self.tests if os.path.realpath(test) not in read)
        self.found.notes += [f"`{test}` is kept for testing and not read" for test in kept]
        return self.found

    def texts(self, folder: Path) -> list[Path]:
        """The texts of a folder that has no train file."""
        texts, n_other = texts_in(folder)
        if texts and n_other:
            others = "1 other file is" if n_other == 1 else f"{n_other:,} other files are"
            code = "`localft data build` makes rows of code"
            self.found.notes.append(f"`{folder}`: {others} no text (.txt, .md) and not read; {code}")
        return texts

    def validate_on(self, name: str) -> None:
        if self.found.val:
            names = ", ".join(f"`{path}`" for path in self.found.val)
            self.found.notes.append(f"--val-data takes the place of {names}")
        path = self.local(name)
        if path.is_dir():
            require_readable(path)
        self.found.val = (named(path, VALID) or named(path, ("test",))) if path.is_dir() else [path]
        if not self.found.val:
            raise DatasetError(f"`{path}` has no valid file", f"expected one of {names_of('valid')}")

    def local(self, name: str) -> Path:
        """The file or folder on this machine, fetched where it is elsewhere."""
        if name == "-":
            raise DatasetError("`-` is stdin, and a run reads its data again", NO_PIPE)
        if not is_remote(name):
            try:
                (self.root / name).exists()
            except OSError as error:
                shown = name if len(name) <= 80 else f"{name[:79]}…"
                raise DatasetError(f"cannot read `{shown}`: {error.strerror}", "check the path") from None
            if (self.root / name).is_fifo():
                raise DatasetError(f"`{name}` is a pipe, and a run reads its data again", NO_PIPE)
            return self.root / name
        from localft.data.reading import hub_dataset, web

        on_hub, shown = name.startswith("hf:"), without_secrets(name)
        if self.addresses.setdefault(shown, name) != name:
            message = f"two addresses of `{shown}` differ only in what is not kept: a token or a signature"
            raise ConfigError(message, "download both, and name the files")
        path = hub_dataset.kept_at(name[len("hf:") :]) if on_hub else web.kept_at(name)
        if not path.exists() and not self.fetch:
            hint = f"fetch it with `localft data check {shlex.quote(shown)}`"
            if not on_hub:
                hint += "; where it had a signature or a password, give it with a valid one: those are not kept"
            raise DatasetError(f"`{shown}` is not on this machine any more", hint)
        path = hub_dataset.fetch(name[len("hf:") :], self.report) if on_hub else web.download(name, self.report)
        self.found.notes.append(f"`{shown}` is kept in `{path}`: delete that to fetch it anew")
        return path
