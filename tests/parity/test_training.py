"""Laws 3 and 4, live: the native engine and PEFT from the same adapter on the same batches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from golden import models
from golden.cases import CASES, Case

from localft.data.batching.micro_batch import MicroBatch
from localft.engine import AdamSpec, Engine, EngineState, LoraSpec, LoraState
from localft.engine.native import NativeEngine, lora_targets
from localft.engine.peft import PeftEngine

pytestmark = pytest.mark.parity

N_CTX = 256
N_ROW = 8
N_STEP = 200


def relative(ours: np.ndarray, reference: np.ndarray) -> float:
    assert ours.shape == reference.shape
    return float(np.linalg.norm(ours - reference) / np.linalg.norm(reference))


def gradient_errors(ours: NativeEngine | PeftEngine, reference: NativeEngine | PeftEngine) -> dict[str, float]:
    """Relative error of each factor's gradient, by "<tensor>/a" and "<tensor>/b"."""
    found, expected = ours.gradients(), reference.gradients()
    return {
        f"{name}/{factor}": relative(x, y)
        for name in found
        for factor, x, y in zip("ab", found[name], expected[name], strict=True)
    }


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_gradients_of_every_batch(case: Case, tmp_path: Path) -> None:
    native = NativeEngine(models.write_gguf(case.shape, tmp_path), case.lora(), case.adam, device="cpu", n_threads=2)
    peft = PeftEngine(models.write_checkpoint(case.shape, tmp_path), case.lora(), case.adam, device="cpu", n_threads=2)
    for engine in (native, peft):
        engine.load_state(case.state())
    for batch in case.batches()[:3]:
        ours, theirs = native.accumulate(batch), peft.accumulate(batch)
        assert ours.n_supervised == theirs.n_supervised == batch.n_supervised
        assert ours.loss_sum == pytest.approx(theirs.loss_sum, rel=1e-6)
        reference = peft.gradients()
        for name, (da, db) in native.gradients().items():
            assert relative(da, reference[name][0]) < 1e-4, name
            assert relative(db, reference[name][1]) < 1e-4, name
        native.apply(0.0)
        peft.apply(0.0)


# Block types round activations to int8 in ggml's own products; f16 and bf16 products do not.
@pytest.mark.parametrize(
    ("outtype", "arithmetic", "factor"),
    [
        ("f16", "f32", 1.5),
        ("bf16", "f32", 1.5),
        ("q8_0", "f32", 4.0),
        ("q4_0", "f32", 4.0),
        ("q4_k_m", "f32", 4.0),
        ("q6_k", "f32", 4.0),
        ("q8_0", "int16", 1.5),
        ("bf16", "int16", 1.5),
        ("q4_k_m", "int16", 1.5),
    ],
)
def test_faster_modes_are_as_exact_as_autocast(outtype: str, arithmetic: str, factor: float, tmp_path: Path) -> None:
    """Law 4's bound on the gradient's error, measured against f32 on what the file really holds."""
    case = CASES["w"]
    source = models.write_gguf(case.shape, tmp_path, outtype)
    twin, checkpoint = models.twins(case.shape, source, tmp_path)
    fast, exact = (
        NativeEngine(path, case.lora(), case.adam, device="cpu", n_threads=2, arithmetic=mode)
        for path, mode in ((source, arithmetic), (twin, "f32"))
    )
    assert fast.arithmetic == arithmetic
    autocast, f32 = (
        PeftEngine(checkpoint, case.lora(), case.adam, device="cpu", n_threads=2, precision=precision)
        for precision in ("autocast", "f32")
    )
    for engine in (fast, exact, autocast, f32):
        engine.load_state(case.state())
        engine.accumulate(case.batches()[0])
    assert max(gradient_errors(exact, f32).values()) < 1e-4
    allowed = {name: min(0.03, factor * error) for name, error in gradient_errors(autocast, f32).items()}
    for name, error in gradient_errors(fast, exact).items():
        assert error <= allowed[name], name


@pytest.fixture(scope="module")
def stories(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """stories260K as a GGUF of localft's own conversion (f32), and its checkpoint."""
    from localft.model.convert import convert

    checkpoint = shared / "models" / "stories260K"
    out = tmp_path_factory.mktemp("stories") / "stories260K-f32.gguf"
    return convert(str(checkpoint), "f32", out).path, checkpoint


def shakespeare(shared: Path, gguf_file: Path) -> list[MicroBatch]:
    """N_STEP micro-batches of N_ROW windows of N_CTX tokens, in the text's order, and one more to validate on."""
    from localft.model.tokenizer import Tokenizer

    tokenizer = Tokenizer(gguf_file)
    text = (shared / "data" / "tinyshakespeare.txt").read_text(encoding="utf-8")
    ids = np.array([tokenizer.bos_id, *tokenizer.encode(text)], np.int32)
    n_tok = N_ROW * N_CTX
    starts = np.arange(0, n_tok + 1, N_CTX, dtype=np.int32)
    mask = np.ones(n_tok, np.uint8)
    windows = (slice(i * n_tok, (i + 1) * n_tok) for i in range(N_STEP + 1))
    return [MicroBatch(ids[window], ids[1:][window], mask, starts) for window in windows]


def random_adapter(targets: dict[str, tuple[int, int]], rank: int) -> EngineState:
    """A and B random and nonzero."""
    return EngineState(
        {
            name: LoraState(
                models.uniform(f"{name}/a", (rank, n_in), n_in**-0.5), models.uniform(f"{name}/b", (n_out, rank), 0.02)
            )
            for name, (n_out, n_in) in targets.items()
        }
    )


def train(engine: Engine, batches: list[MicroBatch], lr: float) -> Iterator[float]:
    for batch in batches:
        result = engine.accumulate(batch)
        engine.apply(lr)
        yield result.loss_sum / result.n_supervised


@pytest.mark.shared
@pytest.mark.timeout(3000)
def test_two_hundred_steps_of_shakespeare(shared: Path, stories: tuple[Path, Path]) -> None:
    """Losses within 1e-4 for ten steps and 1e-3 for 200; validation losses at the end within 1e-3."""
    gguf_file, checkpoint = stories
    targets = lora_targets(gguf_file)
    lora, adam = LoraSpec(tuple(targets), rank=8, alpha=16.0), AdamSpec(grad_clip=1.0)
    state = random_adapter(targets, lora.rank)
    *batches, validation = shakespeare(shared, gguf_file)
    losses, val_losses = [], []
    native = NativeEngine(gguf_file, lora, adam, device="cpu", n_threads=2)
    for engine in (native, PeftEngine(checkpoint, lora, adam, device="cpu", n_threads=2)):
        engine.load_state(state)
        losses.append(np.array(list(train(engine, batches, lr=1e-3))))
        val_losses.append(engine.evaluate(validation).loss_sum / validation.n_supervised)
    error = np.abs(losses[0] / losses[1] - 1)
    assert losses[1][-20:].mean() < losses[1][:20].mean() - 0.5
    assert error[:10].max() < 1e-4
    assert error.max() < 1e-3
    assert val_losses[0] == pytest.approx(val_losses[1], rel=1e-3)
