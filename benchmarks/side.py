"""One side of a benchmark, in a process of its own, so that its peak memory is its own. Run by train.py.

Reads one JSON object from its argument, prints one on stdout: seconds and loss of every step, and peak memory.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any


def make_engine(spec: dict[str, Any], job: Any) -> Any:
    """The engine under measurement, on the model file that train.py has prepared."""
    model, threads = Path(spec["model"]), spec["threads"]
    if spec["engine"] == "peft":
        from localft.engine.peft import PeftEngine

        return PeftEngine(model, job.lora(), job.adam(), device="cpu", n_threads=threads, precision=spec["mode"])
    from localft.engine.native import NativeEngine

    max_tokens = spec["rows_per_pass"] * job.n_ctx
    return NativeEngine(
        model,
        job.lora(),
        job.adam(),
        device="cpu",
        n_threads=threads,
        max_tokens=max_tokens,
        arithmetic=spec["arithmetic"],
    )


def versions(engine: str) -> dict[str, str]:
    """Versions of what computes."""
    if engine == "native":
        import llama_cpp

        from localft.engine.native import ggml_version

        return {"ggml": ggml_version(), "llama_cpp_python": llama_cpp.__version__}
    import peft
    import torch
    import transformers

    return {"torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__}


def main() -> None:
    """Run warm-up and measured steps."""
    from job import Job

    from localft.hardware import peak_rss

    spec = json.loads(sys.argv[1])
    # A forked helper or a library may print: keep stdout for the result.
    result_out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    job = Job(**spec["job"])
    start = time.perf_counter()
    engine = make_engine(spec, job)
    load_seconds = time.perf_counter() - start
    seconds, losses = [], []
    for index in range(spec["n_warmup"] + spec["n_step"]):
        batches = job.step(index, spec["rows_per_pass"])
        start = time.perf_counter()
        results = [engine.accumulate(batch) for batch in batches]
        engine.apply(job.lr)
        seconds.append(time.perf_counter() - start)
        losses.append(sum(r.loss_sum for r in results) / sum(r.n_supervised for r in results))
    measured = {"seconds": seconds, "loss": losses, "load_seconds": load_seconds, "peak_mem_bytes": peak_rss()}
    extra = {key: getattr(engine, key) for key in ("n_recompute", "kernels", "arithmetic") if hasattr(engine, key)}
    result_out.write(json.dumps({**measured, "engine_settings": extra, "versions": versions(spec["engine"])}) + "\n")
    result_out.flush()


if __name__ == "__main__":
    main()
