"""RoPE in a converted file: the order of Q's and K's rows, the base, and Llama 3's scaling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoints import random_tensors, write_checkpoint
from converted import config_of, tensors_of, types_of
from numpy.typing import NDArray

from localft.errors import ModelError
from localft.model.conversion.hparams import read_hparams
from localft.model.conversion.rope import RopeScaling, rope_factors
from localft.model.convert import convert
from localft.model.gguf.header import read_header
from localft.model.qk_order import to_gguf


def test_rows_of_q_and_k_become_pairs_of_neighbours(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "tiny")
    source = random_tensors(config_of(checkpoint))
    ours = tensors_of(convert(str(checkpoint), "f32").path)
    for name, hf, n_head in (("attn_q", "q_proj", 4), ("attn_k", "k_proj", 2)):
        theirs = source[f"model.layers.0.self_attn.{hf}.weight"].reshape(n_head, 16, 64)
        mine = ours[f"blk.0.{name}.weight"].reshape(n_head, 16, 64)
        for i in range(8):
            np.testing.assert_array_equal(mine[:, 2 * i], theirs[:, i])
            np.testing.assert_array_equal(mine[:, 2 * i + 1], theirs[:, i + 8])


def test_permuted_rope_is_the_same_attention() -> None:
    # Score of two positions: rotate-half on the original rows equals pairwise rotation on the permuted ones.
    rng = np.random.default_rng(0)
    head, n = 8, 5
    q, k, x = (rng.standard_normal((head, n)).astype(np.float32) for _ in range(3))
    angles = 3.0 / 10000.0 ** (np.arange(0, head, 2) / head)

    def rotate_half(v: NDArray[Any]) -> NDArray[Any]:
        a, b = v[: head // 2], v[head // 2 :]
        return np.concatenate([a * np.cos(angles) - b * np.sin(angles), b * np.cos(angles) + a * np.sin(angles)])

    def rotate_pairs(v: NDArray[Any]) -> NDArray[Any]:
        a, b = v[0::2], v[1::2]
        return np.stack([a * np.cos(angles) - b * np.sin(angles), b * np.cos(angles) + a * np.sin(angles)], 1).ravel()

    u, w = x[0], x[1]
    theirs = rotate_half(q @ u) @ (k @ w)
    mine = rotate_pairs(to_gguf(q, 1) @ u) @ (to_gguf(k, 1) @ w)
    assert mine == pytest.approx(theirs, rel=1e-5)


def test_rope_base_of_transformers_5(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(
        tmp_path / "tiny", rope_theta=None, rope_parameters={"rope_theta": 123.0, "rope_type": "default"}
    )
    hparams = read_hparams(checkpoint)
    assert (hparams.rope_freq_base, hparams.rope_scaling) == (123.0, None)


def test_llama_3s_rope_scaling() -> None:
    # Llama 3.1 8B: the values that transformers' llama3 RoPE gives for the ends, and in between for one frequency.
    scaling = RopeScaling("llama3", 8.0, 1.0, 4.0, 8192)
    factors = rope_factors(scaling, 128, 500000.0)
    assert factors.shape == (64,)
    assert factors.dtype == np.float32
    assert factors[:29].tolist() == [1.0] * 29
    assert factors[-29:].tolist() == [8.0] * 29
    assert np.all(np.diff(factors) >= 0)
    frequency = 500000.0 ** (-2 * 31 / 128)
    smooth = (8192 * frequency / (2 * np.pi) - 1) / 3
    assert factors[31] == pytest.approx(1 / ((1 - smooth) / 8 + smooth), rel=1e-6)


def test_rope_scaling_in_the_file(tmp_path: Path) -> None:
    scaling = {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    scaling["original_max_position_embeddings"] = 64
    path = convert(str(write_checkpoint(tmp_path / "a", rope_scaling=scaling)), "q8_0").path
    assert types_of(path)["rope_freqs.weight"] == "F32"
    assert tensors_of(path)["rope_freqs.weight"].shape == (8,)
    linear = convert(str(write_checkpoint(tmp_path / "b", rope_scaling={"type": "linear", "factor": 2.0})), "f32").path
    values = read_header(linear).values
    assert (values["llama.rope.scaling.type"], values["llama.rope.scaling.factor"]) == ("linear", 2.0)


LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
LINEAR = {"rope_type": "linear", "factor": 4.0}


@pytest.mark.parametrize(
    ("config", "base", "scaling"),
    [
        # as transformers: rope_scaling hides all of rope_parameters, its base too
        (
            {"rope_scaling": LINEAR, "rope_parameters": {"rope_type": "default", "rope_theta": 5000.0}},
            10000.0,
            RopeScaling("linear", 4.0),
        ),
        ({"rope_scaling": {}, "rope_parameters": LINEAR | {"rope_theta": 7.0}}, 7.0, RopeScaling("linear", 4.0)),
        ({"rope_scaling": None, "rope_parameters": LINEAR}, 10000.0, RopeScaling("linear", 4.0)),
        ({"rope_scaling": LINEAR | {"rope_theta": 3.0}, "rope_theta": 9.0}, 3.0, RopeScaling("linear", 4.0)),
        ({"rope_scaling": {"type": "linear", "rope_type": "default", "factor": 2.0}}, 10000.0, None),
        ({"rope_parameters": LLAMA3}, 10000.0, RopeScaling("llama3", 8.0, 1.0, 4.0, 256)),
        ({"rope_scaling": LLAMA3, "max_position_embeddings": 64}, 10000.0, RopeScaling("llama3", 8.0, 1.0, 4.0, 64)),
        (
            {"rope_scaling": LLAMA3 | {"original_max_position_embeddings": 32}},
            10000.0,
            RopeScaling("llama3", 8.0, 1.0, 4.0, 32),
        ),
        (
            {
                "rope_scaling": LLAMA3 | {"original_max_position_embeddings": 32},
                "original_max_position_embeddings": 16,
            },
            10000.0,
            RopeScaling("llama3", 8.0, 1.0, 4.0, 16),
        ),
    ],
)
def test_which_of_two_words_about_rope_counts(
    config: dict[str, Any], base: float, scaling: RopeScaling | None, tmp_path: Path
) -> None:
    hparams = read_hparams(write_checkpoint(tmp_path / "a", weights="none", **config))
    assert (hparams.rope_freq_base, hparams.rope_scaling) == (base, scaling)


def test_two_scalings_that_differ_are_said(tmp_path: Path) -> None:
    both = {"rope_scaling": LINEAR, "rope_parameters": LLAMA3}
    (warning,) = read_hparams(write_checkpoint(tmp_path / "a", weights="none", **both)).warnings
    assert warning.endswith('they differ: as in transformers, "rope_scaling" is taken')
    same = {"rope_scaling": {"type": "linear", "factor": 4.0}, "rope_parameters": LINEAR}
    assert read_hparams(write_checkpoint(tmp_path / "a", weights="none", **same)).warnings == ()


@pytest.mark.parametrize(
    ("scaling", "message"),
    [
        *(
            ({key: value for key, value in LLAMA3.items() if key != missing}, f'"{missing}" in')
            for missing in list(LLAMA3)[1:]
        ),
        ({"rope_type": "linear"}, '"factor" in'),
        (LINEAR | {"factor": 0}, '"factor" in'),
        (LLAMA3 | {"high_freq_factor": 1.0}, '"low_freq_factor" in'),
        (LINEAR | {"partial_rotary_factor": 0.5}, '"partial_rotary_factor" in'),
        ({"rope_type": "default", "mrope_section": [2, 3, 3]}, '"mrope_section" in'),
        ({"full_attention": LLAMA3, "sliding_attention": LINEAR}, '"full_attention" in'),
        ([LLAMA3], '"rope_scaling" in'),
        *(
            ({"rope_type": kind, "factor": 2.0}, f"scaling `{kind}` in")
            for kind in ("dynamic", "longrope", "su", "Llama3")
        ),
    ],
)
def test_scalings_that_are_not_all_there_or_not_known(scaling: Any, message: str, tmp_path: Path) -> None:
    """llama.cpp's converter fills in 8, 1, 4 and 8192, transformers refuses: nothing is guessed."""
    with pytest.raises(ModelError, match=message):
        read_hparams(write_checkpoint(tmp_path / "a", weights="none", rope_scaling=scaling))
