"""Every kind of damaged or foreign adapter file is refused with a sentence, and none crashes the process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hostile_adapters import hostile

from localft.adapter import check_adapter
from localft.errors import AdapterError

CASES = [
    "architecture", "no-type", "model-type", "int-type", "no-adapter-type", "control-vector", "int-alpha",
    "array-alpha", "f64-alpha", "nan-alpha", "no-tensors", "unknown-layer", "unknown-suffix", "embedding", "vector",
    "rank", "swapped", "shape", "transposed", "three-dims", "int-factor", "nan", "only-a", "only-b", "alora",
    "alignment", "magic", "version", "empty", "cut-header", "cut-data", "many-tensors", "many-keys",
    "long-key", "absurd-dims", "zero-dims", "huge-dims", "bad-utf8", "missing", "folder",
]  # fmt: skip


@pytest.fixture(scope="module")
def hostiles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, str]]:
    return hostile(tmp_path_factory.mktemp("hostile"))


def test_the_list_of_hostile_adapters_is_complete(hostiles: dict[str, tuple[Path, str]]) -> None:
    assert sorted(hostiles) == sorted(CASES)


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_adapter_is_refused_with_a_sentence(
    base: Path, hostiles: dict[str, tuple[Path, str]], name: str
) -> None:
    path, words = hostiles[name]
    with pytest.raises(AdapterError) as caught:
        check_adapter(path, base)
    assert words in caught.value.message
    assert str(path) in caught.value.message
    assert caught.value.hint
    assert not caught.value.message.endswith(".")


def test_the_sound_adapter_behind_the_hostile_ones_is_accepted(
    base: Path, hostiles: dict[str, tuple[Path, str]]
) -> None:
    fit = check_adapter(hostiles["magic"][0].with_name("sound.gguf"), base)
    assert (fit.rank, fit.alpha, fit.n_tensors, fit.notes) == (4, 8.0, 1, ())


_LOAD_ALL = """
import sys
from localft.chat import ChatSession
from localft.errors import AdapterError
for path in sys.argv[2:]:
    try:
        "".join(ChatSession(sys.argv[1], path, max_tokens=2, n_ctx=32, n_threads=1).ask("the cat"))
    except AdapterError:
        print("refused")
"""


def test_no_hostile_adapter_crashes_the_process(base: Path, hostiles: dict[str, tuple[Path, str]]) -> None:
    """llama.cpp aborts or segfaults on many of these, so each goes all the way through a chat, outside this process."""
    paths = [str(path) for path, _ in hostiles.values()]
    done = subprocess.run([sys.executable, "-c", _LOAD_ALL, str(base), *paths], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["refused"] * len(CASES)
