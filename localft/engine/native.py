"""The native engine: LoRA training on a GGUF, in C++ on ggml (see native/localft.h)."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from localft import llama
from localft.data.batching.micro_batch import MicroBatch
from localft.engine.initial_adapter import initial_state
from localft.engine.protocol import AdamSpec, EngineState, LoraSpec, LoraState, MicroResult
from localft.errors import REPORT, EngineError, LocalftError
from localft.hardware import peak_rss
from localft.model.gguf.mapped_file import MappedFile, truncation_notice

Floats = NDArray[np.float32]
T = TypeVar("T")
_OTHERWISE = "take another model or other settings; `localft doctor` says what this machine has"


@functools.cache
def load() -> ModuleType:
    """Import the compiled module and check that it belongs to the ggml that is installed.

    Raises:
        EngineError: it is missing, or was built against another ggml or llama-cpp-python.
    """
    hint = "run `make install` in localft's folder, or reinstall localft with pip"
    try:
        llama.load()  # the ggml libraries that the module links to
        from localft import _native
    except ImportError as error:
        raise EngineError(f"the native engine cannot be loaded: {error}", hint) from error
    found = metadata.version("llama-cpp-python")
    if found != _native.LLAMA_CPP_PYTHON_VERSION or _native.ggml_version() != _native.GGML_VERSION:
        raise EngineError(
            f"the native engine was built for llama-cpp-python {_native.LLAMA_CPP_PYTHON_VERSION} "
            f"(ggml {_native.GGML_VERSION}), but {found} (ggml {_native.ggml_version()}) is installed",
            hint,
        )
    module: ModuleType = _native
    return module


@dataclass(frozen=True)
class DeviceInfo:
    """A ggml device. `kind` is "cpu", "gpu", "igpu" or "accel"; memory in bytes."""

    name: str
    description: str
    kind: str
    memory_free: int
    memory_total: int


def devices() -> list[DeviceInfo]:
    """The devices that the installed ggml offers."""
    return [DeviceInfo(**info) for info in load().devices()]


def ggml_version() -> str:
    """The version of the ggml that is loaded."""
    return str(load().ggml_version())


def lora_targets(model: Path) -> dict[str, tuple[int, int]]:
    """The matrices of `model` that can carry LoRA: (n_out, n_in) by tensor name, in the model's order.

    Raises:
        EngineError: the model cannot be trained on.
    """
    base = _checked(load().Model, os.fsencode(model), "")
    return {name: (n_out, n_in) for name, n_out, n_in in base.targets()}


def end_with_a_sentence_if_cut_short(gguf: Path) -> None:
    """What the process says, and that it ends with 1, where a page of `gguf` is gone when it is touched."""
    text = truncation_notice(gguf, terminal=os.isatty(2))
    load().on_truncation(text.encode("utf-8", "replace"), EngineError.exit_code)


def _checked(call: Callable[..., T], *args: Any) -> T:
    """Call native code; its errors become EngineError."""
    try:
        return call(*args)
    except (RuntimeError, MemoryError) as error:
        raise EngineError(str(error) or "not enough memory", _hint(str(error))) from error
    except UnicodeDecodeError as error:  # the message quotes a name from the file
        text = error.object.decode(errors="replace")
        raise EngineError(text, _hint(text)) from error
    except TypeError as error:  # nanobind refuses arrays of another rank, and numbers that do not fit their type
        raise EngineError(
            f"[{call.__name__}] a value is out of range or an array has the wrong shape", REPORT
        ) from error


def _hint(text: str) -> str:
    hints = {
        "not finite": "lower --lr; if the very first step fails, the model file is damaged: convert it again",
        "not enough memory": "lower --micro-batch-size or --ctx, or choose a smaller --outtype",
        "there is no device": "run `localft doctor` to see the devices",
        "does not fit": "choose a smaller --lora-rank",
        "carry LoRA": "choose --lora-targets among attn_q, attn_k, attn_v, attn_output, ffn_gate, ffn_up, ffn_down",
        "no runtime could load": "leave `output` out of --lora-targets",
        "own kernels": "leave --kernels and --device out, or choose --arithmetic f32",
        "truncated": "download or convert the model again",
    }
    return next((hint for part, hint in hints.items() if part in text), _OTHERWISE)


def _arrays(batch: MicroBatch) -> tuple[Any, ...]:
    return (
        np.ascontiguousarray(batch.tokens, np.int32),
        np.ascontiguousarray(batch.targets, np.int32),
        np.ascontiguousarray(batch.loss_mask, np.uint8),
        np.ascontiguousarray(batch.row_starts, np.int32),
    )


class NativeEngine:
    """LoRA training on a GGUF; implements `localft.engine.Engine`.

    Args:
        model: the base GGUF, of any type that ggml can dequantise. It is mapped read-only.
        lora: what carries LoRA, and how.
        adam: the optimizer's constants.
        device: a name of `devices()`, or None for the CPU.
        n_threads: CPU threads, 0 for one per core.
        max_tokens: tokens of the largest micro-batch; the memory decision is made for it.
        memory_budget: bytes for activations, 0 for no limit; layers recompute theirs until they fit.
        kernels: "auto", or "avx512vnni", "avx512", "avx2", "generic" or "plain" (ggml's own ops only). The environment
            variable LOCALFT_KERNELS overrides "auto".
        arithmetic: "f32"; "int16": products with the base's matrices in integers, both sides rounded to 13 bits in
            blocks of 128 values along the depth with a scale each; "auto": int16 where it is fast and the base is not
            in f32.

    Raises:
        EngineError: the model, a target tensor, the rank, the device or the kernels cannot be used.
        ModelError: the file cannot be read; or, in a later call, it changed since it was loaded.
    """

    def __init__(
        self,
        model: Path,
        lora: LoraSpec,
        adam: AdamSpec,
        *,
        device: str | None = None,
        n_threads: int = 0,
        max_tokens: int = 0,
        memory_budget: int = 0,
        kernels: str = "auto",
        arithmetic: str = "f32",
    ) -> None:
        native = load()
        if kernels == "auto":
            kernels = os.environ.get("LOCALFT_KERNELS", "auto")
        self.lora = lora
        self.adam = adam
        self.memory_budget = memory_budget
        self._names = list(lora.target_tensors)
        end_with_a_sentence_if_cut_short(model)
        self._file = MappedFile(model)
        self._model = _checked(native.Model, os.fsencode(model), device or "")
        options = (self._names, lora.rank, lora.alpha / (lora.rank or 1), lora.dropout, lora.seed % 2**64)
        limits = (max_tokens, memory_budget)
        threads = n_threads or os.cpu_count() or 1
        self._trainer = _checked(native.Trainer, self._model, *options, threads, *limits, kernels, arithmetic)
        self._shapes = {name: (n_out, n_in) for name, n_out, n_in in self._model.targets()}
        self.load_state(initial_state(lora, self._shapes))

    @property
    def hparams(self) -> dict[str, Any]:
        """Model dimensions under their glossary names."""
        return dict(self._open()[0].hparams)

    @property
    def device_name(self) -> str:
        return str(self._open()[0].device)

    @property
    def kernels(self) -> str:
        """The kernels in use: an instruction set, or "plain"."""
        return str(self._open()[1].kernels)

    @property
    def arithmetic(self) -> str:
        """The arithmetic in use, "f32" or "int16"."""
        return str(self._open()[1].arithmetic)

    @property
    def n_recompute(self) -> int:
        """Layers whose activations are recomputed in the backward pass, to save memory."""
        return int(self._open()[1].n_recompute)

    @property
    def memory_estimate(self) -> int:
        """Bytes of activations and scratch that a micro-batch of `max_tokens` takes."""
        return int(self._open()[1].compute_bytes)

    @property
    def n_trainable(self) -> int:
        """Trainable values: Σ rank · (n_in + n_out)."""
        return sum(t.a.size + t.b.size for t in self.state().tensors.values())

    def accumulate(self, batch: MicroBatch) -> MicroResult:
        """Run forward and backward and add the gradient of the summed loss to the accumulator."""
        self._file.require_same()
        return MicroResult(*_checked(self._open()[1].accumulate, *_arrays(batch)))

    def profile(self, batch: MicroBatch) -> dict[str, tuple[int, float]]:
        """Run `accumulate` piece by piece: nodes of the graph and their seconds, by kind of work.

        The kinds are "product", "attention", "elementwise", "low-rank" and "head" (all of the output's work).
        """
        return dict(_checked(self._open()[1].profile, *_arrays(batch)))

    def evaluate(self, batch: MicroBatch) -> MicroResult:
        """Run forward only, without dropout."""
        self._file.require_same()
        return MicroResult(*_checked(self._open()[1].evaluate, *_arrays(batch)))

    def logits(self, batch: MicroBatch) -> Floats:
        """Logits of every position, float32 [n_tok, n_vocab]."""
        logits: Floats = _checked(self._open()[1].logits, *_arrays(batch))
        return logits

    def ops(self, batch: MicroBatch) -> list[str]:
        """Each distinct operation of the training graph for `batch`, as "OP type,type -> type"."""
        return list(_checked(self._open()[1].ops, *_arrays(batch)))

    def apply(self, lr: float) -> float:
        """Divide the gradient by its n_supervised, clip, update, clear; return grad_norm before clipping."""
        a = self.adam
        update = (lr, a.beta1, a.beta2, a.eps, a.weight_decay, a.grad_clip)
        return float(_checked(self._open()[1].apply, *update))

    def gradients(self) -> dict[str, tuple[Floats, Floats]]:
        """The accumulated gradients, sums: (rank, n_in) and (n_out, rank) by tensor name."""
        return {name: self._open()[1].gradient(name) for name in self._names}

    def state(self) -> EngineState:
        """Copy adapter, moments and counters out."""
        trainer = self._open()[1]
        tensors = {}
        for name in self._names:
            (a, b), (a_m, b_m), (a_v, b_v) = trainer.lora(name), trainer.moment(name, 1), trainer.moment(name, 2)
            tensors[name] = LoraState(a, b, a_m, a_v, b_m, b_v)
        return EngineState(tensors, step=trainer.step, micro_step=trainer.micro_step)

    def load_state(self, state: EngineState) -> None:
        """Put a state in; empty moments mean zeros. The gradient accumulator is emptied.

        Raises:
            EngineError: a tensor is missing, not a target, or of another shape.
        """
        if set(state.tensors) != set(self._names):
            odd = sorted(set(state.tensors) ^ set(self._names))[0]
            raise EngineError(
                f'the state and the run differ in which tensors carry LoRA ("{odd}")', "resume it with its own settings"
            )
        trainer = self._open()[1]
        trainer.clear()
        for name, t in state.tensors.items():
            pairs = self._pairs(name, t)
            _checked(trainer.set_lora, name, *pairs[0])
            for order in (1, 2):
                _checked(trainer.set_moment, name, order, *pairs[order])
        trainer.step, trainer.micro_step = state.step, state.micro_step

    def _pairs(self, name: str, t: LoraState) -> list[tuple[Floats, Floats]]:
        """Factors, means and variances of one tensor as native code takes them."""
        n_out, n_in = self._shapes[name]
        pairs = [(t.a, t.b)]
        for a, b in ((t.a_m, t.b_m), (t.a_v, t.b_v)):
            pairs.append((a if a.size else np.zeros_like(t.a), b if b.size else np.zeros_like(t.b)))
        if any(a.shape != (self.lora.rank, n_in) or b.shape != (n_out, self.lora.rank) for a, b in pairs):
            raise EngineError(f'the state and the run differ in the shape of "{name}"', "use the same --lora-rank")
        return [(_contiguous(a), _contiguous(b)) for a, b in pairs]

    def peak_mem_bytes(self) -> dict[str, int]:
        """Peak resident memory of the process, and what a device other than the CPU holds."""
        peak = {"rss": peak_rss()}
        if self.device_name != "CPU":
            peak[self.device_name] = int(self._open()[0].device_bytes) + self.memory_estimate
        return peak

    def close(self) -> None:
        """Free the model and every buffer."""
        self._trainer = None
        self._model = None

    def _open(self) -> tuple[Any, Any]:
        if self._trainer is None:
            raise LocalftError("the engine is closed", REPORT)
        return self._model, self._trainer


def _contiguous(x: Floats) -> Floats:
    return np.ascontiguousarray(x, np.float32)
