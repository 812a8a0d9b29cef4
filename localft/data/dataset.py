"""Everything between the user's files and the first batch, in one call."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from localft.data.collect import Collector
from localft.data.fit import Fit, choose_n_ctx, fit_units, percentile99
from localft.data.mix import Share, describe_epoch, mix
from localft.data.prompts import ValPrompt, val_prompts
from localft.data.row import Columns
from localft.data.sources import Sources, find_sources
from localft.data.split import Split, shuffled, split_rows
from localft.data.summary import DataSummary, count
from localft.data.template import TemplateInfo, describe
from localft.data.tokenize import TokenizedRow, Unit
from localft.data.wording import Wording
from localft.errors import ConfigError, DatasetError
from localft.tokenizer import Tokenizer

Overlength = Literal["drop", "truncate", "refuse"]
_LEFT_OUT = "of a document that validates, and no part of the validation"


@dataclass(frozen=True)
class DataSettings:
    """What a run says about its data; field names are the flags' names with underscores.

    Attributes:
        ctx: positions per sequence; None: from the data.
        overlength: what happens to answer rows that are longer.
        train_on_prompt: supervise prompts too.
        val_data, val_split, val_samples, no_val, all_data: see docs/data.md.
        prompt_column, answer_column: the user's names for the keys of questions and answers.
        replay: text to mix in, with its share of the supervised tokens.
        sample_start: text that stands before each document of a text file.
        packing: several rows share a sequence.
        seed: of the split and the order; 0 is a seed.
        template, raw: how rows are worded, in place of what fits the model.
        n_ctx_train: context that the model was trained on; 0 where it is not known.
        date: ISO date that templates see as today; a resumed run passes its recorded `TemplateInfo.date`.
    """

    ctx: int | None = None
    overlength: Overlength = "drop"
    train_on_prompt: bool = False
    val_data: str | Path | None = None
    val_split: float = 0.1
    val_samples: int | None = None
    no_val: bool = False
    all_data: bool = False
    prompt_column: str | None = None
    answer_column: str | None = None
    replay: str | None = None
    sample_start: str | None = None
    packing: bool = False
    seed: int = 42
    template: str | None = None
    raw: bool = False
    n_ctx_train: int = 0
    date: str | None = None


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


def prepare(data: Sequence[str | Path] | Path | Sources, tokenizer: Tokenizer, settings: DataSettings) -> Dataset:
    """Read, word, tokenize, split and fit the rows of a run.

    Args:
        data: files or folders, see docs/data.md; or what `find_sources` found.
        tokenizer: of the base model.
        settings: see `DataSettings`.

    Raises:
        DatasetError: a file or a row cannot be used, or nothing would be supervised.
        ConfigError: settings that cannot hold together.
        ModelError: the model's chat template is no template.
    """
    _check(settings)
    if not isinstance(data, Sources):
        data = find_sources([data] if isinstance(data, Path) else data, settings.val_data, settings.replay)
    wording = Wording(tokenizer, settings.template, settings.raw, settings.date, settings.train_on_prompt)
    columns = Columns(settings.prompt_column, settings.answer_column)
    work = Collector(wording, settings.sample_start, columns, notes=list(data.notes))
    parts = [work.part(part) for part in data.parts]
    given = [] if settings.no_val else work.read(data.val)
    if settings.all_data:
        parts, given = [*parts, given], []
    replay = work.replay(data.replay) if data.replay else []
    work.check_columns()
    units = [unit for part in parts for unit in part]
    n_ctx, reason = choose_n_ctx(units, settings.ctx, settings.n_ctx_train)
    split = _split(units, given, data.val, n_ctx, settings)
    work.dropped[_LEFT_OUT] += len(split.left_out)
    train, shares = mix(data, parts, replay, split, n_ctx, settings.overlength)
    val = fit_units(split.val, n_ctx, settings.overlength)
    if not train.rows:
        raise DatasetError(
            "nothing in the data is supervised: no row is left to train on", _why_nothing(train, work, n_ctx, settings)
        )
    info = wording.main(work.kinds)
    work.notes += [*wording.notes(work.kinds), *_leaks(train.rows, val.rows)]
    lengths = [unit.length for unit in [*units, *given]]
    return Dataset(
        train=tuple(train.rows),
        val=tuple(val.rows),
        n_ctx=n_ctx,
        n_ctx_reason=reason,
        template=info,
        summary=_summary(work, train, val, shares, lengths, n_ctx, reason, info, split.reason),
        val_prompts=val_prompts(split.val, tokenizer, n_ctx),
        fingerprint=_fingerprint([*train.rows, *val.rows]),
        shares=shares,
    )


def _check(settings: DataSettings) -> None:
    if settings.all_data and settings.no_val:
        raise ConfigError("`--all-data` and `--no-val` contradict each other", "leave one of them out")
    if not 0 <= settings.val_split < 1:
        raise ConfigError(f"--val-split `{settings.val_split}` is not a share", "give a number from 0 to below 1")
    if settings.val_samples is not None and settings.val_samples < 0:
        raise ConfigError(f"--val-samples `{settings.val_samples}` is below zero", "give 0 or more")
    if settings.ctx is not None and settings.ctx < 2:
        raise ConfigError(
            f"--ctx `{settings.ctx}` is too short to learn from", "leave it out: it is chosen from the data"
        )
    if settings.overlength not in ("drop", "truncate", "refuse"):
        raise ConfigError(f"--overlength `{settings.overlength}` is unknown", "give drop, truncate or refuse")


def _split(units: list[Unit], given: list[Unit], val: list[Path], n_ctx: int, settings: DataSettings) -> Split:
    if settings.all_data:
        too = f", those of {', '.join(f'`{path.name}`' for path in val)} too" if val else ""
        return Split(tuple(units), (), f"none: every row is trained on{too} (--all-data)")
    if settings.no_val:
        return Split(tuple(units), (), "none (--no-val)")
    if not val:
        samples, share = settings.val_samples, settings.val_split
        return split_rows(units, n_ctx, val_split=share, val_samples=samples, seed=settings.seed)
    if settings.val_samples is None or settings.val_samples >= len(given):
        return Split(tuple(units), tuple(given), f"all {len(given):,} rows of the validation file")
    chosen = sorted(shuffled(len(given), settings.seed, 1)[: settings.val_samples])
    reason = f"{len(chosen):,} of {len(given):,} rows of the validation file, chosen with seed {settings.seed}"
    return Split(tuple(units), tuple(given[i] for i in chosen), reason)


def _leaks(train: Sequence[TokenizedRow], val: Sequence[TokenizedRow]) -> Iterator[str]:
    """Say how many validation rows are trained on too: their loss tells nothing of new ones."""
    seen = {row.tokens.tobytes() for row in train}
    n_seen = sum(row.tokens.tobytes() in seen for row in val)
    if n_seen:
        are = "is" if n_seen == 1 else "are"
        yield f"{n_seen:,} of {count(len(val), 'validation row')} {are} in the training rows too, word for word"


def _why_nothing(train: Fit, work: Collector, n_ctx: int, settings: DataSettings) -> str:
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
    train: Fit,
    val: Fit,
    shares: tuple[Share, ...],
    lengths: list[int],
    n_ctx: int,
    reason: str,
    info: TemplateInfo,
    val_reason: str,
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
        n_ctx=n_ctx,
        n_ctx_reason=reason,
        n_cut=len({id(text) for text in (*train.cut_texts, *val.cut_texts)}),
        n_windows=train.n_windows + val.n_windows,
        n_truncated=train.n_truncated + val.n_truncated,
        n_truncated_tokens=train.n_truncated_tokens + val.n_truncated_tokens,
        dropped=dict(work.dropped + train.dropped + val.dropped),
        val_reason=val_reason,
        notes=tuple(work.notes),
        n_replay=len(replay),
        n_replay_tokens=sum(row.length for row in replay),
        n_replay_supervised=sum(row.n_supervised for row in replay),
        epoch=describe_epoch(shares, train.rows),
    )


def _fingerprint(rows: Sequence[TokenizedRow]) -> str:
    digest = hashlib.sha256()
    for row in rows:
        digest.update(row.tokens.size.to_bytes(8, "little") + row.tokens.tobytes() + row.loss_mask.tobytes())
    return digest.hexdigest()
