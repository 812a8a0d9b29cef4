"""What the screen says: rows, units, the header and the end."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from typing import Any

import pytest

from localft import hardware
from localft.events import Answers, Estimate, Interrupted, Notice, Progress, RunEnd, RunStart, Step, Validation
from localft.screen.metrics_table import COLUMNS, WIDTHS, MetricsTable, aligned, fitting
from localft.screen.plain import JsonScreen, PlainScreen
from localft.screen.run_report import end_lines, fact_lines, setting_text, shown_settings
from localft.screen.terminal import TerminalScreen
from localft.settings.resolve import resolve
from localft.units import about, count_and_verb, duration, file_size, rate, size


def start(total: int = 60, val_every: int = 20, **settings: Any) -> RunStart:
    config = resolve({"model": "demo", "data": "d.jsonl", **settings})
    config = config.with_values(
        "hardware", {"threads": 2, "device": "CPU", "memory": 2**30}, {"threads": "2 physical cores"}
    )
    facts = {
        **{"base": "/m.gguf", "base_name": "demo", "architecture": "llama", "type": "q8_0", "device": "CPU"},
        **{
            "kernels": "avx2",
            "arithmetic": "f32",
            "n_threads": 2,
            "n_recompute": 3,
            "memory_estimate": 2**20,
            "n_target": 14,
        },
        **{"n_trainable": 1234, "val_every": val_every, "warmup_steps": 3, "unused": ["val_split"]},
    }
    return RunStart("runs/demo-1", 0, total, 20, config.to_dict(), facts)


def step(n: int, loss: float = 2.0, n_supervised: int = 10, seconds: float = 0.5, n_tok: int = 50) -> Step:
    return Step(n, n / 20, loss, None, 1e-4, 0.5, n_tok / seconds, n_supervised, 2**28, n_tok, seconds, {"GPU0": 2**28})


def validation(n: int, loss: float = 1.5, best: bool = False) -> Validation:
    return Validation(n, n / 20, None, loss, None, None, 10.0, 30, 2**28, 40, 4.0, {}, best)


def rows_of(reporter: MetricsTable, *events: Any) -> list[tuple[int, float | None, float | None]]:
    return [(row.step, row.loss, row.val_loss) for event in events for row in reporter.rows(event)]


def test_the_first_row_is_the_first_step_s() -> None:
    reporter = MetricsTable()
    reporter.start(start())
    assert rows_of(reporter, validation(0), step(1, 3.0)) == [(0, None, 1.5), (1, 3.0, None)]


def test_rows_come_in_intervals_and_carry_the_mean_since_the_last() -> None:
    reporter = MetricsTable()
    reporter.start(start(total=6, val_every=0, report_every=3))
    events = [step(1, 9.0), step(2, 1.0, 30), step(3, 4.0, 10), step(4), step(5), step(6)]
    assert rows_of(reporter, *events) == [(1, 9.0, None), (3, 1.75, None), (6, 2.0, None)]


def test_a_validated_step_shares_its_row() -> None:
    reporter = MetricsTable()
    reporter.start(start(total=4, val_every=2, report_every=4))
    events = [step(1), step(2), validation(2), step(3), step(4), validation(4)]
    assert rows_of(reporter, *events) == [(1, 2.0, None), (2, 2.0, 1.5), (4, 2.0, 1.5)]


def test_speed_counts_the_tokens_of_the_steps_alone() -> None:
    reporter = MetricsTable()
    reporter.start(start(total=10, val_every=2, report_every=2))
    list(reporter.rows(step(1)))
    events = (
        step(2, seconds=1.0, n_tok=60),
        validation(2),
        step(3, seconds=2.0, n_tok=30),
        step(4, seconds=1.0, n_tok=90),
        validation(4),
    )
    speeds = [row.tok_per_sec for event in events for row in reporter.rows(event)]
    assert speeds == [60.0, 40.0]


def test_the_time_left_counts_validations() -> None:
    reporter = MetricsTable()
    reporter.start(start(total=10, val_every=4))
    for event in (validation(0), step(1, seconds=2.0), step(2, seconds=2.0)):
        list(reporter.rows(event))
    assert reporter.eta(2) == 8 * 2.0 + 3 * 4.0
    assert reporter.eta(4) == 6 * 2.0 + 2 * 4.0
    assert reporter.eta(10) == 0


def test_units() -> None:
    assert [duration(s) for s in (0, 59.6, 61, 3600, 36061)] == ["0:00", "1:00", "1:01", "1:00:00", "10:01:01"]
    assert [about(s) for s in (0.44, 9.94, 9.96, 59.4, 59.6, 3600)] == [
        "0.4 s",
        "9.9 s",
        "10 s",
        "59 s",
        "1:00",
        "1:00:00",
    ]
    assert [size(n) for n in (0, 2**20, 2**30, 3 * 2**29)] == ["0 MiB", "1 MiB", "1.00 GiB", "1.50 GiB"]
    assert [file_size(n) for n in (0, 1023, 3000, 2**20 - 1, 2**20, 3 * 2**30)] == [
        *("0 bytes", "1023 bytes", "3 KiB", "1024 KiB", "1.0 MiB", "3,072.0 MiB")
    ]
    assert [count_and_verb(n, "row", "is", "are") for n in (0, 1, 2000)] == ["0 rows are", "1 row is", "2,000 rows are"]
    assert [rate(n) for n in (0.123456, 9.87, 99.4, 1234.5)] == ["0.123", "9.87", "99.4", "1,234"]
    assert [setting_text(*pair) for pair in (("warmup", 0.05), ("warmup", 30), ("packing", True), ("lr", 2e-4))] == [
        *("5 %", "30", "yes", "0.0002")
    ]


def test_columns_line_up() -> None:
    assert len(aligned(COLUMNS)) == sum(WIDTHS) <= 80
    reporter = MetricsTable()
    reporter.start(start())
    (row,) = reporter.rows(step(1))
    assert len(aligned(row.cells())) == sum(WIDTHS)
    assert row.memory == 2**29


def test_every_setting_in_force_is_shown_with_its_source() -> None:
    shown = {name: (value, source) for name, value, source in shown_settings(start(lr=1e-3))}
    assert shown["lr"] == ("0.001", "flag")
    assert shown["grad_clip"] == ("1", "default")
    assert shown["threads"] == ("2", "hardware")
    assert "val_split" not in shown
    assert "checkpoint_in" not in shown
    assert "packing" not in shown


def test_the_end_says_when_nothing_was_gained() -> None:
    def end(before: float | None, after: float | None, best: int = 9) -> str:
        return "\n".join(line for _, line in end_lines(RunEnd("r", 9, "a.gguf", best, before, after, 10.0, 100, 2**20)))

    assert "2.0000 → 1.0000 · perplexity 7.389 → 2.718" in end(2.0, 1.0)
    assert "no better than the base" in end(1.0, 1.0)
    assert "best at step 3 of 9" in end(2.0, 1.0, 3)
    assert "perplexity" not in end(None, None)


EVENTS = [
    Notice("mind the gap", "warning"),
    start(total=2, val_every=2),
    Progress("validation", 1, 2),
    validation(0, 3.0),
    step(1),
    step(2),
    validation(2, 1.5, best=True),
    Answers("Who?", "you", "nobody", "me"),
    RunEnd("runs/demo-1", 2, "runs/demo-1/adapter-best.gguf", 2, 3.0, 1.5, 9.0, 100, 2**28),
    Interrupted(1, "c.gguf", "localft finetune --resume runs/demo-1"),
]


def test_the_estimate_is_in_the_header() -> None:
    def line(event: RunStart) -> str | None:
        return dict(fact_lines(event)).get("estimate")

    guess = Estimate(seconds=96.4, epoch_seconds=31.6, peak_mem_bytes=98 * 2**20)
    whole = replace(start(), estimate=guess)
    assert line(whole) == "about 32 s per epoch, 1:36 in all with validation · peak memory about 98 MiB"
    resumed = replace(start(val_every=0), step=30, estimate=guess)
    assert line(resumed) == "about 32 s per epoch, 1:36 for what is left · peak memory about 98 MiB"
    one_epoch = replace(start(total=20, val_every=0), estimate=replace(guess, seconds=4.56))
    assert line(one_epoch) == "about 4.6 s in all · peak memory about 98 MiB"
    assert line(start()) is None


def test_the_end_compares_with_the_estimate() -> None:
    guess = Estimate(seconds=11.2, epoch_seconds=1.0, peak_mem_bytes=3 * 2**20)
    end = RunEnd("r", 9, "a.gguf", 9, None, None, 10.0, 100, 2**20, guess)
    found = dict(end_lines(end))
    assert found["time"] == "0:10, estimated 11 s · 100 tokens trained on · 10 tok/s with validation"
    assert found["memory"] == "1 MiB at its peak in training, estimated 3 MiB"
    assert "estimated" not in str(end_lines(replace(end, estimate=None)))


def test_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    screen = PlainScreen()
    for event in EVENTS:
        screen.show(event)
    screen.close()
    text = capsys.readouterr().err
    assert "\x1b" not in text
    assert "warning: mind the gap\n" in text
    assert "CPU · 2 threads (2 physical cores) · kernels avx2, f32" in text
    assert "1 MiB for activations, 3 layers recomputed" in text
    assert "  lora_rank = 8 (default)\n" in text
    lines = text.splitlines()
    at = lines.index(aligned(COLUMNS))
    assert [line.split()[0] for line in lines[at + 1 : at + 4]] == ["0", "1", "2"]
    assert "go on with: localft finetune --resume runs/demo-1" in text


def test_json_lines_leave_progress_out(capsys: pytest.CaptureFixture[str]) -> None:
    for event in EVENTS:
        JsonScreen().show(event)
    assert [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()] == [
        *("notice", "start", "validation", "step", "step", "validation", "answers", "end", "interrupted")
    ]


@pytest.mark.parametrize(
    ("width", "names"),
    [
        (30, "step,loss,val loss"),
        (40, "step,loss,val loss,ETA"),
        (60, "step,loss,val loss,tok/s,ETA,memory"),
        (70, "step,loss,val loss,lr,tok/s,ETA,memory"),
        (80, ",".join(COLUMNS)),
    ],
)
def test_a_narrow_terminal_has_fewer_columns(width: int, names: str) -> None:
    shown = fitting(width)
    assert ",".join(COLUMNS[i] for i in shown) == names
    assert len(aligned(COLUMNS, shown)) + len("  best") < max(width, 32)
    assert len(aligned(COLUMNS)) == sum(WIDTHS)


@pytest.mark.parametrize("width", [60, 70, 80])
def test_no_table_is_wrapped_and_the_best_is_said_in_words(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    monkeypatch.setenv("NO_COLOR", "1")
    out = io.StringIO()
    screen = TerminalScreen(Console(file=out, force_terminal=True, width=width))
    screen.start(start(total=1000, val_every=100, train_on_prompt=True, out="runs/" + "long-name/" * 9))
    screen.stop_bar()
    screen.metrics(replace(step(900), loss=12.5, grad_norm=1.234e5, peak_mem_bytes=123 * 2**30, n_tok=10**5))
    screen.metrics(replace(validation(900, 10.5, best=True), elapsed_s=9999.0))
    lines = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in out.getvalue().splitlines()]
    (row,) = [line for line in lines if line.lstrip().startswith("900")]
    assert row.endswith("  best")
    assert "10.5000" in row
    assert max(map(len, lines)) <= width
    settings = [line for line in lines if line.rstrip("│ ").endswith(("flag", "default", "hardware"))]
    assert len(settings) >= 8 if width < 90 else settings
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", out.getvalue())


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_terminal_takes_every_event_at_every_width(width: int) -> None:
    from rich.console import Console

    out = io.StringIO()
    screen = TerminalScreen(Console(file=out, force_terminal=True, width=width))
    screen.report("preparing the base model", 1, 2)
    for event in EVENTS:
        screen.show(event)
    screen.close()
    assert "with the adapter" in out.getvalue()


class Device:
    def __init__(self, name: str, kind: str, memory_free: int) -> None:
        self.name, self.kind, self.memory_free = name, kind, memory_free


def test_devices_are_chosen_with_a_reason() -> None:
    cpu, small, large = Device("CPU", "cpu", 9), Device("GPU0", "gpu", 100), Device("GPU1", "gpu", 200)
    assert hardware.choose_device([cpu]) == ("CPU", "no GPU is offered")
    assert hardware.choose_device([cpu, small]) == ("GPU0", "the only GPU")
    assert hardware.choose_device([small, large, cpu]) == ("GPU1", "of 2 GPUs the one with most free memory")
    assert hardware.choose_device([small, cpu], 90)[0] == "CPU"
    n, reason = hardware.choose_threads()
    assert n >= 1
    assert reason
    assert hardware.choose_memory(large) == (160, "80 % of the 0.0 GiB that are free on GPU1")
    assert 0 < hardware.choose_memory(cpu)[0] < hardware.memory_total()
