"""One side of a benchmark, in a process of its own, so that its peak memory is its own. Started by child.py.

Takes the side's description as its argument, then one request per line on stdin, and answers each with a line of JSON
on stdout: {"do": "load"}, {"do": "step", "index": 3}, {"do": "profile", "index": 3}, {"do": "report"}. A request that
fails is answered with {"error": …}; the end of stdin ends the process.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any


class Runner:
    """The engine under measurement and what it is asked to do."""

    def __init__(self, spec: dict[str, Any]) -> None:
        from job import Job

        self.spec = spec
        self.job = Job(**spec["job"])
        self.engine: Any = None
        self.cpu_seconds = 0.0  # of the process, when the last step ended

    def load(self) -> dict[str, Any]:
        """Make the engine; seconds, and the versions of what computes."""
        start = time.perf_counter()
        make = _make_peft if self.spec["engine"] == "peft" else _make_native
        self.engine = make(self.spec, self.job)
        return {"load_seconds": time.perf_counter() - start, "versions": _versions(self.spec["engine"])}

    def step(self, index: int) -> dict[str, Any]:
        """One optimizer step: its seconds, its loss, and what it worked on."""
        batches = self.job.step(index, self.spec["rows_per_pass"])
        idle = time.process_time() - self.cpu_seconds if self.cpu_seconds else 0.0
        start = time.perf_counter()
        results = [self.engine.accumulate(batch) for batch in batches]
        self.engine.apply(self.job.lr)
        seconds = time.perf_counter() - start
        self.cpu_seconds = time.process_time()
        n_supervised = sum(r.n_supervised for r in results)
        return {
            "seconds": seconds,
            "loss": sum(r.loss_sum for r in results) / n_supervised,
            "n_tok": sum(batch.n_tok for batch in batches),
            "n_supervised": n_supervised,
            "n_padded": sum(_padded(batch, self.spec["engine"]) for batch in batches),
            "idle_cpu_seconds": round(idle, 4),
        }

    def profile(self, index: int) -> dict[str, Any]:
        """Seconds of one step by the kind of work; native engine only."""
        batches = self.job.step(index, self.spec["rows_per_pass"])
        start = time.perf_counter()
        parts = [self.engine.profile(batch) for batch in batches]
        computed = time.perf_counter()
        self.engine.apply(self.job.lr)
        end = time.perf_counter()
        seconds = {kind: sum(part[kind][1] for part in parts) for kind in parts[0]}
        seconds["rest"] = computed - start - sum(seconds.values())
        seconds["optimizer"] = end - computed
        return {"n_micro_batch": len(batches), "seconds": seconds}

    def report(self) -> dict[str, Any]:
        """What is known at the end: peak memory, and what the engine chose."""
        from localft.hardware import peak_rss

        names = ("n_recompute", "kernels", "arithmetic", "memory_estimate")
        settings = {name: getattr(self.engine, name) for name in names if hasattr(self.engine, name)}
        return {"peak_mem_bytes": peak_rss(), "engine_settings": settings}


def _make_native(spec: dict[str, Any], job: Any) -> Any:
    from localft.engine.native import NativeEngine

    options: dict[str, Any] = {"arithmetic": "auto", "max_tokens": job.max_tokens(spec["rows_per_pass"])}
    for option in spec["options"]:
        options |= {"memory_budget": 1} if option == "recompute" else {"arithmetic": option}
    return NativeEngine(Path(spec["model"]), job.lora(), job.adam(), device="cpu", n_threads=spec["threads"], **options)


def _make_peft(spec: dict[str, Any], job: Any) -> Any:
    from localft.engine.peft import PeftEngine

    mode, threads = spec["mode"], spec["threads"]
    engine = PeftEngine(Path(spec["model"]), job.lora(), job.adam(), device="cpu", n_threads=threads, precision=mode)
    for option in spec["options"]:
        if option == "ckpt":
            _checkpoint(engine)
        else:
            _compile(engine, job)
    return engine


def _checkpoint(engine: Any) -> None:
    """Keep each layer's input only, and run the layer again in the backward pass."""
    base = engine._model.get_base_model()
    base.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    base.enable_input_require_grads()


def _compile(engine: Any, job: Any) -> None:
    """Run every layer through torch.compile; the layers are alike, so one is compiled for all.

    Real rows have many shapes: they get code for any length, made here, once for a row alone and once for several.
    """
    import torch

    for layer in engine._model.get_base_model().model.layers:
        layer.forward = torch.compile(layer.forward, dynamic=job.rows is not None or None)
    for n_row in (1, job.n_row) if job.rows else ():
        engine.accumulate(job.step(-1, n_row)[0])
    engine.load_state(engine.state())  # empties the accumulator


def _padded(batch: Any, engine: str) -> int:
    """Positions that are computed, padding included."""
    from localft.engine.padding import row_groups

    if engine == "native":
        return int(batch.n_tok)
    return sum(len(rows) * max(end - start for start, end in rows) for rows in row_groups(batch))


def _versions(engine: str) -> dict[str, str]:
    from importlib.metadata import version

    if engine == "native":
        from localft.engine.native import ggml_version

        return {"ggml": ggml_version(), "llama_cpp_python": version("llama-cpp-python")}
    return {name: version(name) for name in ("torch", "transformers", "peft")}


def main() -> None:
    """Answer requests until stdin ends."""
    # A library may print: keep stdout for the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    runner = Runner(json.loads(sys.argv[1]))
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(runner, request.pop("do"))(**request)
        except Exception as error:  # whatever a library throws is this side's result
            answer = {"error": f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
