"""What a --data value names, a file, a folder, an address or a data set of the hub, and how often it counts."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from localft.addresses import without_secrets
from localft.data.reading.compressed import SUFFIXES as COMPRESSED
from localft.data.reading.data_file import NO_PIPE
from localft.data.reading.data_format import data_format, data_suffix
from localft.data.reading.expansion import refuse_expansion
from localft.errors import ConfigError, DatasetError
from localft.file_kind import Kind
from localft.folder_kind import folder_kind
from localft.report import Report
from localft.settings.setting import split_share
from localft.text_kind import TextForm

_SUFFIXES = (".jsonl", ".json", ".ndjson", ".txt")
# looked for where there is none of the above, so that a table beside a train.jsonl is not read twice
_MORE_SUFFIXES = (".csv", ".tsv", ".parquet", ".md")
_TEXTS = (".txt", ".md")
_ROWS = (*(suffix for suffix in (*_SUFFIXES, *_MORE_SUFFIXES) if suffix not in _TEXTS), ".arrow")
# texts about what lies beside them
_ABOUT = re.compile(r"(?i)(?:readme|licen[cs]e|copying|notice|citation)(?:[._-].*)?")
_VALID = ("valid", "validation", "val", "dev")
_SPLITS = ("train", *_VALID, "test")
MOST_PASSES = 1000
_WITHOUT_TRAIN = "of code and pages `localft data build {folder} -o rows.jsonl` makes rows"


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
        _require_readable(path)
        train = _named(path, ("train",))
        if not train and (kind := folder_kind(path)) and kind.kind is not Kind.MODEL_FOLDER:
            raise DatasetError(f"`{path}` is {kind.what}", kind.hint)
        if not train and not _named(path, _SPLITS) and (texts := self.texts(path)):
            prefix = path.resolve().name
            docs = tuple(f"{prefix}:{text.relative_to(path).as_posix()}" for text in texts)
            return Part(name, tuple(texts), weight, docs)
        if not train:
            raise self.nothing_in(path)
        self.found.val += _named(path, _VALID)
        self.tests += _named(path, ("test",))
        return Part(name, tuple(train), weight)

    def finished(self) -> Sources:
        read = {os.path.realpath(path) for path in self.found.files}
        kept = dict.fromkeys(test for test in self.tests if os.path.realpath(test) not in read)
        self.found.notes += [f"`{test}` is kept for testing and not read" for test in kept]
        return self.found

    def nothing_in(self, folder: Path) -> DatasetError:
        if not any(folder.iterdir()):
            return DatasetError(f"the folder `{folder}` is empty", "check the path; name a folder or file with rows")
        expected = f"expected one of {_names('train')}; or texts (.txt, .md) alone"
        held = [each.name for each in sorted(folder.iterdir()) if data_suffix(each) in (*_SUFFIXES, *_MORE_SUFFIXES)]
        if held:
            names = ", ".join(f"`{name}`" for name in held[:3]) + (", …" if len(held) > 3 else "")
            return DatasetError(f"`{folder}` has no train file", f"{expected}; or name a file itself: it has {names}")
        hint = f"{expected}; {_WITHOUT_TRAIN.format(folder=folder)}"
        return DatasetError(f"`{folder}` has neither a train file nor texts", hint)

    def texts(self, folder: Path) -> list[Path]:
        """Every text in a folder and the folders in it, in order of their names; nothing hidden.

        Raises:
            DatasetError: rows lie among them, or they only tell of the folder.
        """
        files = _walk(folder)
        if rows := [path for path in files if _holds_rows(path)]:
            raise _rows_elsewhere(folder, rows)
        texts = [path for path in files if data_suffix(path) in _TEXTS]
        if texts and all(_ABOUT.fullmatch(path.name) for path in texts):
            message = f"`{folder}` has no train file, and no text but {_listed(folder, texts)}, which tells of the rest"
            raise DatasetError(message, f"name it where it is meant; {_WITHOUT_TRAIN.format(folder=folder)}")
        if texts and (n_other := len(files) - len(texts)):
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
            _require_readable(path)
        self.found.val = (_named(path, _VALID) or _named(path, ("test",))) if path.is_dir() else [path]
        if not self.found.val:
            raise DatasetError(f"`{path}` has no valid file", f"expected one of {_names('valid')}")

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


def _named(folder: Path, stems: Sequence[str]) -> list[Path]:
    for suffixes in (_SUFFIXES, _MORE_SUFFIXES):
        found = [path for stem in stems for suffix in suffixes if (path := _first(folder / f"{stem}{suffix}"))]
        if found:
            return found
    return []


def _holds_rows(path: Path) -> bool:
    """Whether a file has rows and no text. Settings and the like are one object over several lines, and not meant."""
    suffix = data_suffix(path)
    if suffix not in (*_ROWS, *_TEXTS):
        return False
    if suffix == ".json" or suffix in _TEXTS:
        return data_format(path).form in (TextForm.LINES, TextForm.ARRAY, TextForm.HOLDER)
    return True


def _rows_elsewhere(folder: Path, rows: Sequence[Path]) -> DatasetError:
    message = f"`{folder}` has no train file, and rows under other names: {_listed(folder, rows)}"
    first = shlex.quote(str(rows[0]))
    hint = f"name the files, such as `--data {first}`, or call one train{data_suffix(rows[0])}; "
    return DatasetError(message, f"{hint}to train on the texts beside them alone, move them into a folder of their own")


def _listed(folder: Path, paths: Sequence[Path]) -> str:
    names = ", ".join(f"`{path.relative_to(folder)}`" for path in paths[:3])
    return names + (f" and {len(paths) - 3:,} more" if len(paths) > 3 else "")


def _first(path: Path) -> Path | None:
    """The file, or else the same compressed."""
    for suffix in ("", *COMPRESSED):
        if (whole := path.with_name(path.name + suffix)).is_file():
            return whole
    return None


def _require_readable(folder: Path) -> None:
    """Refuse a folder that cannot be listed, or whose files cannot be reached."""
    try:
        with os.scandir(folder) as entries:
            if entry := next(entries, None):
                entry.stat(follow_symlinks=False)
    except OSError as error:
        raise _unreadable(folder, error) from None


def _unreadable(folder: Path, error: OSError) -> DatasetError:
    name = shlex.quote(str(folder))
    hint = f"`ls -ld {name}` says who may read it, its owner allows it with `chmod u+rx {name}`; or name other files"
    return DatasetError(f"cannot read the folder `{folder}`: {error.strerror}", hint)


def _walk(folder: Path) -> list[Path]:
    def refuse(error: OSError) -> None:
        raise _unreadable(Path(error.filename), error)

    found = []
    for where, folders, names in os.walk(folder, onerror=refuse):  # links to folders are not followed
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(where) / name for name in names if not name.startswith(".")]
    return sorted(found)


def _names(stem: str) -> str:
    return ", ".join(f"{stem}{suffix}" for suffix in (*_SUFFIXES, *_MORE_SUFFIXES))
