"""All checks of a run's data in one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from localft.data.check.content import look_at_rows
from localft.data.check.cost import Cost, epoch_cost
from localft.data.check.model import local_base
from localft.data.check.problem import Problem
from localft.data.check.reading import FileRead, read_files
from localft.data.check.style import look_at_style
from localft.data.check.tokens import TokenReport, report, tokenize, too_long
from localft.data.dataset import Overlength
from localft.data.fit import choose_n_ctx, fit_units
from localft.data.leakage import Leakage, find_leaks
from localft.data.rows import Row
from localft.data.sources import find_sources
from localft.data.split import Split, split_rows
from localft.data.tokenize import Unit
from localft.data.wording import Wording
from localft.errors import LocalftError, ModelError
from localft.tokenizer import Tokenizer

Progress = Callable[[str, int, int], None]
SPLIT, SEED = 0.1, 42


@dataclass(frozen=True)
class CheckSettings:
    """What a run would say about its data; names and meanings are those of `localft finetune`."""

    model: str | None = None
    val_data: Path | None = None
    ctx: int | None = None
    overlength: Overlength = "drop"
    train_on_prompt: bool = False
    sample_start: str | None = None
    template: str | None = None
    raw: bool = False


@dataclass
class CheckReport:
    """What was found.

    Attributes:
        files: each file that was read, with its rows.
        problems: errors and warnings, file by file, by line.
        split: how the validation rows were chosen.
        tokens: None where there is no model to count with; `missing` then says why.
        cost: None where an epoch could not be timed; `missing` says why.
        missing: sentences about what could not be looked at.
    """

    files: list[FileRead]
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    split: str = ""
    leakage: Leakage = field(default_factory=Leakage)
    tokens: TokenReport | None = None
    cost: Cost | None = None
    missing: list[str] = field(default_factory=list)

    @property
    def errors(self) -> list[Problem]:
        return [problem for problem in self.problems if problem.level == "error"]

    @property
    def warnings(self) -> list[Problem]:
        return [problem for problem in self.problems if problem.level == "warning"]

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON-serialisable values."""
        files = [
            {"file": str(read.path), "use": read.use, "formats": dict(read.formats), "n_empty": read.n_empty}
            for read in self.files
        ]
        return {
            "files": files,
            "n_errors": len(self.errors),
            "n_warnings": len(self.warnings),
            "problems": [problem.to_dict() for problem in self.problems],
            "split": self.split,
            "leakage": self.leakage.to_dict(),
            "tokens": self.tokens.to_dict() if self.tokens else None,
            "cost": self.cost.to_dict() if self.cost else None,
            "missing": self.missing,
            "notes": self.notes,
        }


def check(data: Sequence[Path], settings: CheckSettings, progress: Progress | None = None) -> CheckReport:
    """Look through the data of a run: every problem with its place, tokens, lengths, cost, and leakage.

    Args:
        data: files or folders, as for `localft finetune --data`.
        progress: called with what is being done.

    Raises:
        LocalftError: a folder holds no train file, or the model or a template cannot be used.
    """
    say = progress or (lambda stage, done, total: None)
    sources = find_sources(data, settings.val_data)
    say("reading", 0, 0)
    files = read_files(sources.train, "train", settings.sample_start)
    files += read_files(sources.val, "validation", settings.sample_start)
    found = CheckReport(files, notes=sources.notes + [note for read in files for note in read.notes])
    rows = {use: [row for read in files if read.use == use for row in read.rows] for use in ("train", "validation")}
    for read in files:
        found.problems += read.problems
    for use, each in rows.items():
        found.problems += look_at_rows(each, use)
    wording = _wording(settings, found, say)
    if wording is not None:
        try:
            _with_model(found, rows, wording, settings, say)
        finally:
            wording.tokenizer.close()
    else:
        if not rows["validation"]:
            found.missing.append("leakage: no validation file; with --model the run's own split is looked at")
        _leaks(found, rows["train"], rows["validation"], say)
    found.problems = _in_order(found.problems, files)
    return found


def _wording(settings: CheckSettings, found: CheckReport, say: Progress) -> Wording | None:
    """How the model would have its rows; None where there is no model, which `found.missing` then explains."""
    if settings.model is None:
        found.missing.append("tokens, lengths, n_ctx and time need a model: name one with --model")
        return None
    try:
        base = local_base(settings.model, say)
    except ModelError as error:
        hint = f" ({error.hint})" if error.hint else ""
        found.missing.append(f"no tokens, lengths, n_ctx and time: {error.message}{hint}")
        return None
    return Wording(Tokenizer(base), settings.template, settings.raw, None, settings.train_on_prompt)


def _with_model(
    found: CheckReport, rows: dict[str, list[Row]], wording: Wording, settings: CheckSettings, say: Progress
) -> None:
    """Tokens, lengths, what does not fit, the split, leakage and cost."""
    say("counting tokens", 0, 0)
    units: dict[str, list[Unit]] = {}
    for use in rows:
        units[use], problems = tokenize(rows[use], wording)
        found.problems += problems
    found.problems += look_at_style(rows["train"], wording)
    chosen = choose_n_ctx(units["train"], settings.ctx, wording.tokenizer.n_ctx_train)
    n_ctx = chosen[0]
    for use in rows:
        found.problems += too_long(units[use], n_ctx, settings.overlength)
    split = _split(units["train"], units["validation"], n_ctx)
    found.split = split.reason
    how = "drop" if settings.overlength == "refuse" else settings.overlength
    train, val = (fit_units(part, n_ctx, how) for part in (split.train, split.val))
    found.tokens = report(units["train"], train, val, wording, chosen)
    if not train.rows and not found.errors:
        message = "nothing in the data is supervised: no row is left to train on"
        found.problems.append(Problem("error", "nothing to learn", str(found.files[0].path), 0, message))
    _leaks(found, [unit.row for unit in split.train], [unit.row for unit in split.val], say)
    if train.rows:
        say("timing a few batches", 0, 0)
        try:
            found.cost = epoch_cost(settings.model or "", wording.tokenizer.path, train.rows, val.rows, n_ctx)
        except LocalftError as error:
            found.missing.append(f"no time per epoch: {error.message}")


def _split(units: list[Unit], given: list[Unit], n_ctx: int) -> Split:
    if given:
        return Split(tuple(units), tuple(given), f"all {len(given):,} rows of the validation file")
    if not units:
        return Split((), (), "no rows")
    split = split_rows(units, n_ctx, val_split=SPLIT, val_samples=None, seed=SEED)
    return Split(split.train, split.val, f"{split.reason}, as `localft finetune` would")


def _leaks(found: CheckReport, train: Sequence[Row], val: Sequence[Row], say: Progress) -> None:
    say("looking for leaks", 0, 0)
    found.leakage = find_leaks(train, val)


def _in_order(problems: Sequence[Problem], files: Sequence[FileRead]) -> list[Problem]:
    """By file and line; a row that the template refuses is not reproached with its roles too."""
    order = {str(read.path): i for i, read in enumerate(files)}
    refused = {(each.file, each.line) for each in problems if each.kind == "refused by the template"}
    kept = (each for each in problems if each.kind != "roles out of order" or (each.file, each.line) not in refused)
    return sorted(kept, key=lambda each: (order.get(each.file, 0), each.line))
