"""What the benchmarks' tables rest on: sides as they are written, turns, ratios, the rows of a job, and the table."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
sys.path.append(str(BENCHMARKS))

import curves  # noqa: E402
import gguf  # noqa: E402
import model  # noqa: E402
import rounds  # noqa: E402
import table  # noqa: E402
from child import Side, SideError  # noqa: E402
from golden import models  # noqa: E402
from job import Job  # noqa: E402
from rows import DEMO, write_rows  # noqa: E402

from localft.model.card import Shape  # noqa: E402
from localft.model.conversion.hparams import read_hparams  # noqa: E402
from localft.model.conversion.outtype import find_outtype  # noqa: E402
from localft.model.conversion.stand_in import stand_in_hparams, write_stand_in  # noqa: E402


class FakeChild:
    """Takes `seconds` for step after step; raises at step `fails_at`."""

    def __init__(self, name: str, seconds: list[float], log: list[str], fails_at: int | None = None) -> None:
        self.name, self.seconds, self.log, self.fails_at = name, seconds, log, fails_at

    def ask(self, do: str, **details: Any) -> dict[str, Any]:
        self.log.append(f"{self.name}{details.get('index', do)}")
        if do != "step":
            return {"peak_mem_bytes": 2**30} if do == "report" else {}
        if details["index"] == self.fails_at:
            raise SideError("no memory")
        step = {"seconds": self.seconds[details["index"]], "loss": 1.0, "n_tok": 100, "n_supervised": 50}
        return {**step, "n_padded": 120, "idle_cpu_seconds": 0.0}

    def close(self) -> None:
        self.log.append(f"{self.name}closed")


def test_a_side_is_read_as_it_is_written() -> None:
    assert Side.parse("native:q8_0") == Side("native", "q8_0", (), 0)
    assert Side.parse("native:q8_0+f32+recompute:2") == Side("native", "q8_0", ("f32", "recompute"), 2)
    assert Side.parse("peft:f32+ckpt") == Side("peft", "f32", ("ckpt",), 4)
    assert Side.parse("peft:f32", peft_rows=8).rows_per_pass == 8
    assert str(Side.parse("peft:f32+compile:1")) == "peft:f32+compile:1"
    assert str(Side.parse("native:bf16")) == "native:bf16:auto"


@pytest.mark.parametrize("text", ["native", "llama:f32", "peft:q8_0", "native:f32+ckpt", "peft:f32:two", "native::1"])
def test_what_is_no_side_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=text.split("+")[0]):
        Side.parse(text)


def test_sides_take_turns_and_the_order_turns_round() -> None:
    log: list[str] = []
    children = [FakeChild(name, [1.0, 1.0, 1.0], log) for name in "ab"]
    rounds.run(children, n_warmup=2, n_round=3)
    warmup = ["aload", "a-2", "a-1", "bload", "b-2", "b-1"]
    assert log == [*warmup, "a0", "b0", "b1", "a1", "a2", "b2", "areport", "aclosed", "breport", "bclosed"]


def test_a_side_that_fails_leaves_the_others_alone() -> None:
    log: list[str] = []
    fine, failing = FakeChild("a", [1.0, 2.0], log), FakeChild("b", [1.0, 1.0], log, fails_at=1)
    found = rounds.run([failing, fine], n_warmup=0, n_round=2)
    assert found[0]["failed"] == "no memory"
    assert found[1]["seconds"] == [1.0, 2.0]
    assert log == ["bload", "aload", "b0", "a0", "a1", "b1", "bclosed", "areport", "aclosed"]


def test_ratios_are_of_rounds_and_not_of_medians() -> None:
    """The machine slows to half after the second round: each round still compares like with like."""
    ours = {"seconds": [1.0, 1.0, 2.0, 2.0], "n_tok": [10, 10, 10, 10]}
    theirs = {"seconds": [2.0, 2.2, 4.0, 4.0]}
    assert rounds.speedup(ours, theirs) == {"median": 2.0, "min": 2.0, "max": 2.2}
    assert rounds.rates(ours) == [10.0, 10.0, 5.0, 5.0]


def _side(engine: str, mode: str, seconds: list[float], **more: Any) -> dict[str, Any]:
    step = {"seconds": seconds, "n_tok": [100] * len(seconds), "peak_mem_bytes": 2**30}
    rate = rounds.spread([100 / s for s in seconds])
    return {"engine": engine, "mode": mode, "options": [], "rows_per_pass": 4, **step, "tok_per_sec": rate, **more}


def _result(sides: list[dict[str, Any]], **data: Any) -> dict[str, Any]:
    job = {"shape": "tiny-4m", "n_row": 4, "n_ctx": 25, "rank": 8}
    return {"job": job, "data": data, "cpu": "a CPU", "threads": 1, "sides": sides}


def test_the_table_compares_with_peft_f32_and_with_its_best() -> None:
    failed = {"engine": "peft", "mode": "f32", "options": ["compile"], "rows_per_pass": 4, "failed": "no compiler"}
    slow = _side("peft", "f32", [5.0, 5.0], options=["ckpt"])
    sides = [_side("native", "q8_0", [1.0, 2.0]), _side("peft", "f32", [4.0, 4.0]), slow, failed]
    lines = list(table.comparison(_result([*sides, _side("peft", "bf16", [2.0, 2.0])])))
    assert lines[0] == "tiny-4m, 4 sequences × 25 tokens per step, LoRA rank 8, a CPU, 1 thread, 2 rounds:"
    assert [line.split("|")[1].strip() for line in lines[4:]] == [
        "PyTorch + PEFT, f32, checkpointing",
        "PyTorch + PEFT, f32",
        "PyTorch + PEFT, weights in bf16",
        "localft, q8_0 base",
        "PyTorch + PEFT, f32, compiled",
    ]
    assert lines[7] == "| localft, q8_0 base | 4 | 75 | 3.00 (2.00–4.00) | 1.50 (1.00–2.00) | 1.0 GiB |"
    assert lines[5].count("| 1 |") == 1
    assert lines[8].endswith("| failed: no compiler |")


def test_an_epoch_is_measured_or_estimated_by_tokens() -> None:
    side = _side("native", "q8_0", [30.0, 30.0])
    assert table.epoch_time(side, {"n_step": 2, "n_tok": 200}) == "1.0 min"
    assert table.epoch_time(side, {"n_step": 20, "n_tok": 1600}) == "≈ 8.0 min"
    data = {"file": "a/b.jsonl", "n_row": 9, "tok_per_row": {"mean": 98.6}, "n_step": 2, "n_tok": 200}
    lines = list(table.comparison(_result([side], **data)))
    assert "9 rows of a/b.jsonl (mean 99 tokens), 4 per step" in lines[0]
    assert lines[-1] == "| localft, q8_0 base | 4 | 3.3 | – | – | 1.0 GiB | 1.0 min |"


def test_the_breakdown_is_in_percent_of_all_that_was_spent() -> None:
    parts = {"seconds": {"product": 6.0, "attention": 1.0, "optimizer": 2.0, "rest": 1.0}}
    lines = list(table.breakdown(_result([_side("native", "q8_0", [9.0], breakdown=parts)])))
    assert lines[2] == "| localft, q8_0 base | 60.0 | 10.0 | 0.0 | 0.0 | 0.0 | 20.0 | 10.0 | 10.00 (9.00 at once) |"
    assert list(table.breakdown(_result([_side("peft", "f32", [9.0])]))) == []


def test_every_grouping_of_a_step_holds_the_same_rows() -> None:
    job = Job("tiny-4m", n_row=3, n_ctx=16)
    one, three = job.step(0, 1), job.step(0, 3)
    assert [batch.n_tok for batch in one] == [16, 16, 16]
    assert [batch.n_tok for batch in three] == [48]
    assert np.array_equal(np.concatenate([batch.tokens for batch in one]), three[0].tokens)
    assert sum(batch.n_supervised for batch in one) == three[0].n_supervised == 48
    assert not np.array_equal(job.step(1, 3)[0].tokens, three[0].tokens)
    assert np.array_equal(job.step(1, 3)[0].tokens, job.step(1, 3)[0].tokens)


def test_rows_of_a_file_are_those_that_finetune_would_take(tmp_path: Path) -> None:
    data = tmp_path / "rows.jsonl"
    texts = [f"{'The cow eats grass. ' * (1 + i % 4)}{i}" for i in range(10)]
    data.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    path, about = write_rows(data, DEMO, 500, 512, tmp_path)
    assert (about["file"], about["n_row"]) == (f"{tmp_path.name}/rows.jsonl", 10)
    job = Job("tiny-4m", n_row=4, n_ctx=512, rows=str(path))
    assert job.n_step == 3
    steps = [[job.step(index, n) for index in range(3)] for n in (0, 1, 4)]
    assert [sum(len(b.row_starts) - 1 for b in step) for step in steps[0]] == [4, 4, 2]
    counts = [[sum(b.n_tok for b in step) for step in grouping] for grouping in steps]
    assert counts[0] == counts[1] == counts[2]
    assert sum(counts[0]) == about["n_tok"]
    assert sum(b.n_supervised for step in steps[1] for b in step) == about["n_supervised"]
    assert max(int(b.tokens.max()) for step in steps[0] for b in step) < 500
    lengths = [b.n_tok for b in steps[1][0]]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] > lengths[-1]
    assert np.array_equal(job.step(-1, 0)[0].tokens, job.step(2, 0)[0].tokens)


def test_a_curve_has_each_point_once_and_only_ranks_that_fit() -> None:
    every = [point for curve in curves.CURVES for point in curves.points(curve, "tinymistral-248m", 2)]
    assert len({point.key for point in every}) == len(every)
    ranks = [(point.series, point.x) for point in every if point.curve == "rank"]
    assert max(x for name, x in ranks if name == "tinymistral-248m") == 256
    assert max(x for name, x in ranks if name == "llama-110m") == 512
    sizes = [(point.series, point.shape, point.n_ctx) for point in every if point.curve == "size"]
    assert ("q4_k_m", "llama-7b", 256) in sizes
    assert ("q8_0", "llama-7b") not in [size[:2] for size in sizes]
    assert all(Side.parse(point.side).engine == "native" for point in every)


def test_points_are_compared_at_the_reference_s_speed() -> None:
    """The second point was measured while the machine ran at half its speed."""
    first = {"rates": [30.0, 30.0], "reference_rates": [100.0, 100.0, 100.0]}
    second = {"rates": [15.0, 15.0], "reference_rates": [50.0, 50.0]}
    first["rates"].append(30.0)
    found = curves.comparable({"a": first, "b": second, "c": {"failed": "no memory"}})
    assert [point["tok_per_sec"] for point in found] == [30.0, 30.0]


def test_the_checkpoint_holds_the_same_weights(tmp_path: Path) -> None:
    """Names and row order by the tables of the golden models, sizes and constants as conversion reads them."""
    from safetensors.numpy import load_file

    shape = Shape(300, 256, 2, 4, 2, 512, tied=False)
    golden = models.Shape("", 256, 512, 2, 4, 2, 300, tied=False)
    model.write_checkpoint(shape, tmp_path / "checkpoint")
    write_stand_in(shape, tmp_path / "model.gguf", find_outtype("f32"))
    folder = tmp_path / "checkpoint"
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    files = {name: load_file(folder / name) for name in set(index["weight_map"].values())}
    stored = {t.name: t.data for t in gguf.GGUFReader(tmp_path / "model.gguf").tensors}
    assert list(stored) == list(models.weight_names(golden))
    assert len(stored) == len(index["weight_map"])
    for name, data in stored.items():
        theirs = files[index["weight_map"][models.hf_name(name)]][models.hf_name(name)]
        assert np.array_equal(models.in_gguf_order(golden, name, theirs), data.reshape(theirs.shape)), name
    assert read_hparams(folder) == stand_in_hparams(shape)


def test_a_shape_s_lora_is_on_seven_matrices_of_every_layer() -> None:
    shape = models.Shape("", 256, 512, 4, 8, 4, 4096, tied=True)
    assert model.matrices(model.SHAPES["tiny-4m"]) == shape.matrices()
    assert model.n_weight(model.SHAPES["llama-7b"]) == 6_738_415_616
