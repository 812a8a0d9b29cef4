"""Sides that take turns step by step, so that each round compares what ran within seconds of each other."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from child import SideError


class Answering(Protocol):
    """What is needed of a `Child`."""

    def ask(self, do: str, **details: Any) -> dict[str, Any]: ...
    def close(self) -> None: ...


Say = Callable[[str], None]
PER_STEP = ("seconds", "loss", "n_tok", "n_supervised", "n_padded", "idle_cpu_seconds")


def run(
    children: Sequence[Answering],
    n_warmup: int,
    n_round: int,
    say: Say = lambda text: None,
    breakdown: bool = True,
) -> list[dict[str, Any]]:
    """Warm every side up, then let them take turns; the order is turned round after every round.

    Args:
        say: takes a line of progress.
        breakdown: let sides of the native engine profile one more step.

    Returns:
        Per side, in the order given: what every step gave, in lists; "failed" in their place where a side failed.
    """
    sides = [_Turns(child) for child in children]
    for number, side in enumerate(sides, 1):
        side.load()
        for index in range(-n_warmup, 0):
            side.step(index)
        say(f"side {number}/{len(sides)}  {side.result.get('failed', 'ready')}")
    for index in range(n_round):
        for side in sides if index % 2 == 0 else reversed(sides):
            side.step(index)
        say(f"round {index + 1}/{n_round}  " + "  ".join(side.last() for side in sides))
    for side in sides:
        side.finish(n_round if breakdown else None)
    return [side.result for side in sides]


class _Turns:
    """One side's turns; after a failure the others go on."""

    def __init__(self, child: Answering) -> None:
        self._child = child
        self.result: dict[str, Any] = {"warmup": []}
        self._steps: list[dict[str, Any]] = []

    def load(self) -> None:
        self._try(lambda: self.result.update(self._child.ask("load")))

    def step(self, index: int) -> None:
        self._try(lambda: self._steps.append(self._child.ask("step", index=index)))
        if index < 0:
            self.result["warmup"] += [{key: step[key] for key in ("seconds", "loss")} for step in self._steps]
            self._steps = []

    def last(self) -> str:
        return "failed" if "failed" in self.result else f"{self._steps[-1]['seconds']:.2f} s"

    def finish(self, index: int | None) -> None:
        """The report, and a breakdown of one more step where that is wanted."""
        if "failed" not in self.result:
            self.result |= {key: [step[key] for step in self._steps] for key in PER_STEP}
        self._try(lambda: self.result.update(self._child.ask("report")))
        if index is not None and "kernels" in self.result.get("engine_settings", {}):
            self._try(lambda: self.result.update(breakdown=self._child.ask("profile", index=index)))
        self._child.close()

    def _try(self, action: Callable[[], None]) -> None:
        if "failed" in self.result:
            return
        try:
            action()
        except SideError as error:
            self.result["failed"] = str(error)


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, smallest and largest."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def rates(side: dict[str, Any]) -> list[float]:
    """Tokens per second of every round, padding not counted."""
    return [n_tok / seconds for n_tok, seconds in zip(side["n_tok"], side["seconds"], strict=True)]


def speedup(side: dict[str, Any], baseline: dict[str, Any]) -> dict[str, float]:
    """How many times faster than `baseline`: the spread of the rounds' ratios."""
    return spread([theirs / ours for ours, theirs in zip(side["seconds"], baseline["seconds"], strict=True)])
