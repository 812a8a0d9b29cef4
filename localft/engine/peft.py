"""The training engine on PyTorch and PEFT: for models too large for the native one, and as its oracle in tests.

torch, transformers and peft are imported when an engine is made, never before.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from localft.data.batching.micro_batch import MicroBatch
from localft.engine.initial_adapter import initial_state
from localft.engine.padding import check_batch, row_groups
from localft.engine.peft_model import (
    F32,
    Factors,
    add_lora,
    find_device,
    find_factors,
    import_torch,
    load_base,
    seeded,
    to_array,
)
from localft.engine.protocol import AdamSpec, EngineState, LoraSpec, LoraState, MicroResult
from localft.errors import ConfigError, EngineError
from localft.hardware import peak_rss
from localft.model import qk_order

PRECISIONS = ("f32", "bf16", "autocast")


class PeftEngine:
    """LoRA training with PEFT on a Hugging Face checkpoint (see `localft.engine.Engine`).

    State goes in and out under GGUF tensor names and in the GGUF's row order, so it fits `NativeEngine` as it is.

    Args:
        checkpoint: a folder with config.json and weights; architecture llama or mistral.
        lora: tensors by GGUF name; `output.weight` only where embeddings are not tied.
        adam: settings of torch.optim.AdamW and of clip_grad_norm_.
        device: "cpu", "cuda", "cuda:1" …; None takes CUDA where there is one.
        n_threads: of torch on the CPU; 0 leaves torch's choice.
        precision: "f32"; "bf16" (base weights in bf16, adapter in f32); "autocast" (weights in f32, products in bf16).

    Raises:
        EngineError: torch, transformers or peft is not installed, or the device is not there.
        ModelError: the checkpoint cannot be loaded or is of another architecture.
        ConfigError: an unknown precision, or a target that the model has not.
    """

    def __init__(
        self,
        checkpoint: Path,
        lora: LoraSpec,
        adam: AdamSpec,
        *,
        device: str | None = None,
        n_threads: int = 0,
        precision: str = "f32",
    ) -> None:
        if precision not in PRECISIONS:
            raise ConfigError(f'unknown precision "{precision}"', f"use one of {', '.join(PRECISIONS)}")
        self._torch = torch = import_torch("torch")
        if n_threads > 0:
            torch.set_num_threads(n_threads)
        self._device = find_device(torch, device)
        self._lora, self._adam, self._precision = lora, adam, precision
        base = load_base(checkpoint, torch.bfloat16 if precision == "bf16" else torch.float32)
        self._model = add_lora(torch, base, lora).to(self._device)
        self._factors = find_factors(self._model, lora)
        self._optimizer = torch.optim.AdamW(
            self._parameters(),
            lr=0.0,
            betas=(adam.beta1, adam.beta2),
            eps=adam.eps,
            weight_decay=adam.weight_decay,
        )
        self._n_vocab = int(self._model.config.vocab_size)
        shapes = {name: (f.b.shape[0], f.a.shape[1]) for name, f in self._factors.items()}
        self.load_state(initial_state(lora, shapes))

    def accumulate(self, batch: MicroBatch) -> MicroResult:
        """Run forward and backward and add the gradient of the summed loss to the accumulator.

        Raises:
            EngineError: the micro-batch's shapes or ids are wrong, or its loss is not finite.
        """
        check_batch(batch, self._n_vocab)
        self._model.train()
        loss_sum = 0.0
        with self._random_stream():
            for rows in row_groups(batch):
                loss = self._loss(batch, rows)
                if loss is not None:
                    loss.backward()
                    loss_sum += float(loss.item())
        if not np.isfinite(loss_sum):
            self._clear()
            raise EngineError(
                f"the loss of a micro-batch is {loss_sum}", "lower --lr, or check the base model's weights"
            )
        self._micro_step += 1
        self._n_supervised += batch.n_supervised
        return MicroResult(loss_sum, batch.n_supervised)

    def apply(self, lr: float) -> float:
        """Divide the accumulated gradient by its n_supervised, clip, update, clear; return grad_norm before clipping.

        Raises:
            EngineError: nothing supervised was accumulated.
        """
        if self._n_supervised == 0:
            raise EngineError("no supervised target was accumulated before this step", "check the data's loss_mask")
        parameters = self._parameters()
        for parameter in parameters:
            parameter.grad /= self._n_supervised
        limit = self._adam.grad_clip if self._adam.grad_clip > 0 else float("inf")
        grad_norm = float(self._torch.nn.utils.clip_grad_norm_(parameters, limit))
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        self._optimizer.step()
        self._clear()
        self._step += 1
        return grad_norm

    def evaluate(self, batch: MicroBatch) -> MicroResult:
        """Run forward only, without dropout."""
        check_batch(batch, self._n_vocab)
        self._model.eval()
        with self._torch.no_grad():
            losses = [self._loss(batch, rows) for rows in row_groups(batch)]
        return MicroResult(sum(float(loss.item()) for loss in losses if loss is not None), batch.n_supervised)

    def logits(self, batch: MicroBatch) -> F32:
        """Logits of every position, f32 [n_tok, n_vocab], without dropout."""
        check_batch(batch, self._n_vocab)
        self._model.eval()
        out = np.empty((batch.n_tok, self._n_vocab), np.float32)
        with self._torch.no_grad(), self._autocast():
            for rows in row_groups(batch):
                hidden = self._hidden(batch, rows)
                for index, (start, end) in enumerate(rows):
                    out[start:end] = self._head(hidden[index, : end - start]).float().cpu().numpy()
        return out

    def gradients(self) -> dict[str, tuple[F32, F32]]:
        """What `accumulate` has added up, undivided: base tensor name → (da (rank, n_in), db (n_out, rank))."""
        return {
            name: (to_array(factors.a.grad), qk_order.to_gguf(to_array(factors.b.grad), factors.n_head))
            for name, factors in self._factors.items()
            if factors.a.grad is not None
        }

    def state(self) -> EngineState:
        """Copy adapter, moments and counters out (NumPy, f32, GGUF row order)."""
        tensors = {name: self._export(factors) for name, factors in self._factors.items()}
        return EngineState(tensors, self._step, self._micro_step)

    def load_state(self, state: EngineState) -> None:
        """Put a state in; empty moments mean zeros. Clears the accumulated gradient.

        Raises:
            EngineError: the state's tensors are not this engine's, by name or shape.
        """
        if set(state.tensors) != set(self._factors):
            other = sorted(set(state.tensors) ^ set(self._factors))[0]
            raise EngineError(
                f'the state does not fit the run: "{other}" is in one of them only', "use its own checkpoint"
            )
        for name, factors in self._factors.items():
            _check_shapes(name, factors, state.tensors[name])
        for name, factors in self._factors.items():
            self._load(factors, state.tensors[name], state.step)
        self._clear()
        self._step, self._micro_step = state.step, state.micro_step

    def peak_mem_bytes(self) -> dict[str, int]:
        """Peak memory: "rss", and "cuda" where that is the device."""
        peak = {"rss": peak_rss()}
        if self._device.type == "cuda":
            peak[str(self._device)] = int(self._torch.cuda.max_memory_allocated(self._device))
        return peak

    def close(self) -> None:
        """Free the model and every buffer. The engine cannot be used afterwards."""
        self._factors = {}
        del self._model, self._optimizer
        if self._device.type == "cuda":
            self._torch.cuda.empty_cache()

    def _parameters(self) -> list[Any]:
        return [parameter for factors in self._factors.values() for parameter in (factors.a, factors.b)]

    def _clear(self) -> None:
        self._optimizer.zero_grad(set_to_none=True)
        self._n_supervised = 0

    def _autocast(self) -> AbstractContextManager[Any]:
        if self._precision != "autocast":
            return nullcontext()
        context: AbstractContextManager[Any] = self._torch.autocast(self._device.type, dtype=self._torch.bfloat16)
        return context

    def _random_stream(self) -> AbstractContextManager[Any]:
        """Dropout's numbers follow from seed and micro_step alone, so a resumed run draws the same ones."""
        if self._lora.dropout == 0:
            return nullcontext()
        return seeded(self._torch, (self._lora.seed << 32) + self._micro_step)

    def _hidden(self, batch: MicroBatch, rows: list[tuple[int, int]]) -> Any:
        """Last hidden states [n_row, longest, n_embd]; padding is on the right, where causal attention never looks."""
        longest = max(end - start for start, end in rows)
        tokens = np.zeros((len(rows), longest), np.int64)
        for index, (start, end) in enumerate(rows):
            tokens[index, : end - start] = batch.tokens[start:end]
        ids = self._torch.from_numpy(tokens).to(self._device)
        return self._model.get_base_model().model(input_ids=ids, use_cache=False).last_hidden_state

    def _head(self, hidden: Any) -> Any:
        return self._model.get_base_model().lm_head(hidden)

    def _loss(self, batch: MicroBatch, rows: list[tuple[int, int]]) -> Any | None:
        """Summed cross-entropy over the rows' supervised targets, None where there are none."""
        longest = max(end - start for start, end in rows)
        picked = [np.flatnonzero(batch.loss_mask[start:end]) for start, end in rows]
        if not sum(map(len, picked)):
            return None
        torch = self._torch
        places = np.concatenate([index * longest + p for index, p in enumerate(picked)])
        targets = np.concatenate([batch.targets[start:end][p] for (start, end), p in zip(rows, picked, strict=True)])
        with self._autocast():
            hidden = self._hidden(batch, rows).flatten(0, 1)
            logits = self._head(hidden.index_select(0, torch.from_numpy(places).to(self._device))).float()
            wanted = torch.from_numpy(targets.astype(np.int64)).to(self._device)
            return torch.nn.functional.cross_entropy(logits, wanted, reduction="sum")

    def _export(self, factors: Factors) -> LoraState:
        a_state, b_state = (self._optimizer.state[parameter] for parameter in (factors.a, factors.b))
        a, a_m, a_v = map(to_array, (factors.a, a_state["exp_avg"], a_state["exp_avg_sq"]))
        b, b_m, b_v = (
            qk_order.to_gguf(to_array(rows), factors.n_head)
            for rows in (factors.b, b_state["exp_avg"], b_state["exp_avg_sq"])
        )
        return LoraState(a, b, a_m, a_v, b_m, b_v)

    def _load(self, factors: Factors, state: LoraState, step: int) -> None:
        torch = self._torch
        for parameter, value, m, v, n_head in (
            (factors.a, state.a, state.a_m, state.a_v, 0),
            (factors.b, state.b, state.b_m, state.b_v, factors.n_head),
        ):
            with torch.no_grad():
                parameter.copy_(torch.from_numpy(qk_order.to_hf(value, n_head)))
            first, second = (
                torch.from_numpy(qk_order.to_hf(x, n_head)).to(parameter) if x.size else torch.zeros_like(parameter)
                for x in (m, v)
            )
            self._optimizer.state[parameter] = {
                "step": torch.tensor(float(step)),
                "exp_avg": first,
                "exp_avg_sq": second,
            }


def _check_shapes(name: str, factors: Factors, state: LoraState) -> None:
    for ours, theirs in ((factors.a, (state.a, state.a_m, state.a_v)), (factors.b, (state.b, state.b_m, state.b_v))):
        for index, array in enumerate(theirs):
            if array.shape != tuple(ours.shape) and (array.size or index == 0):
                raise EngineError(
                    f'"{name}" has shape {array.shape} in the state and {tuple(ours.shape)} in the run',
                    "use the rank and the base model that the state was made with",
                )
