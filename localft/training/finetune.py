"""`localft.finetune`: one run from its settings to its last event: base model, data, engine, loop, what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localft.errors import ConfigError
from localft.events import DataReady, Estimate, Notice, RunEnd, RunStart, TrainEvent
from localft.files import real_path
from localft.model.probe import remember_usable
from localft.model.source import card_defaults
from localft.outputs import require_writable
from localft.report import Report
from localft.run.checkpoint import Checkpoint, Cursor, read_checkpoint
from localft.run.folder import ROOT, Run, create_run, newest_run, now, require_free
from localft.run.record import RunRecord
from localft.run.resume import Change, apply_changes, find_checkpoint, own_folder, place
from localft.run.writer import RunWriter, require_free_outputs
from localft.settings.resolve import read_config_file, resolve
from localft.settings.train_config import TrainConfig
from localft.training.answers import compare_answers
from localft.training.idle_settings import idle_notes
from localft.training.loop import LoopPlan, train_loop
from localft.training.plan import TrainPlan
from localft.training.setup import set_up
from localft.units import count

if TYPE_CHECKING:
    from localft.engine.native import NativeEngine


def finetune(
    model: str | None = None,
    data: str | Path | Sequence[str | Path] | None = None,
    *,
    config: str | Path | None = None,
    resume: str | Path | bool | None = None,
    dry_run: bool = False,
    report: Report | None = None,
    **settings: Any,
) -> Iterator[TrainEvent]:
    """Fine-tune a model with LoRA, yielding what happens; the same as the command `localft finetune`.

        for event in localft.finetune("demo", "my.jsonl", epochs=2):
            print(event.to_dict())

    Args:
        model: a card's name, a Hugging Face repo id, a checkpoint folder, or a .gguf file.
        data: one data file or folder, or several.
        config: a TOML file of settings; arguments go before it.
        resume: a run's folder or a checkpoint to go on from; True = the newest run that is not at its end.
        dry_run: stop before the first step; nothing is written.
        report: called as report(stage, done, total) while models are downloaded and converted.
        settings: any setting of `localft.settings.train_config.TrainConfig`, such as `lr=1e-4`.

    Returns:
        An iterator of events. Closing it early saves a checkpoint.

    Raises:
        ConfigError: a setting is unknown, wrong or at odds with another (at once, before the first event).
        LocalftError: model, data or engine failed (while iterating).
    """
    flags = {name: value for name, value in settings.items() if value is not None}
    if model is not None:
        flags["model"] = model
    if data is not None:
        flags["data"] = tuple(map(str, data)) if isinstance(data, (list, tuple)) else (str(data),)
    session = open_session(flags, Path(config) if config else None, resume, report)
    return session.run(dry_run=dry_run)


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
        if not dry_run:
            _require_places(self.config, self.folder)
        plan = set_up(self.config, self.checkpoint.record if self.checkpoint else None, self.report)
        yield from plan.notices
        yield from map(Notice, idle_notes(plan))
        yield DataReady(plan.dataset.n_ctx, plan.dataset.n_ctx_reason, plan.dataset.summary.to_dict())
        engine = plan.open_engine()
        try:
            if self.checkpoint:
                engine.load_state(self.checkpoint.state)
            elif plan.start:
                engine.load_state(plan.start)
            cursor = self.cursor()
            if dry_run:
                record = self.make_record(plan, engine, self.folder or Path())
                yield self.start_event(plan, engine, record, cursor, "", self.estimate(plan, engine, cursor))
                return
            if cursor.step >= plan.total_steps:
                done = f"the run is complete, {count(plan.total_steps, 'step')}"
                yield Notice(f"{done}; raise --epochs or --max-steps to go on")
            estimate = self.estimate(plan, engine, cursor)
            run = self.open_run(plan)
            with run.held():
                yield from self.train(plan, engine, run, cursor, estimate)
        finally:
            engine.close()

    def cursor(self) -> Cursor:
        """Where the run stands; where its best adapter is not in its folder, a later one becomes the best."""
        if self.checkpoint is None:
            return Cursor()
        cursor = self.checkpoint.cursor
        if self.folder is not None and Run(self.folder).best_adapter.is_file():
            return replace(cursor)
        return replace(cursor, best_val_loss=None, best_step=0)

    def estimate(self, plan: TrainPlan, engine: NativeEngine, cursor: Cursor) -> Estimate | None:
        """Time and memory that what is left will take; the engine is as it was."""
        from localft.training.estimate import estimate
        from localft.training.timing import weigher

        if self.report:
            self.report("timing a few batches", 0, 0)
        on_cpu = engine.device_name == "CPU"
        per_token = engine.memory_estimate / plan.max_tokens if on_cpu else 0.0
        return estimate(engine, self.loop_plan(plan), cursor, weigher(engine.hparams), per_token)

    def train(
        self, plan: TrainPlan, engine: NativeEngine, run: Run, cursor: Cursor, estimate: Estimate | None
    ) -> Iterator[TrainEvent]:
        """Train to the end of the plan, then compare."""
        record = self.make_record(plan, engine, run.folder)
        run.write_record(record)
        run.trim_metrics(cursor.step, cursor.validated)
        yield self.start_event(plan, engine, record, cursor, str(run.folder), estimate)
        if estimate:
            estimate = replace(estimate, seconds=estimate.seconds + cursor.seconds)
        writer = RunWriter(run, record, plan.config)
        with closing(train_loop(engine, self.loop_plan(plan), cursor, writer)) as events:
            for event in events:
                run.append(event)
                yield event
        memory = sum(engine.peak_mem_bytes().values())
        # only one model in memory: the comparison loads it anew
        engine.close()
        yield from self.finish(plan, run, cursor, memory, estimate)

    def open_run(self, plan: TrainPlan) -> Run:
        if self.folder is None:
            return create_run(plan.base.name, self.config.out)
        self.folder.mkdir(parents=True, exist_ok=True)
        return Run(self.folder)

    def make_record(self, plan: TrainPlan, engine: NativeEngine, folder: Path) -> RunRecord:
        return RunRecord(
            folder=str(real_path(folder)),
            cwd=str(real_path(plan.root)),
            created=self.checkpoint.record.created if self.checkpoint else now(),
            settings=plan.config.to_dict(),
            base=plan.base,
            resolved=plan.resolved(engine),
            template=plan.dataset.template.to_dict(),
            data_files=plan.data_files,
            fingerprint=plan.dataset.fingerprint,
            versions=plan.versions(),
            leaks=plan.dataset.summary.leaks,
        )

    def start_event(
        self,
        plan: TrainPlan,
        engine: NativeEngine,
        record: RunRecord,
        cursor: Cursor,
        run: str,
        estimate: Estimate | None,
    ) -> RunStart:
        return RunStart(
            run=run,
            step=cursor.step,
            total_steps=plan.total_steps,
            steps_per_epoch=plan.batches.steps_per_epoch,
            settings=record.settings,
            facts=plan.facts(engine),
            estimate=estimate,
        )

    def loop_plan(self, plan: TrainPlan) -> LoopPlan:
        return LoopPlan(
            batches=plan.batches,
            schedule=plan.schedule,
            total_steps=plan.total_steps,
            validation=plan.validation,
            val_every=plan.val_every,
            checkpoint_every=self.config.checkpoint_every,
        )

    def finish(
        self, plan: TrainPlan, run: Run, cursor: Cursor, memory: int, estimate: Estimate | None
    ) -> Iterator[TrainEvent]:
        """Say what changed."""
        remember_usable(plan.base_path, run.adapter)
        for event in compare_answers(plan.base_path, run.adapter, plan.dataset, plan.n_threads, self.report):
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
        ConfigError: see `localft.settings.resolve.resolve`; or a resumed run cannot take a changed setting.
        LocalftError: there is no such run, or its checkpoint is damaged.
    """
    from_file = read_config_file(config_file) if config_file else {}
    given = {**from_file, **flags}
    found = find_checkpoint(resume, given.get("checkpoint_in"), given)
    if found is None:
        config = resolve(flags, config_file, card_defaults)
        _require_input(config)
        require_free(config.out)
        return Session(config, notices=_starting_afresh(config), report=report)
    checkpoint = read_checkpoint(found)
    config, changes = apply_changes(checkpoint.record, found, flags, config_file)
    own = own_folder(found, checkpoint.record)
    folder = place(own, config.out)
    notices = [Notice(f"going on from step {checkpoint.cursor.step} of `{found}`"), *map(_said, changes)]
    if resume is True and own != (newest := newest_run(to_resume=True).folder):
        notices.append(Notice(f"`{newest}` is newer, and all its steps are done"))
    if own is None and config.out is None:
        notices.append(Notice(f"`{found}` lies in no run's folder: it goes on in a new one"))
    return Session(config, checkpoint, folder, notices, report)


def _said(change: Change) -> Notice:
    text = f"`{change.flag}` changed from {change.before} to {change.after}"
    return Notice(f"{text}: {change.effect}" if change.effect else text)


def _starting_afresh(config: TrainConfig) -> list[Notice]:
    if not config.checkpoint_in:
        return []
    return [Notice(f"`{config.checkpoint_in}` is not there yet: starting afresh")]


def _require_places(config: TrainConfig, folder: Path | None = None) -> None:
    """Refuse places that cannot be written, or hold what is not localft's, before anything is fetched or computed."""
    require_writable(folder or Path(config.out or ROOT), "give --out a place that you may write")
    require_free_outputs(config)


def _require_input(config: TrainConfig) -> None:
    if not config.model:
        raise ConfigError("no model was given", "add `--model demo`, another card's name, a folder or a .gguf file")
    if not config.data:
        raise ConfigError("no data was given", "add `--data FILE`, with one row per line or plain text")
