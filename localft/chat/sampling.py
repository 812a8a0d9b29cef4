"""From logits to the next token."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from localft.errors import ConfigError
from localft.settings.train_config import MOST_THREADS

MIN_N_CTX = 8


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen and when an answer ends.

    Attributes:
        temp: 0 = greedy.
        top_p: smallest set of tokens of at least this probability; 1 = off.
        top_k: at most so many tokens; 0 = off.
        max_tokens: per answer; 0 = until the context is full.
        seed: of the sampler; 0 is a seed.
        stop: strings that end an answer and are not part of it.
    """

    temp: float = 0.0
    top_p: float = 0.95
    top_k: int = 40
    max_tokens: int = 512
    seed: int = 42
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        checks = (
            (np.isfinite(self.temp) and self.temp >= 0, "temp", "0 or more"),
            (0 < self.top_p <= 1, "top_p", "above 0 and at most 1"),
            (self.top_k >= 0, "top_k", "0 or more"),
            (self.max_tokens >= 0, "max_tokens", "0 or more"),
            (self.seed >= 0, "seed", "0 or more"),
            (all(self.stop), "stop", "text that is not empty"),
        )
        for good, name, wanted in checks:
            if not good:
                raise ConfigError(f"`{name}` is {getattr(self, name)!r}", f"{name} must be {wanted}")

    @classmethod
    def of(cls, **settings: Any) -> Sampling:
        """Make one from keywords, refusing those that it does not know; a single stop string may be given bare."""
        known = sorted(field.name for field in dataclasses.fields(cls))
        for name in settings:
            if name not in known:
                raise ConfigError(f"`{name}` is no setting of a chat", f"sampling settings are {', '.join(known)}")
        if isinstance(settings.get("stop"), str):
            settings["stop"] = (settings["stop"],)
        return cls(**settings)


def require_settings(n_ctx: int | None, n_threads: int | None, adapter_scale: float, adapter: bool) -> None:
    """Refuse a chat's other numbers where they are out of range.

    Raises:
        ConfigError: names the setting and its value.
    """
    if n_ctx is not None and n_ctx < MIN_N_CTX:
        raise ConfigError(f"`n_ctx` is {n_ctx}", f"a context needs at least {MIN_N_CTX} tokens")
    if n_threads is not None and not 1 <= n_threads <= MOST_THREADS:
        raise ConfigError(f"`n_threads` is {n_threads}", f"n_threads must be from 1 to {MOST_THREADS}")
    if not np.isfinite(adapter_scale):
        raise ConfigError(f"`adapter_scale` is {adapter_scale}", "adapter_scale must be a finite number")
    if not adapter and adapter_scale != 1:
        raise ConfigError(
            f"`adapter_scale` is {adapter_scale:g}, and there is no adapter", "leave it out, or add --lora"
        )


def choose(logits: NDArray[np.float32], sampling: Sampling, rng: np.random.Generator) -> int:
    """Pick a token: greedy at temp 0, else top-k, then top-p, then temperature, in llama.cpp's order.

    Args:
        logits: f32 [n_vocab].
        sampling: temp, top_k and top_p are read.
        rng: advanced by one draw, where temp is above 0.
    """
    if sampling.temp == 0:
        return int(logits.argmax())
    n = min(sampling.top_k or logits.size, logits.size)
    ids = np.argpartition(-logits, n - 1)[:n] if n < logits.size else np.arange(logits.size)
    ids = ids[np.argsort(-logits[ids], kind="stable")]
    probs = _softmax(logits[ids], 1.0)
    n_kept = int(np.searchsorted(np.cumsum(probs), sampling.top_p)) + 1
    ids = ids[:n_kept]
    return int(rng.choice(ids, p=_softmax(logits[ids], sampling.temp)))


def _softmax(logits: NDArray[np.float32], temp: float) -> NDArray[np.float64]:
    """Probabilities at any temperature above 0, however small."""
    with np.errstate(over="ignore"):
        weights = np.exp((logits.astype(np.float64) - float(logits.max())) / temp)
    probs: NDArray[np.float64] = weights / weights.sum()
    return probs
