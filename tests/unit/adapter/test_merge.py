"""The merged model: base and adapter in one file."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest
from tiny_llama import write_model

from localft.adapter import merge, read_adapter
from localft.errors import AdapterError


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_a_merged_model_is_the_base_with_only_the_adapted_tensors_changed(
    tmp_path: Path, lora: Path, dtype: type
) -> None:
    base = write_model(tmp_path / "base.gguf", dtype=dtype)
    assert merge(lora, base, tmp_path / "merged.gguf", adapter_scale=0.5) == 14
    adapter = read_adapter(lora)
    old = {t.name: t.data for t in gguf.GGUFReader(base).tensors}
    new = {t.name: t.data for t in gguf.GGUFReader(tmp_path / "merged.gguf").tensors}
    assert list(old) == list(new)
    for name in old:
        if name not in adapter.tensors:
            assert np.array_equal(old[name], new[name])
            continue
        a, b = adapter.tensors[name]
        expected = (old[name].astype(np.float64) + 0.5 * 8.0 / 4 * (b.astype(np.float64) @ a)).astype(dtype)
        np.testing.assert_allclose(new[name], expected, rtol=2e-3 if dtype == np.float16 else 1e-6, atol=1e-6)


def test_merging_into_a_quantised_base_is_refused_and_leaves_nothing(tmp_path: Path, base: Path, lora: Path) -> None:
    quantised = tmp_path / "q8_0.gguf"
    quantise(base, quantised)
    out = tmp_path / "out" / "merged.gguf"
    with pytest.raises(AdapterError, match="q8_0"):
        merge(lora, quantised, out)
    assert not out.exists()


def quantise(source: Path, target: Path) -> None:
    import llama_cpp

    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = llama_cpp.LLAMA_FTYPE_MOSTLY_Q8_0
    assert llama_cpp.llama_model_quantize(str(source).encode(), str(target).encode(), params) == 0
