"""Write the golden files: PyTorch's and PEFT's own numbers for the tiny models, so that tests need no torch.

    python tests/golden/make_golden.py        (torch==2.13.0 transformers==5.23.0 peft==0.21.2)

Nothing of localft's engines is used here: the model is PEFT's on transformers', the loss is cross_entropy summed over
supervised targets, the optimizer is torch.optim.AdamW behind clip_grad_norm_. Each row runs by itself.
Files hold, per model: `logits` of every position, `loss_sum`, gradients of that sum, and ten steps' losses, gradient
norms and final factors. Factors and their gradients are in the GGUF's row order.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import peft
import torch
import transformers

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent)]

from golden import models  # noqa: E402
from golden.cases import CASES, Case  # noqa: E402
from localft.data.batching.micro_batch import MicroBatch  # noqa: E402

VERSIONS = {"torch": "2.13.0", "transformers": "5.23.0", "peft": "0.21.2"}


def load(case: Case) -> Any:
    """The case's model with its adapter on it, f32, as PEFT makes it."""
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = models.write_checkpoint(case.shape, Path(folder))
        base = transformers.AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
    targets = [models.hf_name(name).removesuffix(".weight") for name in case.shape.matrices()]
    config = peft.LoraConfig(r=case.rank, lora_alpha=case.alpha, lora_dropout=0.0, target_modules=targets)
    model = peft.get_peft_model(base, config)
    state = models.adapter(case.shape, case.rank)
    with torch.no_grad():
        for name, (a, b) in factors(model, case).items():
            a.copy_(torch.from_numpy(state[name].a))
            b.copy_(torch.from_numpy(models.in_hf_order(case.shape, name, state[name].b)))
    return model


def factors(model: Any, case: Case) -> dict[str, tuple[Any, Any]]:
    """The parameters A and B of every adapted tensor, by GGUF name."""
    base = model.get_base_model()
    found = {}
    for name in case.shape.matrices():
        module = base.get_submodule(models.hf_name(name).removesuffix(".weight"))
        found[name] = (module.lora_A["default"].weight, module.lora_B["default"].weight)
    return found


def loss_sum(model: Any, batch: MicroBatch) -> tuple[Any, Any]:
    """Nats summed over the supervised targets, and the logits [n_tok, n_vocab]."""
    total, logits = 0.0, []
    for start, end in zip(batch.row_starts[:-1], batch.row_starts[1:], strict=True):
        row = torch.from_numpy(batch.tokens[start:end].astype(np.int64))[None]
        logits.append(model(input_ids=row).logits[0])
        targets = torch.from_numpy(batch.targets[start:end].astype(np.int64))
        targets = torch.where(torch.from_numpy(batch.loss_mask[start:end]) == 1, targets, -100)
        total = total + torch.nn.functional.cross_entropy(logits[-1], targets, ignore_index=-100, reduction="sum")
    return total, torch.cat(logits)


def gradients(case: Case) -> dict[str, Any]:
    """Logits, loss and gradients of the first batch."""
    model = load(case)
    total, logits = loss_sum(model, case.batches()[0])
    total.backward()
    out = {"logits": logits.detach().numpy(), "loss_sum": np.float64(total.item())}
    for name, (a, b) in factors(model, case).items():
        out[f"grad/{name}/a"] = a.grad.numpy().copy()
        out[f"grad/{name}/b"] = models.in_gguf_order(case.shape, name, b.grad.numpy().copy())
    return out


def steps(case: Case) -> dict[str, Any]:
    """One AdamW step per batch: loss per supervised token, gradient norm before clipping, final factors."""
    model = load(case)
    parameters = [p for pair in factors(model, case).values() for p in pair]
    adam = case.adam
    optimizer = torch.optim.AdamW(
        parameters, lr=case.lr, betas=(adam.beta1, adam.beta2), eps=adam.eps, weight_decay=adam.weight_decay
    )
    losses, norms = [], []
    for batch in case.batches():
        optimizer.zero_grad()
        total, _ = loss_sum(model, batch)
        (total / batch.n_supervised).backward()
        norms.append(torch.nn.utils.clip_grad_norm_(parameters, adam.grad_clip).item())
        losses.append(total.item() / batch.n_supervised)
        optimizer.step()
    out = {"step/loss": np.array(losses), "step/grad_norm": np.array(norms)}
    for name, (a, b) in factors(model, case).items():
        out[f"final/{name}/a"] = a.detach().numpy().copy()
        out[f"final/{name}/b"] = models.in_gguf_order(case.shape, name, b.detach().numpy().copy())
    return out


def main() -> None:
    """Write one file per case, beside this script."""
    seen = {
        "torch": torch.__version__.split("+")[0],
        "transformers": transformers.__version__,
        "peft": peft.__version__,
    }
    if seen != VERSIONS:
        sys.exit(f"error: golden files are made with {VERSIONS}, and here are {seen}")
    torch.set_num_threads(1)
    for case in CASES.values():
        arrays = {**gradients(case), **steps(case)}
        path = HERE / f"{case.name}.npz"
        np.savez_compressed(path, **arrays)
        print(f"{path.name}: {len(arrays)} arrays, {path.stat().st_size} bytes, losses {arrays['step/loss'].round(4)}")


if __name__ == "__main__":
    main()
