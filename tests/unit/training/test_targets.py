"""Which tensors carry LoRA."""

from __future__ import annotations

import pytest

from localft.errors import ConfigError
from localft.training.targets import KNOWN, idle_share, rank_note, select_targets

PARTS = [name for name in KNOWN if name != "output"]
TIED = {f"blk.{il}.{part}.weight": (64, 32) for il in range(4) for part in PARTS}
UNTIED = {**TIED, "output.weight": (100, 32)}


def test_all_is_the_seven_linears_of_every_layer() -> None:
    assert select_targets(UNTIED, "all", "all") == tuple(TIED)


def test_names_groups_and_layers() -> None:
    assert select_targets(TIED, "attn_v,attn_q", "1-2") == (
        "blk.1.attn_q.weight",
        "blk.1.attn_v.weight",
        "blk.2.attn_q.weight",
        "blk.2.attn_v.weight",
    )
    assert select_targets(TIED, "ffn", "last:1") == tuple(f"blk.3.ffn_{x}.weight" for x in ("gate", "up", "down"))
    assert select_targets(TIED, "attn_k", "2-") == ("blk.2.attn_k.weight", "blk.3.attn_k.weight")
    assert select_targets(UNTIED, "attn_k,output", "0") == ("blk.0.attn_k.weight", "output.weight")


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("q_proj,v_proj", "attn_q,attn_v"),
        ("q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj", "all"),
        ("all-linear", "all"),
        ("self_attn.q_proj,mlp.down_proj", "attn_q,ffn_down"),
        ("wq,wk,wv,wo", "attn"),
        ("w1,w2,w3", "ffn"),
        ("Q_proj,ATTN_K", "attn_q,attn_k"),
        ("attn_q,k_proj,lm_head", "attn_q,attn_k,output"),
    ],
)
def test_names_of_other_trainers(theirs: str, ours: str) -> None:
    assert select_targets(UNTIED, theirs, "all") == select_targets(UNTIED, ours, "all")


@pytest.mark.parametrize(
    ("targets", "layers", "message"),
    [
        ("atn_q", "all", "does not know `atn_q`"),
        ("output", "all", "tied to the token embeddings"),
        ("all", "4", "does not fit this model of 4 layers"),
        ("all", "3-2", "does not fit this model of 4 layers"),
        ("all", "last:5", "does not fit this model of 4 layers"),
    ],
)
def test_refusals(targets: str, layers: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        select_targets(TIED, targets, layers)
    assert message in error.value.message


def test_a_rank_above_a_side_is_taken_and_what_it_costs_is_said() -> None:
    """It was refused, though PEFT and llama.cpp take it."""
    shapes = {"blk.0.attn_k.weight": (1024, 4096), "blk.0.attn_q.weight": (4096, 4096)}
    assert rank_note(shapes, 1024) is None
    assert rank_note(shapes, 2048) == (
        "rank 2048 is more than 1 of 2 matrices can have (`blk.0.attn_k.weight` is 1024 × 4096): "
        "19% of the adapter's parameters take memory and time, and add nothing"
    )
    assert idle_share(shapes, 2048) == 1024 * 5120 / (2048 * (5120 + 8192))
    assert idle_share({"a": (8, 8)}, 16) == 0.5
