"""Stand-ins: whole models of a shape, that llama.cpp's types are chosen for as for a real one."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import gguf
import numpy as np
import pytest
from checkpoints import write_checkpoint
from golden import models

from localft.engine import AdamSpec, LoraSpec
from localft.engine.native import NativeEngine
from localft.model.card import Shape
from localft.model.conversion.hparams import read_hparams
from localft.model.conversion.outtype import find_outtype
from localft.model.conversion.stand_in import TILE, stand_in_weight, write_stand_in
from localft.model.convert import convert
from localft.model.gguf.check import check_gguf
from localft.model.gguf.header import read_header

SHAPE = Shape(n_vocab=300, n_embd=256, n_layer=4, n_head=4, n_head_kv=2, n_ff=512, tied=False)


@pytest.mark.parametrize(("outtype", "tied"), [("f32", True), ("bf16", False), ("q8_0", False), ("q4_k_m", True)])
def test_a_matrix_is_one_block_of_rows_repeated(outtype: str, tied: bool, tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    write_stand_in(replace(SHAPE, tied=tied), path, find_outtype(outtype))
    check_gguf(path)
    assert list(tmp_path.iterdir()) == [path]
    stored = {t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in gguf.GGUFReader(path).tensors}
    assert list(stored) == list(models.weight_names(models.Shape("", 256, 512, 4, 4, 2, 300, tied)))
    for name, data in stored.items():
        exact = stand_in_weight(name, data.shape)
        assert np.linalg.norm(data - exact) < (0 if outtype == "f32" else 0.1) * np.linalg.norm(exact) + 1e-9, name
        assert np.array_equal(data[TILE:], data[: data.shape[0] - TILE]) or data.ndim == 1, name
    assert np.std(stored["blk.1.ffn_down.weight"]) == pytest.approx(512**-0.5, rel=0.1)
    assert not np.array_equal(stored["blk.0.ffn_up.weight"], stored["blk.1.ffn_up.weight"])


# Blocks of 32 do not divide 528, and blocks of 256 neither.
@pytest.mark.parametrize(
    ("outtype", "n_ff"), [("f16", 512), ("q8_0", 528), ("q4_0", 512), ("q3_k_l", 528), ("q4_k_m", 512)]
)
def test_every_tensor_has_the_type_that_conversion_gives_it(outtype: str, n_ff: int, tmp_path: Path) -> None:
    checkpoint = write_checkpoint(
        tmp_path / "real", hidden_size=256, intermediate_size=n_ff, num_hidden_layers=8, num_key_value_heads=1
    )
    real = read_hparams(checkpoint)
    shape = Shape(**{spec.name: getattr(real, spec.name) for spec in fields(Shape)})
    write_stand_in(shape, tmp_path / "m.gguf", find_outtype(outtype))
    ours, theirs = read_header(tmp_path / "m.gguf"), read_header(convert(str(checkpoint), outtype).path)
    assert {i.name: (i.type, i.ne) for i in ours.tensors.values()} == {
        i.name: (i.type, i.ne) for i in theirs.tensors.values()
    }
    assert ours.values["general.file_type"] == theirs.values["general.file_type"]


@pytest.mark.parametrize("outtype", ["f32", "q8_0", "q4_k_m"])
def test_a_stand_in_is_trained_on(outtype: str, tmp_path: Path) -> None:
    write_stand_in(SHAPE, tmp_path / "m.gguf", find_outtype(outtype))
    engine = NativeEngine(tmp_path / "m.gguf", LoraSpec(("blk.0.attn_q.weight",)), AdamSpec(), n_threads=1)
    batch = models.batch(models.Shape("", 256, 512, 4, 4, 2, 300, False), (9, 5))
    loss_sum, n_supervised = engine.accumulate(batch)
    assert 0.5 * np.log(300) < loss_sum / n_supervised < 2 * np.log(300)
