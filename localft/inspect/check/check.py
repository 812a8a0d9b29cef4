"""All checks of a run's data in one call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from localft.addresses import without_secrets
from localft.data.batching.mix import describe_epoch, mix
from localft.data.reading.sources import Sources
from localft.data.rows.row import Columns, Row
from localft.data.rows.sequences import chained
from localft.data.split.find_leaks import find_leaks
from localft.data.split.leakage import Leakage, settle
from localft.data.split.sides import choose_sides
from localft.data.tokens.collector import idle_sample_start, missing_columns
from localft.data.tokens.context_length import fit_units
from localft.data.tokens.run_wording import RunWording
from localft.data.tokens.tokenize import Unit
from localft.errors import DatasetError, LocalftError, ModelError
from localft.inspect.check.content import look_at_rows
from localft.inspect.check.cost import Cost, epoch_cost
from localft.inspect.check.problem import Level, Problem, Problems
from localft.inspect.check.reader import FileRead, Reader
from localft.inspect.check.style import look_at_style
from localft.inspect.check.tokens import TokenReport, report, tokenize, too_long
from localft.model.local_base import local_base
from localft.model.tokenizer import Tokenizer
from localft.report import Report
from localft.settings.setting import flag_name
from localft.settings.train_config import TrainConfig
from localft.training.engine import fits_memory
from localft.training.setup import data_settings, data_sources, with_hardware

_FOR_A_MODEL = ("template", "raw", "train_on_prompt", "ctx", "packing")


@dataclass
class CheckReport:
    """What was found.

    Attributes:
        files: each file that was read, with its rows; a folder of texts as one.
        problems: errors and warnings, file by file, by line.
        split: how the validation rows were chosen.
        tokens: None where there is no model to count with; `missing` then says why.
        cost: None where an epoch could not be timed; `missing` says why.
        missing: sentences about what could not be looked at.
        unlisted: how many more problems there are than `problems` lists, by level and kind.
    """

    files: list[FileRead]
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    split: str = ""
    leakage: Leakage = field(default_factory=Leakage)
    tokens: TokenReport | None = None
    cost: Cost | None = None
    missing: list[str] = field(default_factory=list)
    unlisted: Counter[tuple[Level, str]] = field(default_factory=Counter)

    @property
    def errors(self) -> list[Problem]:
        return [problem for problem in self.problems if problem.level == "error"]

    @property
    def warnings(self) -> list[Problem]:
        return [problem for problem in self.problems if problem.level == "warning"]

    def n_problems(self, level: Level) -> int:
        """Errors or warnings, those that are not listed too."""
        more = sum(n for (each, _), n in self.unlisted.items() if each == level)
        return len(self.errors if level == "error" else self.warnings) + more

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON-serialisable values."""
        files = [
            {"file": read.name, "use": read.use, "formats": dict(read.formats), "n_empty": read.n_empty}
            for read in self.files
        ]
        return {
            "files": files,
            "n_errors": self.n_problems("error"),
            "n_warnings": self.n_problems("warning"),
            "problems": [problem.to_dict() for problem in self.problems],
            "split": self.split,
            "leakage": self.leakage.to_dict(),
            "tokens": self.tokens.to_dict() if self.tokens else None,
            "cost": self.cost.to_dict() if self.cost else None,
            "missing": self.missing,
            "notes": self.notes,
            **({"n_unlisted": self.unlisted.total()} if self.unlisted else {}),
        }


def check(config: TrainConfig, progress: Report | None = None) -> CheckReport:
    """Look through the data of a run: every problem with its place, tokens, lengths, cost, and leakage.

    Args:
        config: the run's settings; without a model nothing is counted in tokens. Replayed text is not looked at.
        progress: called with what is being done.

    Raises:
        LocalftError: a folder holds no train file, something cannot be fetched, or the model, a template or a setting
            cannot be used.
    """
    say = progress or (lambda stage, done, total: None)
    data_settings(config, 0, config.ctx).require_sound()
    work = _Check(config, data_sources(replace(config, replay=None), report=say), say)
    if config.replay:
        work.found.missing.append(f"`{without_secrets(config.replay)}` (--replay) is not looked at")
    wording = work.wording()
    if wording is None:
        work.without_model()
    else:
        try:
            work.with_model(wording)
        finally:
            wording.tokenizer.close()
    return work.finished()


class _Check:
    """The files of a run, read to their end, and what was found in them so far."""

    def __init__(self, config: TrainConfig, sources: Sources, say: Report) -> None:
        self.config, self.sources, self.say = config, sources, say
        say("reading", 0, 0)
        reader = Reader(config.sample_start, Columns(config.prompt_column, config.answer_column))
        self.parts = [reader.part(part) for part in sources.parts]
        self.given = [] if config.no_val else reader.files(sources.val, "validation")
        files = [read for part in [*self.parts, self.given] for read in part]
        notes = [*sources.notes, *(note for read in files for note in read.notes)]
        self.found, self.problems = CheckReport(files, notes=notes), Problems()
        for read in files:
            self.problems.extend(read.problems)
        self._look_at_columns(reader.columns)
        self.problems.extend(look_at_rows(self._rows, "train"))
        self.problems.extend(look_at_rows(_rows_of(self.given), "validation"))

    @property
    def _rows(self) -> Sequence[Row]:
        """Those of the training files."""
        return chained([_rows_of(part) for part in self.parts])

    def _look_at_columns(self, columns: Columns) -> None:
        formats = sum((read.formats for read in self.found.files), Counter[str]())
        n_rows = sum(len(read.rows) + read.n_empty for read in self.found.files)
        if error := missing_columns(columns, formats, n_rows):
            self._error("no such column", error)
        if error := idle_sample_start(self.config.sample_start, formats):
            self._error("nothing to split", error)

    def _error(self, kind: str, error: LocalftError) -> None:
        """A problem of the whole data."""
        first = str(self.sources.files[0])
        self.problems.add(Problem("error", kind, first, 0, error.message, error.hint or ""))

    def wording(self) -> RunWording | None:
        """How the model would have its rows; None where there is no model, which `missing` then explains."""
        config = self.config
        if not config.model:
            flags = [flag_name(name) for name in _FOR_A_MODEL if getattr(config, name) not in (None, False)]
            too = f" ({', '.join(flags)} without one counts for nothing)" if flags else ""
            self.found.missing.append(f"tokens, lengths, n_ctx and time need a model: name one with --model{too}")
            return None
        try:
            base = local_base(config.model, self.say)
        except ModelError as error:
            hint = f" ({error.hint})" if error.hint else ""
            self.found.missing.append(f"no tokens, lengths, n_ctx and time: {error.message}{hint}")
            return None
        return RunWording(Tokenizer(base), config.template, config.raw, None, config.train_on_prompt)

    def without_model(self) -> None:
        """Leakage alone; where validation rows stand in training files only a model's tokens say which they are."""
        if self.config.no_val or self.config.all_data:
            return
        if not self.sources.val:
            self.found.missing.append("leakage: no validation file; with --model the run's own split is looked at")
        self.say("looking for leaks", 0, 0)
        self._judge(find_leaks(self._rows, _rows_of(self.given)))

    def with_model(self, wording: RunWording) -> None:
        """Tokens, lengths, what does not fit, the split, leakage and cost, by the code that a run uses."""
        config = self.config
        parts, given = [self._units(part, wording) for part in self.parts], self._units(self.given, wording)
        self.problems.extend(look_at_style(self._rows, wording))
        if config.all_data:
            parts, given = [*parts, given], []
        units = chained(parts)
        self.say("looking for leaks", 0, 0)
        settings = data_settings(config, wording.tokenizer.n_ctx_train, config.ctx)
        sides = choose_sides(units, given, self.sources.val, settings, partial(self._fits, wording.tokenizer.path))
        self._judge(sides.leakage)
        sides = sides.settled("drop" if settings.on_leak == "drop" else "warn")
        n_ctx, split = sides.n_ctx, sides.split
        read = chained([units, given])
        self.problems.extend(too_long(read, n_ctx, settings.overlength, settings.n_ctx_train))
        how = "drop" if settings.overlength == "refuse" else settings.overlength
        train, shares = mix(self.sources, parts, [], split, n_ctx, how)
        val = fit_units(split.val, n_ctx, how)
        self.found.split = split.reason
        self.found.tokens = report(units, train, val, wording, sides, describe_epoch(shares, train.rows))
        if not train.rows and all(each.level != "error" for each in self.problems):
            self._error(
                "nothing to learn",
                DatasetError("nothing in the data is supervised: no row is left to train on", "give rows with answers"),
            )
        if train.rows:
            self.say("timing a few batches", 0, 0)
            try:
                self.found.cost = epoch_cost(config, wording.tokenizer.path, train.rows, val.rows, n_ctx, shares)
            except LocalftError as error:
                self.found.missing.append(f"no time per epoch: {error.message}")

    def _fits(self, base: Path, n_positions: int) -> bool:
        """Whether a run could train on a row of so many positions; what a model lacks is said later."""
        try:
            return fits_memory(with_hardware(self.config, base), base)(n_positions)
        except LocalftError:
            return True

    def _units(self, reads: Sequence[FileRead], wording: RunWording) -> Sequence[Unit]:
        self.say("counting tokens", 0, 0)
        units, problems = tokenize(_rows_of(reads), wording)
        self.problems.extend(problems)
        return units

    def _judge(self, leakage: Leakage) -> None:
        self.found.leakage = leakage
        try:
            settle((), leakage, data_settings(self.config, 0, None).on_leak)
        except DatasetError as error:
            self._error("leak", error)

    def finished(self) -> CheckReport:
        """Problems by file and line; a row that the template refuses is not reproached with its roles too."""
        order = {str(path): i for i, path in enumerate(self.sources.files)}
        problems = self.problems.kept
        refused = {(each.file, each.line) for each in problems if each.kind == "refused by the template"}
        kept = (each for each in problems if each.kind != "roles out of order" or (each.file, each.line) not in refused)
        self.found.unlisted = self.problems.unlisted
        self.found.problems = sorted(kept, key=lambda each: (order.get(each.file, 0), each.line))
        return self.found


def _rows_of(reads: Sequence[FileRead]) -> Sequence[Row]:
    return chained([read.rows for read in reads])
