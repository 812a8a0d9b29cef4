"""Law 15 at the native border: whatever the file or the call holds, an EngineError and never a crash."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf_file
import hostile_gguf
import numpy as np
import pytest
from engines import load
from golden import models

from localft.data.batching.micro_batch import MicroBatch
from localft.engine import AdamSpec, EngineState, LoraSpec
from localft.engine.native import NativeEngine, lora_targets
from localft.errors import EngineError, LocalftError

SHAPE = gguf_file.SHAPE
BATCH = models.batch(SHAPE, (5, 4))
N_MUTATION = 300


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What came of every named file; the whole files among them must train."""
    folder = tmp_path_factory.mktemp("hostile")
    whole = gguf_file.honest(folder)
    files = {"whole": whole.write(), "whole q8_0": gguf_file.honest(folder, "q8_0").write()}
    return hostile_gguf.outcomes({**files, **hostile_gguf.named_files(whole)}, folder / "files")


def names() -> list[str]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return list(hostile_gguf.named_files(gguf_file.honest(Path(folder))))


def test_whole_files_train(named: dict[str, str]) -> None:
    assert named["whole"] == named["whole q8_0"] == "trained"


@pytest.mark.parametrize("name", names())
def test_named_file_is_refused(name: str, named: dict[str, str]) -> None:
    assert named[name].startswith("refused: ["), named[name]
    assert not named[name].endswith(".")


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("truncated to 10/20", "truncated"),
        ("wrong magic", "not a readable GGUF"),
        ("architecture unknown", '"mamba"'),
        ("bias", '"blk.0.attn_q.bias"'),
        ("tensor missing", '"blk.0.attn_q.weight" is missing'),
        ("experts", "mixture-of-experts"),
        ("alignment 8", "general.alignment"),
        ("matrix turned", '"blk.0.ffn_up.weight" has an unexpected shape'),
        ("type of integers", "i32"),
        ("NaN in a matrix", "not finite"),
        ("block_count = 0", '"llama.block_count"'),
    ],
)
def test_what_the_error_names(name: str, part: str, named: dict[str, str]) -> None:
    assert part in named[name]


@pytest.mark.parametrize("seed", [1, 2])
def test_mutations_never_crash(seed: int, tmp_path: Path) -> None:
    whole = gguf_file.honest(tmp_path, ("f32", "q8_0")[seed % 2])
    found = hostile_gguf.outcomes(hostile_gguf.mutations(whole, N_MUTATION // 2, seed), tmp_path / "files")
    assert len(found) == N_MUTATION // 2
    bad = {name: outcome for name, outcome in found.items() if not outcome.startswith(("trained", "refused"))}
    assert bad == {}
    assert sum(outcome.startswith("refused") for outcome in found.values()) > N_MUTATION / 5
    assert "trained" in found.values()


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.gguf", tmp_path, tmp_path / "nö\U0001f600.gguf"):
        with pytest.raises(EngineError):
            lora_targets(path)


@pytest.fixture
def engine(tmp_path: Path) -> NativeEngine:
    return load(SHAPE, models.write_gguf(SHAPE, tmp_path))


STARTS = np.array([0, 5, 9], np.int32)
WRONG_BATCHES: dict[str, dict[str, Any]] = {
    "token at n_vocab": {"tokens": BATCH.tokens * 0 + SHAPE.n_vocab},
    "token negative": {"tokens": BATCH.tokens * 0 - 1},
    "token 2^31 - 1": {"tokens": BATCH.tokens * 0 + (2**31 - 1)},
    "tokens in two dimensions": {"tokens": BATCH.tokens.reshape(1, -1)},
    "tokens too few": {"tokens": BATCH.tokens[:-1]},
    "target at n_vocab": {"targets": BATCH.targets * 0 + SHAPE.n_vocab},
    "target negative": {"targets": BATCH.targets * 0 - 100},
    "targets too many": {"targets": np.append(BATCH.targets, 1)},
    "mask too short": {"loss_mask": BATCH.loss_mask[:-1]},
    "mask of 2": {"loss_mask": BATCH.loss_mask * 2},
    "mask of 255": {"loss_mask": BATCH.loss_mask * 255},
    "no rows": {"row_starts": STARTS[:0]},
    "one row start": {"row_starts": STARTS[:1]},
    "first row not at 0": {"row_starts": STARTS + 1},
    "last row too early": {"row_starts": STARTS[:2]},
    "last row too late": {"row_starts": np.array([0, 5, 10], np.int32)},
    "empty row": {"row_starts": np.array([0, 5, 5, 9], np.int32)},
    "rows out of order": {"row_starts": np.array([0, 7, 5, 9], np.int32)},
    "row start negative": {"row_starts": np.array([0, -5, 9], np.int32)},
    "row start far away": {"row_starts": np.array([0, 2**31 - 1, 9], np.int32)},
    "row_starts in two dimensions": {"row_starts": STARTS.reshape(1, -1)},
    "nothing": {
        "tokens": BATCH.tokens[:0],
        "targets": BATCH.targets[:0],
        "loss_mask": BATCH.loss_mask[:0],
        "row_starts": np.array([0, 0], np.int32),
    },
}


@pytest.mark.parametrize("name", list(WRONG_BATCHES))
def test_wrong_batch_is_refused(name: str, engine: NativeEngine) -> None:
    expected = engine.evaluate(BATCH)
    wrong = replace(BATCH, **WRONG_BATCHES[name])
    for call in (engine.accumulate, engine.evaluate, engine.ops):
        with pytest.raises(EngineError, match=r"^\["):
            call(wrong)
    assert engine.evaluate(BATCH) == expected


def test_nothing_supervised(engine: NativeEngine) -> None:
    nothing = replace(BATCH, loss_mask=np.zeros_like(BATCH.loss_mask))
    assert engine.accumulate(nothing) == engine.evaluate(nothing) == (0.0, 0)
    with pytest.raises(EngineError, match="no supervised target"):
        engine.apply(1e-3)
    with pytest.raises(EngineError, match="no target is supervised"):
        engine.ops(nothing)
    assert engine.logits(nothing).shape == (9, SHAPE.n_vocab)


ALL = tuple(SHAPE.matrices())
WRONG_OPTIONS: dict[str, tuple[LoraSpec, dict[str, Any]]] = {
    "no targets": (LoraSpec(()), {}),
    "unknown target": (LoraSpec(("blk.0.attn_x.weight",)), {}),
    "target of another layer": (LoraSpec(("blk.2.attn_q.weight",)), {}),
    "target twice": (LoraSpec((ALL[0], ALL[0])), {}),
    "target a norm": (LoraSpec(("blk.0.attn_norm.weight",)), {}),
    "target the embedding": (LoraSpec(("token_embd.weight",)), {}),
    "rank 0": (LoraSpec(ALL, rank=0), {}),
    "rank negative": (LoraSpec(ALL, rank=-3), {}),
    "rank beyond the largest": (LoraSpec(ALL, rank=(1 << 16) + 1), {}),
    "rank 2^40": (LoraSpec(ALL, rank=1 << 40), {}),
    "alpha infinite": (LoraSpec(ALL, rank=2, alpha=float("inf")), {}),
    "alpha NaN": (LoraSpec(ALL, rank=2, alpha=float("nan")), {}),
    "dropout 1": (LoraSpec(ALL, rank=2, dropout=1.0), {}),
    "dropout negative": (LoraSpec(ALL, rank=2, dropout=-0.1), {}),
    "dropout NaN": (LoraSpec(ALL, rank=2, dropout=float("nan")), {}),
    "device unknown": (LoraSpec(ALL, rank=2), {"device": "Metal9"}),
    "kernels unknown": (LoraSpec(ALL, rank=2), {"kernels": "fast"}),
    "threads negative": (LoraSpec(ALL, rank=2), {"n_threads": -1}),
    "threads 2^20": (LoraSpec(ALL, rank=2), {"n_threads": 1 << 20}),
    "threads 2^40": (LoraSpec(ALL, rank=2), {"n_threads": 1 << 40}),
    "max_tokens negative": (LoraSpec(ALL, rank=2), {"max_tokens": -1}),
    "max_tokens 2^31": (LoraSpec(ALL, rank=2), {"max_tokens": 1 << 31}),
    "max_tokens 2^40": (LoraSpec(ALL, rank=2), {"max_tokens": 1 << 40}),
    "budget negative": (LoraSpec(ALL, rank=2), {"memory_budget": -1}),
}


@pytest.mark.parametrize("name", list(WRONG_OPTIONS))
def test_wrong_option_is_refused(name: str, tmp_path: Path) -> None:
    lora, options = WRONG_OPTIONS[name]
    with pytest.raises(EngineError, match=r"^\["):
        NativeEngine(models.write_gguf(SHAPE, tmp_path), lora, AdamSpec(), **options)


@pytest.mark.parametrize("rank", [16, 17, 500])
def test_rank_up_to_the_matrix_and_beyond(rank: int, tmp_path: Path) -> None:
    engine = load(SHAPE, models.write_gguf(SHAPE, tmp_path), rank=rank)
    assert engine.accumulate(BATCH).loss_sum > 0


@pytest.mark.parametrize("field", ["a", "b", "a_m", "b_v"])
@pytest.mark.parametrize("change", ["turned", "flat", "short"])
def test_wrong_state_is_refused(field: str, change: str, engine: NativeEngine) -> None:
    state = engine.state()
    values = getattr(state.tensors["blk.1.ffn_up.weight"], field)
    wrong = {"turned": values.T, "flat": values.ravel(), "short": values[:-1]}[change]
    tensors = {**state.tensors, "blk.1.ffn_up.weight": replace(state.tensors["blk.1.ffn_up.weight"], **{field: wrong})}
    with pytest.raises(EngineError):
        engine.load_state(EngineState(tensors))


def test_state_of_other_tensors_is_refused(engine: NativeEngine) -> None:
    tensors = engine.state().tensors
    missing = {name: t for name, t in tensors.items() if name != ALL[3]}
    for odd in (missing, {**tensors, "output.weight": tensors[ALL[0]]}, {}):
        with pytest.raises(EngineError, match="differ"):
            engine.load_state(EngineState(odd))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_factors_that_are_not_finite(value: float, engine: NativeEngine) -> None:
    """The accumulator is empty after the error, and a sound state goes on."""
    good = engine.state()
    expected = engine.evaluate(BATCH)
    bad = engine.state()
    bad.tensors[ALL[2]].b[0, 0] = value
    engine.load_state(bad)
    with pytest.raises(EngineError, match="not finite") as error:
        engine.accumulate(BATCH)
    assert error.value.hint
    with pytest.raises(EngineError, match="no supervised target"):
        engine.apply(1e-3)
    engine.load_state(good)
    assert engine.evaluate(BATCH) == expected
    assert np.isfinite([engine.accumulate(BATCH).loss_sum, engine.apply(1e-3)]).all()


def test_closed_engine(engine: NativeEngine) -> None:
    engine.close()
    engine.close()
    for call in (engine.state, engine.gradients, lambda: engine.apply(1e-3), lambda: engine.accumulate(BATCH)):
        with pytest.raises(LocalftError, match="closed"):
            call()


def test_rows_longer_than_the_model_was_trained_on(engine: NativeEngine) -> None:
    """n_ctx_train is advice; the trainer's caller decides."""
    long: MicroBatch = models.batch(SHAPE, (3 * SHAPE.n_ctx_train,))
    assert engine.accumulate(long).n_supervised == long.n_supervised
