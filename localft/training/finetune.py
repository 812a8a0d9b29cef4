"""One run from its settings to its last event: base model, data, engine, loop, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localft.errors import ConfigError
from localft.events import DataReady, Estimate, Notice, RunEnd, RunStart, TrainEvent
from localft.model.card import card_defaults
from localft.report import Report
from localft.run.checkpoint import Checkpoint, Cursor, read_checkpoint
from localft.run.folder import Run, create_run, now, require_free
from localft.run.record import RunRecord
from localft.run.resume import Change, apply_changes, find_checkpoint
from localft.run.writer import DiskKeeper
from localft.settings.train_config import TrainConfig, read_config_file, resolve
from localft.training.answers import compare_answers
from localft.training.loop import LoopPlan, train_loop
from localft.training.plan import Job
from localft.training.setup import prepare_job

if TYPE_CHECKING:
    from localft.engine.native import NativeEngine


@dataclass
class Session:
    """A run that is about to start, or to go on from `checkpoint`."""

    config: TrainConfig
    checkpoint: Checkpoint | None = None
    folder: Path | None = None
    notices: list[Notice] = field(default_factory=list)
    report: Report | None = None

    def run(self, dry_run: bool = False) -> Iterator[TrainEvent]:
        """Prepare, train, compare; yield all events. Nothing is written before the engine stands."""
        yield from self.notices
        job = prepare_job(self.config, self.checkpoint.record if self.checkpoint else None, self.report)
        yield from job.notices
        yield DataReady(job.dataset.n_ctx, job.dataset.n_ctx_reason, job.summary())
        engine = job.open_engine()
        try:
            if self.checkpoint:
                engine.load_state(self.checkpoint.state)
            cursor = replace(self.checkpoint.cursor) if self.checkpoint else Cursor()
            if dry_run:
                record = self.make_record(job, engine, self.folder or Path())
                yield self.start_event(job, engine, record, cursor, "", self.estimate(job, engine, cursor))
                return
            if cursor.step >= job.total_steps:
                yield Notice(f"all {job.total_steps} steps are done; raise --epochs or --max-steps to go on")
            estimate = self.estimate(job, engine, cursor)
            run = self.open_run(job)
            with run.held():
                yield from self.train(job, engine, run, cursor, estimate)
        finally:
            engine.close()

    def estimate(self, job: Job, engine: NativeEngine, cursor: Cursor) -> Estimate | None:
        """What is left will take; the engine is as it was."""
        from localft.training.estimate import estimate
        from localft.training.timing import weigher

        if self.report:
            self.report("timing a few batches", 0, 0)
        on_cpu = engine.device_name == "CPU"
        per_token = engine.memory_estimate / job.max_tokens if on_cpu else 0.0
        return estimate(engine, self.loop_plan(job), cursor, weigher(engine.hparams), per_token)

    def train(
        self, job: Job, engine: NativeEngine, run: Run, cursor: Cursor, estimate: Estimate | None
    ) -> Iterator[TrainEvent]:
        """Train to the end of the job, then compare."""
        record = self.make_record(job, engine, run.folder)
        run.write_record(record)
        run.trim_metrics(cursor.step, cursor.validated)
        yield self.start_event(job, engine, record, cursor, str(run.folder), estimate)
        if estimate:
            estimate = replace(estimate, seconds=estimate.seconds + cursor.seconds)
        keeper = DiskKeeper(run, record, job.config)
        with closing(train_loop(engine, self.loop_plan(job), cursor, keeper)) as events:
            for event in events:
                run.append(event)
                yield event
        memory = sum(engine.peak_mem_bytes().values())
        # only one model in memory: the comparison loads it anew
        engine.close()
        yield from self.finish(job, run, cursor, memory, estimate)

    def open_run(self, job: Job) -> Run:
        if self.folder is None:
            return create_run(job.base.name, self.config.out)
        self.folder.mkdir(parents=True, exist_ok=True)
        return Run(self.folder)

    def make_record(self, job: Job, engine: NativeEngine, folder: Path) -> RunRecord:
        created, cwd = now(), str(Path.cwd())
        if self.checkpoint:
            created, cwd = self.checkpoint.record.created, self.checkpoint.record.cwd
        return RunRecord(
            folder=str(folder.resolve()),
            cwd=cwd,
            created=created,
            settings=job.config.to_dict(),
            base=job.base,
            resolved=job.resolved(engine),
            template=job.dataset.template.to_dict(),
            data_files=job.data_files,
            fingerprint=job.fingerprint,
            versions=job.versions(),
            leaks=job.dataset.summary.leaks,
        )

    def start_event(
        self, job: Job, engine: NativeEngine, record: RunRecord, cursor: Cursor, run: str, estimate: Estimate | None
    ) -> RunStart:
        return RunStart(
            run=run,
            step=cursor.step,
            total_steps=job.total_steps,
            steps_per_epoch=job.plan.steps_per_epoch,
            settings=record.settings,
            facts=job.facts(engine),
            estimate=estimate,
        )

    def loop_plan(self, job: Job) -> LoopPlan:
        return LoopPlan(
            batches=job.plan,
            schedule=job.schedule,
            total_steps=job.total_steps,
            validation=job.validation,
            val_every=job.val_every,
            checkpoint_every=self.config.checkpoint_every,
        )

    def finish(
        self, job: Job, run: Run, cursor: Cursor, memory: int, estimate: Estimate | None
    ) -> Iterator[TrainEvent]:
        """Say what changed."""
        for event in compare_answers(job.base_path, run.adapter, job.dataset, job.n_threads, self.report):
            run.append(event)
            yield event
        end = RunEnd(
            run=str(run.folder),
            step=cursor.step,
            adapter=str(run.adapter),
            best_step=cursor.best_step if cursor.best_val_loss is not None else cursor.step,
            val_loss_before=cursor.val_loss_before,
            val_loss_after=cursor.best_val_loss,
            seconds=cursor.seconds,
            n_tok=cursor.n_tok,
            peak_mem_bytes=memory,
            estimate=estimate,
        )
        run.append(end)
        yield end


def open_session(
    flags: Mapping[str, Any],
    config_file: Path | None = None,
    resume: str | Path | bool | None = None,
    report: Report | None = None,
) -> Session:
    """Merge the settings of a new run, or of one to go on with.

    Raises:
        ConfigError: see `localft.settings.train_config.resolve`; or a resumed run cannot take a changed setting.
        LocalftError: there is no such run, or its checkpoint is damaged.
    """
    from_file = read_config_file(config_file) if config_file else {}
    found = find_checkpoint(resume, {**from_file, **flags}.get("checkpoint_in"))
    if found is None:
        config = resolve(flags, config_file, card_defaults)
        _require_input(config)
        require_free(config.out)
        return Session(config, notices=_starting_afresh(config), report=report)
    path, folder = found
    checkpoint = read_checkpoint(path)
    config, changes = apply_changes(checkpoint.record, flags, config_file)
    folder = folder or Path(checkpoint.record.folder)
    notices = [Notice(f"going on from step {checkpoint.cursor.step} of `{path}`"), *map(_said, changes)]
    return Session(config, checkpoint, folder, notices, report)


def _said(change: Change) -> Notice:
    text = f"`{change.flag}` changed from {change.before} to {change.after}"
    return Notice(f"{text}: {change.effect}" if change.effect else text)


def _starting_afresh(config: TrainConfig) -> list[Notice]:
    if not config.checkpoint_in:
        return []
    return [Notice(f"`{config.checkpoint_in}` is not there yet: starting afresh")]


def _require_input(config: TrainConfig) -> None:
    if not config.model:
        raise ConfigError("no model was given", "add `--model demo`, another card's name, a folder or a .gguf file")
    if not config.data:
        raise ConfigError("no data was given", "add `--data FILE`, with one row per line or plain text")
