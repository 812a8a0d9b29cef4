"""Activations: fewer with a budget, and about as many bytes as was said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from engines import load
from golden import models

from localft.engine.native import devices

SHAPE = models.Shape("long", 64, 172, 12, 4, 2, 96, tied=True)
N_TOK = 2048

PEAK = """
import json, resource, sys
from pathlib import Path
sys.path[:0] = json.loads(sys.argv[4])
from engines import load
from golden import models
from test_memory import N_TOK, SHAPE

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

kernels, budget, model = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
engine = load(SHAPE, model, max_tokens=N_TOK, memory_budget=budget, kernels=kernels)
engine.accumulate(models.batch(SHAPE, (16,)))
before = resident()
engine.accumulate(models.batch(SHAPE, (N_TOK // 4,) * 4))
print(json.dumps([engine.memory_estimate, resident() - before]))
"""


# The plain ops hold whole attention matrices in either case.
@pytest.mark.parametrize(("kernels", "share"), [("auto", 0.4), ("plain", 0.85)])
def test_a_budget_is_kept(kernels: str, share: float, tmp_path: Path) -> None:
    model = models.write_gguf(SHAPE, tmp_path)
    full = load(SHAPE, model, max_tokens=N_TOK, kernels=kernels)
    least = load(SHAPE, model, max_tokens=N_TOK, memory_budget=1, kernels=kernels)
    assert (full.n_recompute, least.n_recompute) == (0, 12)
    assert least.memory_estimate < share * full.memory_estimate
    before = full
    for part in (0.9, 0.7, 0.5, 0.2):
        budget = int(least.memory_estimate + part * (full.memory_estimate - least.memory_estimate))
        engine = load(SHAPE, model, max_tokens=N_TOK, memory_budget=budget, kernels=kernels)
        assert engine.memory_estimate <= budget
        assert before.n_recompute < engine.n_recompute <= 12
        before = engine


def test_more_tokens_take_more_memory(tmp_path: Path) -> None:
    model = models.write_gguf(SHAPE, tmp_path)
    small, large = (load(SHAPE, model, max_tokens=n).memory_estimate for n in (N_TOK // 4, N_TOK))
    assert 3 * small < large < 5 * small
    assert load(SHAPE, model).memory_estimate == 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.skipif("LOCALFT_SANITIZED" in os.environ, reason="the sanitizers' own memory is counted")
@pytest.mark.parametrize("budget", [0, 1])
def test_the_estimate_is_what_is_used(budget: int, tmp_path: Path) -> None:
    """Growth of the resident set over one micro-batch in a fresh process, kernels' own scratch included."""
    model = models.write_gguf(SHAPE, tmp_path)
    folders = json.dumps([str(Path(__file__).parent), str(Path(__file__).parent.parent)])
    run = [sys.executable, "-c", PEAK, "auto", str(budget), str(model), folders]
    estimate, used = json.loads(subprocess.run(run, check=True, capture_output=True, text=True).stdout)
    assert 0.5 * estimate < used < 1.3 * estimate + 20e6


def test_the_cpu_is_a_device_with_memory() -> None:
    cpu = {device.name: device for device in devices()}["CPU"]
    assert cpu.kind == "cpu"
    assert 0 < cpu.memory_free <= cpu.memory_total
