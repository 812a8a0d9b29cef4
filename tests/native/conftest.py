"""The kernels that this CPU can run."""

from __future__ import annotations

from pathlib import Path

import pytest
from engines import KERNELS, make
from golden import models

from localft.errors import EngineError


@pytest.fixture(params=KERNELS)
def kernels(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A set of kernels of our own; the test is skipped where this CPU cannot run it."""
    try:
        make(models.MODELS["tiny"], tmp_path / "probe", kernels=request.param)
    except EngineError as error:
        pytest.skip(error.message)
    return str(request.param)
