"""Make the bundled demo model: a tokenizer and a llama of 2.6 million parameters, trained on generated text.

Needs torch, transformers and tokenizers (the extra `peft`). The same seed on the same machine gives the same model:

    python examples/demo/make_model.py --out localft/demo/model
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from chats import chat
from stories import day, describe, names, open_with, ramble, story
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

END_OF_TEXT, IM_START, IM_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
N_VOCAB, N_CTX = 1024, 512
Draw = Callable[[random.Random], str]
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def document(rng: random.Random) -> str:
    """Draw one document: a conversation as the chat template writes it, or plain text with its end token."""
    kind = rng.random()
    if kind < 0.68:
        return as_chat(chat(rng))
    if kind < 0.88:
        return story(rng) + IM_END
    return (day(rng) if kind < 0.94 else describe(rng, rng.choice(names()))) + IM_END


def varied_document(rng: random.Random) -> str:
    """Draw one document of the second stage: with exercises among the questions, and with freer text."""
    kind = rng.random()
    if kind < 0.72:
        return as_chat(chat(rng, exercises=0.5))
    if kind < 0.82:
        return ramble(rng) + IM_END
    if kind < 0.95:
        return open_with(rng, story(rng)) + IM_END
    return document(rng)


def as_chat(messages: list[dict[str, str]]) -> str:
    """Write a conversation as the chat template does."""
    return "".join(f"{IM_START}{message['role']}\n{message['content']}{IM_END}\n" for message in messages)


def make_tokenizer(seed: int, n_documents: int = 4000) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE of `N_VOCAB` pieces with SmolLM's pre-tokenizer: digits apart, then GPT-2's words."""
    rng = random.Random(seed)
    bpe = Tokenizer(models.BPE())
    words = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    bpe.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), words])
    bpe.decoder = decoders.ByteLevel(add_prefix_space=True, trim_offsets=True, use_regex=True)
    special = [AddedToken(text, special=True, normalized=False) for text in (END_OF_TEXT, IM_START, IM_END)]
    trainer = trainers.BpeTrainer(
        vocab_size=N_VOCAB,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = (document(rng) for _ in range(n_documents))
    bpe.train_from_iterator((text.replace(IM_START, "").replace(IM_END, "") for text in texts), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token=IM_START,
        eos_token=IM_END,
        unk_token=END_OF_TEXT,
        pad_token=END_OF_TEXT,
        clean_up_tokenization_spaces=False,
        model_max_length=N_CTX,
        chat_template=CHAT_TEMPLATE,
    )


def make_model(seed: int) -> LlamaForCausalLM:
    """Make the untrained model; every width is a multiple of 256, so that every quantised type fits."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=N_VOCAB,
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=64,
        max_position_embeddings=N_CTX,
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        initializer_range=0.04,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    return LlamaForCausalLM(config)


def windows(tokenizer: PreTrainedTokenizerFast, draw: Draw, seed: int) -> Iterator[torch.Tensor]:
    """Yield batches of 4096 tokens for ever: documents end to end, each window beginning with a new one."""
    rng = random.Random(seed)
    for number in range(10**9):
        length = N_CTX if number % 6 == 5 else 192
        batch = []
        for _ in range(4096 // length):
            ids: list[int] = []
            while len(ids) < length + 1:
                ids += tokenizer.encode(draw(rng), add_special_tokens=False)
            batch.append(ids[: length + 1])
        yield torch.tensor(batch)


class Muon(torch.optim.Optimizer):
    """Momentum, made orthogonal by five Newton-Schulz steps (Jordan et al., 2024, "Muon"), in float32."""

    def __init__(self, params: list[torch.nn.Parameter], lr: float) -> None:
        super().__init__(params, {"lr": lr, "momentum": 0.95, "weight_decay": 0.05})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Update every matrix; equal mean-square steps for all shapes."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                average = self.state[p].setdefault("average", torch.zeros_like(p))
                average.lerp_(p.grad, 1 - group["momentum"])
                update = orthogonal(p.grad.lerp(average, group["momentum"]))
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(update, alpha=-group["lr"] * max(1.0, p.shape[0] / p.shape[1]) ** 0.5)


def orthogonal(g: torch.Tensor) -> torch.Tensor:
    """Push the singular values of `g` towards one by the quintic iteration with Muon's published coefficients."""
    x = g / (g.norm() + 1e-7)
    if tall := x.shape[0] > x.shape[1]:
        x = x.T
    for _ in range(5):
        square = x @ x.T
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x.T if tall else x


def optimizers(model: LlamaForCausalLM) -> list[torch.optim.Optimizer]:
    """Muon for the matrices, AdamW for the embedding and the norms."""
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    return [Muon(matrices, lr=0.02), torch.optim.AdamW(others, lr=0.005, betas=(0.9, 0.98), weight_decay=0.0)]


def train(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, draw: Draw, steps: int, seed: int, peak: float = 1.0
) -> float:
    """Train for `steps` steps on what `draw` writes; `peak` scales the learning rates.

    Returns:
        The mean loss of the last fifty steps, in nats per token.
    """
    chosen = optimizers(model)
    peaks = [[group["lr"] * peak for group in optimizer.param_groups] for optimizer in chosen]
    recent: list[float] = []
    started = time.monotonic()
    for step, batch in zip(range(steps), windows(tokenizer, draw, seed), strict=False):
        share = min(1.0, (step + 1) / 20) * min(1.0, max(0.02, (steps - step) / (0.5 * steps)))
        for optimizer, lrs in zip(chosen, peaks, strict=True):
            for group, lr in zip(optimizer.param_groups, lrs, strict=True):
                group["lr"] = lr * share
        logits = model(input_ids=batch[:, :-1], use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in chosen:
            optimizer.step()
            optimizer.zero_grad()
        recent = [*recent[-49:], loss.item()]
        if step % 20 == 0 or step == steps - 1:
            speed = 4096 * (step + 1) / (time.monotonic() - started)
            mean = math.fsum(recent[-20:]) / len(recent[-20:])
            print(f"step {step:5d}  loss {mean:.4f}  {speed:.0f} tok/s", flush=True)
    return math.fsum(recent) / len(recent)


@torch.no_grad()
def answer(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, prompt: str, limit: int = 160) -> str:
    """Continue `prompt` greedily until an end token or `limit` tokens."""
    ids = tokenizer.encode(prompt, add_special_tokens=False, return_tensors="pt")
    out = model.generate(ids, max_new_tokens=limit, do_sample=False, attention_mask=torch.ones_like(ids))
    return str(tokenizer.decode(out[0, ids.shape[1] :]))


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    """Write the checkpoint in bf16, its tokenizer and a generation config."""
    model.generation_config.update(do_sample=False, eos_token_id=[2, 0])
    model.to(torch.bfloat16).save_pretrained(out)
    tokenizer.save_pretrained(out)
    path = out / "tokenizer_config.json"
    # transformers 5 writes a class name that version 4 does not know, and leaves out that no BOS is wanted.
    settings = json.loads(path.read_text()) | {"tokenizer_class": "PreTrainedTokenizerFast", "add_bos_token": False}
    settings.pop("backend", None)
    path.write_text(json.dumps(settings, indent=2) + "\n")


def main() -> None:
    """Train on the plain world first, then on freer text; show samples; save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the finished checkpoint")
    parser.add_argument("--first", type=Path, default=Path("build/demo-first"), help="folder of the first stage's")
    parser.add_argument("--steps", type=int, nargs=2, default=[560, 320])
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = make_tokenizer(args.seed)
    if not (args.first / "model.safetensors").is_file():
        model = make_model(args.seed)
        print(f"{model.num_parameters()} parameters, {len(tokenizer)} pieces")
        train(model, tokenizer, document, args.steps[0], args.seed + 1)
        save(model, tokenizer, args.first)
    model = LlamaForCausalLM.from_pretrained(args.first, dtype=torch.float32)
    loss = train(model, tokenizer, varied_document, args.steps[1], args.seed + 2, peak=0.6)
    save(model, tokenizer, args.out)
    model.float()
    print(f"loss {loss:.4f}")
    question = f"{IM_START}user\nWhat colour is a frog?{IM_END}\n{IM_START}assistant\n"
    for prompt in ("One day", "It was a cold night and", question):
        print(json.dumps(prompt + answer(model, tokenizer, prompt)))


if __name__ == "__main__":
    main()
