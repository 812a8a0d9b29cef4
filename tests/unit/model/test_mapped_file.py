"""A model file that changes while it is mapped: a sentence before the next use, and one where it is too late."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tiny_llama import write_model

from localft.chat import ChatSession
from localft.data.batching.micro_batch import MicroBatch
from localft.engine import AdamSpec, LoraSpec
from localft.engine.native import NativeEngine
from localft.errors import ModelError
from localft.model.gguf.mapped_file import MappedFile, truncation_notice
from localft.python_process import module_command

IDS = np.arange(5, dtype=np.int32)
BATCH = MicroBatch(IDS[:-1], IDS[1:], np.ones(4, np.uint8), np.array([0, 4], np.int32))
CHANGES = "and has 8,192", "bytes and has", "written to"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "tiny.gguf")


def cut(path: Path) -> None:
    os.truncate(path, 8192)


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-8, 2)
        file.write(b"\1" * 8)


@pytest.mark.parametrize(
    ("change", "words"), [(cut, "and has 8,192"), (grow, "bytes and has"), (overwrite, "written to")]
)
def test_a_change_is_noticed(change: Callable[[Path], None], words: str, model: Path) -> None:
    file = MappedFile(model)
    file.require_same()
    change(model)
    with pytest.raises(ModelError) as caught:
        file.require_same()
    assert caught.value.message.startswith(f"`{model}` changed while it was in use: ")
    assert words in caught.value.message
    assert caught.value.hint


def test_another_file_in_its_place_does_no_harm(model: Path, tmp_path: Path) -> None:
    engine = NativeEngine(model, LoraSpec(("blk.0.attn_q.weight",)), AdamSpec(), n_threads=1)
    before = engine.evaluate(BATCH)
    other = Path(shutil.copy(model, tmp_path / "other"))
    cut(other)
    other.replace(model)
    assert engine.evaluate(BATCH) == before
    model.unlink()
    assert engine.accumulate(BATCH) == before


def test_training_stops_before_it_reads_what_is_gone(model: Path) -> None:
    engine = NativeEngine(model, LoraSpec(("blk.0.attn_q.weight",)), AdamSpec(), n_threads=1)
    cut(model)
    for call in (engine.accumulate, engine.evaluate):
        with pytest.raises(ModelError, match="changed while it was in use"):
            call(BATCH)


def test_an_answer_stops_before_it_reads_what_is_gone(model: Path) -> None:
    with ChatSession(model, max_tokens=2, n_threads=1) as chat:
        assert "".join(chat.ask("the cat"))
        cut(model)
        with pytest.raises(ModelError, match="changed while it was in use"):
            "".join(chat.ask("the dog"))


_TRAIN = """
engine = NativeEngine(path, LoraSpec(("blk.0.attn_q.weight",)), AdamSpec(), n_threads=1)
os.truncate(path, 4096)
engine.evaluate(BATCH)
"""
_CHAT = """
chat = ChatSession(path, max_tokens=2, n_threads=1)
os.truncate(path, 4096)
"".join(chat.ask("the cat"))
"""


@pytest.mark.parametrize("program", [_TRAIN, _CHAT], ids=["training", "chat"])
def test_a_page_that_is_gone_ends_the_process_with_a_sentence(program: str, model: Path, tmp_path: Path) -> None:
    """It was a bus error, without a word. The check before each use is left out here: the file may change after it."""
    module = tmp_path / "cut_short.py"
    body = "from pathlib import Path\nfrom test_mapped_file import *\nMappedFile.require_same = lambda self: None\n"
    module.write_text(f"{body}path = Path({str(model)!r})\n{program}print('went on')\n")
    command = module_command("cut_short")
    path = os.pathsep.join((str(tmp_path), str(Path(__file__).parent)))
    command[3] = "\n".join((*path.split(os.pathsep), command[3]))
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stderr == truncation_notice(model, terminal=False)
    assert (done.returncode, done.stdout) == (1, "")


def test_the_last_words_on_a_terminal_clear_the_line_and_bring_the_cursor_back(tmp_path: Path) -> None:
    text = truncation_notice(tmp_path / "a\x1b[2Jb.gguf", terminal=True)
    assert text.startswith("\r\x1b[K\x1b[?25herror: `")
    assert "a␛[2Jb.gguf` was cut short" in text
    assert "\n\nhint: " in text
