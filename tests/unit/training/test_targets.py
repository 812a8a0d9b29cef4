"""Which tensors carry LoRA."""

from __future__ import annotations

import pytest

from localft.errors import ConfigError
from localft.training.targets import KNOWN, select_targets

PARTS = [name for name in KNOWN if name != "output"]
TIED = {f"blk.{il}.{part}.weight": (64, 32) for il in range(4) for part in PARTS}
UNTIED = {**TIED, "output.weight": (100, 32)}


def test_all_is_the_seven_linears_of_every_layer() -> None:
    assert select_targets(UNTIED, "all", "all", 8) == tuple(TIED)


def test_names_groups_and_layers() -> None:
    assert select_targets(TIED, "attn_v,attn_q", "1-2", 8) == (
        "blk.1.attn_q.weight",
        "blk.1.attn_v.weight",
        "blk.2.attn_q.weight",
        "blk.2.attn_v.weight",
    )
    assert select_targets(TIED, "ffn", "last:1", 8) == tuple(f"blk.3.ffn_{x}.weight" for x in ("gate", "up", "down"))
    assert select_targets(TIED, "attn_k", "2-", 8) == ("blk.2.attn_k.weight", "blk.3.attn_k.weight")
    assert select_targets(UNTIED, "attn_k,output", "0", 8) == ("blk.0.attn_k.weight", "output.weight")


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
    assert select_targets(UNTIED, theirs, "all", 8) == select_targets(UNTIED, ours, "all", 8)


@pytest.mark.parametrize(
    ("targets", "layers", "rank", "message"),
    [
        ("atn_q", "all", 8, "does not know `atn_q`"),
        ("output", "all", 8, "tied to the token embeddings"),
        ("all", "4", 8, "does not fit this model of 4 layers"),
        ("all", "3-2", 8, "does not fit this model of 4 layers"),
        ("all", "last:5", 8, "does not fit this model of 4 layers"),
        ("all", "all", 33, "`--lora-rank 33` is larger than `blk.0.attn_q.weight` allows, a matrix of 64 × 32"),
    ],
)
def test_refusals(targets: str, layers: str, rank: int, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        select_targets(TIED, targets, layers, rank)
    assert message in error.value.message
