"""Files are written whole or not at all, and what a killed writer leaves is cleared away."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import pytest

from localft.doctor import problems
from localft.files import abandoned, atomic_path, atomic_paths, temporary_folder


@contextmanager
def killed(target: Path, kind: Callable[[Path], AbstractContextManager[Path]] = atomic_path) -> Iterator[None]:
    """A process that has written half of `target`, and is killed at the end."""
    ready, says = os.pipe()
    pid = os.fork()
    if pid == 0:
        with suppress(BaseException), kind(target) as temporary:
            if temporary.is_dir():
                (temporary / "deep").mkdir()
                temporary /= "deep/file"
            temporary.write_text("half")
            os.write(says, b"1")
            signal.pause()
        os._exit(1)
    os.close(says)
    try:
        assert os.read(ready, 1) == b"1"
        yield
    finally:
        os.close(ready)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_killed_writer_leaves_nothing_for_long(tmp_path: Path) -> None:
    target = tmp_path / "model.gguf"
    with killed(target):
        assert left(tmp_path) == [".model.gguf.localft.part"]
        with atomic_path(target) as second:  # another process writes the same target meanwhile
            assert second.name == ".model.gguf.localft1.part"
            second.write_text("whole")
        assert left(tmp_path) == [".model.gguf.localft.part", "model.gguf"], "what a living process writes stays"
        with killed(target):
            pass
        assert left(tmp_path) == [".model.gguf.localft.part", ".model.gguf.localft1.part", "model.gguf"]
    assert target.read_text() == "whole"
    with atomic_path(target) as temporary:
        assert (temporary.name, temporary.read_bytes()) == (".model.gguf.localft.part", b"")
        temporary.write_text("new")
    assert (left(tmp_path), target.read_text()) == (["model.gguf"], "new")


def test_a_killed_folder_goes_as_well(tmp_path: Path) -> None:
    target = tmp_path / "tokens"
    with killed(target, temporary_folder):
        pass
    assert left(tmp_path) == [".tokens.localft.part"]
    with temporary_folder(target) as folder:
        assert left(folder) == []
        folder.rename(target)
    assert left(tmp_path) == ["tokens"]


def test_doctor_names_what_was_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCALFT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    target, run = tmp_path / "home" / "models" / "m.gguf", tmp_path / "runs" / "a" / "checkpoint.gguf"
    with killed(target), killed(run):
        assert not [problem for problem in problems() if ".part" in problem], "they live"
    found = [problem for problem in problems() if ".part" in problem]
    assert found == [
        f"`{target.parent}/.m.gguf.localft.part` (0 MiB) was left by a process that was killed: delete it",
        "`runs/a/.checkpoint.gguf.localft.part` (0 MiB) was left by a process that was killed: delete it",
    ]
    assert target.parent.joinpath(".m.gguf.localft.part").exists(), "looking deletes nothing"


def test_a_name_that_another_program_has_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / ".out.localft.part").symlink_to("precious")
    with atomic_path(tmp_path / "out") as temporary:
        temporary.write_text("whole")
    assert left(tmp_path) == [".out.localft.part", "out", "precious"]
    assert (tmp_path / "precious").read_text() == "precious"
    assert list(abandoned(tmp_path)) == []


def test_a_failed_block_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError), atomic_paths(tmp_path / "a", tmp_path / "b") as (a, b):
        b.replace(a / "no folder")
    with pytest.raises(FileNotFoundError), temporary_folder(tmp_path / "c") as folder:
        (folder / "x").replace(folder / "y")
    assert left(tmp_path) == []


def test_a_file_system_without_locks_writes_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", flock)
    (tmp_path / ".out.localft.part").write_text("nobody knows whether its process lives")
    with atomic_path(tmp_path / "out") as temporary:
        temporary.write_text("whole")
    assert left(tmp_path) == [".out.localft.part", "out"]
