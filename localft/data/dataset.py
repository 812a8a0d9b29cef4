"""Everything between the user's files and the first batch, in one call."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from localft.data.batching.mix import Share, describe_epoch, mix
from localft.data.reading.sources import Sources, find_sources
from localft.data.rows.row import Columns
from localft.data.rows.sequences import chained
from localft.data.split.sides import Sides, choose_sides
from localft.data.split.val_prompts import ValPrompt, val_prompts
from localft.data.summary import DataSummary
from localft.data.tokens.collector import Collector
from localft.data.tokens.context_length import Fits, FittedRows, fit_units, lost_answers, percentile99
from localft.data.tokens.run_wording import RunWording
from localft.data.tokens.tokenize import TokenizedRow
from localft.data.wording.template import TemplateInfo, describe
from localft.errors import ConfigError, DatasetError
from localft.model.tokenizer import Tokenizer
from localft.report import Report
from localft.settings.data_settings import DataSettings
from localft.units import count


@dataclass(frozen=True)
class Dataset:
    """Rows ready to be batched.

    Attributes:
        train, val: rows of at most n_ctx positions; val may be empty.
        n_ctx, n_ctx_reason: positions per sequence, and why.
        template: how rows were worded; chat follows it.
        summary: the table before the first step.
        val_prompts: a few validation prompts and the answers that the data gives.
        fingerprint: SHA-256 of tokens and masks; the same data and settings give the same.
        shares: of `train`, where an epoch does not simply hold every row once.
    """

    train: tuple[TokenizedRow, ...]
    val: tuple[TokenizedRow, ...]
    n_ctx: int
    n_ctx_reason: str
    template: TemplateInfo
    summary: DataSummary
    val_prompts: tuple[ValPrompt, ...]
    fingerprint: str
    shares: tuple[Share, ...] = ()


def prepare(
    data: Sequence[str | Path] | Path | Sources,
    tokenizer: Tokenizer,
    settings: DataSettings,
    report: Report | None = None,
    fits: Fits | None = None,
) -> Dataset:
    """Read, word, tokenize, split and fit the rows of a run.

    Args:
        data: files or folders, see docs/data.md; or what `find_sources` found.
        tokenizer: of the base model.
        settings: see `DataSettings`.
        report: called as report(stage, done, total) while something takes long.
        fits: whether a row of so many positions fits into memory; None: not known.

    Raises:
        DatasetError: a file or a row cannot be used, nothing would be supervised, or something leaks and is refused.
        ConfigError: settings that cannot hold together.
        ModelError: the model's chat template is no template.
    """
    settings.require_sound()
    if not isinstance(data, Sources):
        named = [data] if isinstance(data, Path) else data
        expand = settings.allow_expansion
        data = find_sources(named, settings.val_data, settings.replay, allow_expansion=expand)
    wording = RunWording(tokenizer, settings.template, settings.raw, settings.date, settings.train_on_prompt)
    columns = Columns(settings.prompt_column, settings.answer_column)
    work = Collector(wording, settings.sample_start, columns, notes=list(data.notes), report=report)
    parts = [work.part(part) for part in data.parts]
    given = [] if settings.no_val else work.read(data.val)
    if settings.all_data:
        parts, given = [*parts, given], []
    replay = work.replay(data.replay) if data.replay else []
    work.check_columns()
    units = chained(parts)
    found = choose_sides(units, given, data.val, settings, fits).settled(settings.on_leak)
    n_ctx, split = found.n_ctx, found.split
    work.dropped += found.dropped
    train, shares = mix(data, parts, replay, split, n_ctx, settings.overlength, settings.wrap_packed)
    if settings.wrap_packed and not train.n_wrapped:
        raise ConfigError("`--wrap-packed` has nothing to do: no text is trained on", "leave it out")
    val = fit_units(split.val, n_ctx, settings.overlength)
    if not train.rows:
        raise DatasetError(
            "nothing in the data is supervised: no row is left to train on", _why_nothing(train, work, n_ctx, settings)
        )
    info = wording.main(work.kinds)
    lost = lost_answers(chained([units, given]), n_ctx) if settings.overlength == "drop" else ""
    work.notes = [
        *filter(None, [lost]),
        *work.notes,
        *wording.notes(work.kinds),
        *found.leakage.notes(settings.on_leak),
    ]
    lengths = [unit.length for unit in chained([units, given])]
    return Dataset(
        train=tuple(train.rows),
        val=tuple(val.rows),
        n_ctx=n_ctx,
        n_ctx_reason=found.n_ctx_reason,
        template=info,
        summary=_summary(work, train, val, shares, lengths, found, info),
        val_prompts=val_prompts(split.val, tokenizer, n_ctx),
        fingerprint=_fingerprint([*train.rows, *val.rows]),
        shares=shares,
    )


def _why_nothing(train: FittedRows, work: Collector, n_ctx: int, settings: DataSettings) -> str:
    dropped = work.dropped + train.dropped
    if not dropped:
        return "check that the answers are not empty"
    reasons = "; ".join(f"{count(n, 'row')}: {reason}" for reason, n in dropped.items())
    if not any(f"n_ctx {n_ctx:,}" in reason for reason in train.dropped):
        return f"dropped: {reasons}"
    ways = "a larger --ctx" + (" or `--overlength truncate`" if settings.overlength == "drop" else "")
    return f"dropped: {reasons}; {ways} keeps long rows"


def _summary(
    work: Collector,
    train: FittedRows,
    val: FittedRows,
    shares: tuple[Share, ...],
    lengths: list[int],
    found: Sides,
    info: TemplateInfo,
) -> DataSummary:
    n_replay = sum(share.n_row for share in shares if share.is_replay)
    own, replay = train.rows[: len(train.rows) - n_replay], train.rows[len(train.rows) - n_replay :]
    return DataSummary(
        files=tuple(work.files),
        formats=dict(work.formats),
        template=describe(info),
        n_rows=work.n_rows,
        n_train=len(own),
        n_val=len(val.rows),
        n_tokens=sum(row.length for row in own),
        n_supervised=sum(row.n_supervised for row in own),
        n_val_tokens=sum(row.length for row in val.rows),
        n_val_supervised=sum(row.n_supervised for row in val.rows),
        mean_length=sum(lengths) / len(lengths),
        p99_length=percentile99(lengths),
        longest=max(lengths),
        n_ctx=found.n_ctx,
        n_ctx_reason=found.n_ctx_reason,
        n_cut=len({text.identity for text in (*train.cut_texts, *val.cut_texts)}),
        n_windows=train.n_windows + val.n_windows,
        n_wrapped=train.n_wrapped,
        n_wrapped_windows=train.n_wrapped_windows,
        n_truncated=train.n_truncated + val.n_truncated,
        n_truncated_tokens=train.n_truncated_tokens + val.n_truncated_tokens,
        dropped=dict(work.dropped + train.dropped + val.dropped),
        val_reason=found.split.reason,
        notes=tuple(work.notes),
        n_replay=len(replay),
        n_replay_tokens=sum(row.length for row in replay),
        n_replay_supervised=sum(row.n_supervised for row in replay),
        epoch=describe_epoch(shares, train.rows),
        leaks={str(kind): n for kind, n in found.leakage.counts.items()},
    )


def _fingerprint(rows: Sequence[TokenizedRow]) -> str:
    digest = hashlib.sha256()
    for row in rows:
        tokens = row.tokens
        digest.update(tokens.size.to_bytes(8, "little") + tokens.tobytes() + row.loss_mask.tobytes())
    return digest.hexdigest()
